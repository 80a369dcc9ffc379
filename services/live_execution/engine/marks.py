"""Prices of what a trader holds, told as facts when they have changed."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from nautilus_trader.model.enums import PriceType
from nautilus_trader.model.events import PositionAdjusted, PositionClosed
from nautilus_trader.model.identifiers import InstrumentId

from mesh.execution.v1.events_pb2 import Mark, MarkSnapshot, TraderFact
from meshkit.times import to_timestamp
from services.live_execution.trader.ports import Outside


class Marks:
    """Records a ``MarkSnapshot`` of held instruments, with those marks that have changed."""

    def __init__(self, kernel: Any, outside: Outside) -> None:
        self._cache = kernel.cache
        self._outside = outside
        self._told: dict[InstrumentId, Mark] = {}

    def on_position(self, event: Any) -> None:
        """Mark an instrument at once when it becomes held: by its market, else by the fill."""
        instrument_id = event.instrument_id
        if instrument_id in self._told or isinstance(event, PositionClosed | PositionAdjusted):
            return
        mark = mark_of(self._cache, instrument_id) or Mark(
            instrument_id=str(instrument_id),
            last=str(event.last_px),
            ts=to_timestamp(event.ts_event),
        )
        self._told[instrument_id] = mark
        self._outside.record(TraderFact(marks=MarkSnapshot(marks=[mark])))

    def tell(self) -> None:
        """Record what has changed since it was last told."""
        held = {position.instrument_id for position in self._cache.positions_open()}
        found = {each: mark_of(self._cache, each) for each in held}
        changed = [m for i, m in found.items() if m is not None and m != self._told.get(i)]
        self._told = {i: m or self._told.get(i, Mark()) for i, m in found.items()}
        if changed:
            changed.sort(key=lambda mark: mark.instrument_id)
            self._outside.record(TraderFact(marks=MarkSnapshot(marks=changed)))


def mark_of(cache: Any, instrument_id: InstrumentId) -> Mark | None:
    """Return what is known of an instrument's price; None when nothing is."""
    quote, trade = cache.quote_tick(instrument_id), cache.trade_tick(instrument_id)
    last, ts = _last(cache, instrument_id)
    if trade is not None and trade.ts_event >= ts:
        last, ts = str(trade.price), trade.ts_event
    if quote is not None:
        ts = max(ts, quote.ts_event)
    elif not last:
        return None
    return Mark(
        instrument_id=str(instrument_id),
        bid=str(quote.bid_price) if quote is not None else "",
        ask=str(quote.ask_price) if quote is not None else "",
        last=last,
        ts=to_timestamp(ts),
    )


def last_known(cache: Any, marks: Mapping[str, Mark]) -> dict[str, Mark]:
    """Return the last prices of what is held: marks, or the last fill where none was told yet."""
    found = dict(marks)
    for position in cache.positions_open():
        fill, name = position.last_event, str(position.instrument_id)
        if name not in found and fill is not None:
            last = str(fill.last_px)
            found[name] = Mark(instrument_id=name, last=last, ts=to_timestamp(fill.ts_event))
    return found


def price_of(cache: Any, instrument_id: InstrumentId) -> Decimal | None:
    """Return the price that an instrument is valued with: middle, last trade or last bar."""
    for kind in (PriceType.MID, PriceType.LAST):
        price = cache.price(instrument_id, kind)
        if price is not None:
            return Decimal(str(price))
    last, _ = _last(cache, instrument_id)
    return Decimal(last) if last else None


def _last(cache: Any, instrument_id: InstrumentId) -> tuple[str, int]:
    """Return close and time (unix ns) of the newest bar, of any type; empty when there is none."""
    bars = [cache.bar(bar_type) for bar_type in cache.bar_types(instrument_id=instrument_id)]
    newest = max((bar for bar in bars if bar is not None), key=_time, default=None)
    return ("", 0) if newest is None else (str(newest.close), newest.ts_event)


def _time(bar: Any) -> int:
    return int(bar.ts_event)
