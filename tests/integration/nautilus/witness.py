"""Seeded ticks, and a strategy that writes down all that reaches it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
from nautilus_trader.core.data import Data
from nautilus_trader.model.data import Bar, BarType, QuoteTick, TradeTick
from nautilus_trader.model.enums import AggressorSide, OrderSide, TimeInForce
from nautilus_trader.model.events import OrderEvent
from nautilus_trader.model.identifiers import InstrumentId, TradeId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy

START = 1_704_067_200_000_000_000 + 12_345_678_901
"""2024-01-01, some seconds into its first minute."""
MINUTE = 60_000_000_000
BTC = TestInstrumentProvider.btcusdt_binance()
ETH = TestInstrumentProvider.ethusdt_binance()


@dataclass(frozen=True)
class Case:
    """What to play, and what the strategy does.

    ``kind`` is of what data: ``trades``, ``quotes`` or ``bars`` (of the venue, by the minute).
    ``step_ns`` is the mean time between ticks; ``then_ns`` how far time runs on after the last.
    """

    count: int
    kind: str = "trades"
    step_ns: int = 200_000_000
    instruments: int = 1
    bars: tuple[str, ...] = ()
    ticks: bool = False
    timers: bool = False
    orders: bool = False
    then_ns: int = 0

    def data(self) -> list[Data]:
        """Return the ticks, in order of ``ts_init``; a third of them share it with another."""
        random = np.random.default_rng(7)
        gaps = random.integers(0, 2 * self.step_ns, self.count) * random.integers(0, 3, self.count)
        times = START + np.cumsum(gaps)
        # some ticks on the very nanosecond at which minute bars close and timers fire
        times[::50] -= times[::50] % 1_000_000_000
        times = np.maximum.accumulate(np.maximum(times, START))
        walk = np.cumsum(random.normal(0, 0.5, self.count))
        sizes = random.integers(1, 2_000_000, self.count)
        which = random.integers(0, self.instruments, self.count)
        make = {"trades": _trade, "quotes": _quote, "bars": _bar}[self.kind]
        return [
            make((BTC, ETH)[w], float(p), int(s), int(t), i)
            for i, (w, p, s, t) in enumerate(zip(which, walk, sizes, times, strict=True))
        ]


def _trade(instrument: Any, move: float, size: int, ts: int, number: int) -> TradeTick:
    price = Price(30_000 + move, instrument.price_precision)
    quantity = Quantity(size / 1e6, instrument.size_precision)
    side = AggressorSide.BUYER if size % 2 else AggressorSide.SELLER
    return TradeTick(instrument.id, price, quantity, side, TradeId(str(number)), ts, ts)


def _quote(instrument: Any, move: float, size: int, ts: int, number: int) -> QuoteTick:
    bid = Price(30_000 + move, instrument.price_precision)
    ask = Price(30_001 + move, instrument.price_precision)
    quantity = Quantity(size / 1e6, instrument.size_precision)
    return QuoteTick(instrument.id, bid, ask, quantity, quantity, ts, ts)


def _bar(instrument: Any, move: float, size: int, ts: int, number: int) -> Bar:
    middle = 30_000 + move
    spread = (0, 20, -20, 10 if size % 2 else -10)
    prices = (Price(middle + offset, instrument.price_precision) for offset in spread)
    ts_close = START + (number + 1) * MINUTE
    volume = Quantity(size, instrument.size_precision)
    bar_type = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
    return Bar(bar_type, *prices, volume, ts_close, ts_close)


class Witness(Strategy):
    """Writes down all that reaches it, with what its clock shows."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.case = case
        self.log_book: list[tuple[Any, ...]] = []
        self.prices = 0

    def on_start(self) -> None:
        """Subscribe and set timers."""
        for instrument in (BTC, ETH)[: self.case.instruments]:
            self._subscribe(instrument)
        if self.case.timers:
            self._set_timers()

    def _subscribe(self, instrument: Any) -> None:
        for spec in self.case.bars:
            self.subscribe_bars(BarType.from_str(f"{instrument.id}-{spec}"))
        if self.case.kind == "trades":
            self.subscribe_trade_ticks(instrument.id)
        elif self.case.kind == "quotes":
            self.subscribe_quote_ticks(instrument.id)

    def _set_timers(self) -> None:
        self.clock.set_timer("seconds-7", timedelta(seconds=7), callback=self._on_timer)
        self.clock.set_timer("minute", timedelta(minutes=1), callback=self._on_timer)
        start = pd.Timestamp(START + 30 * MINUTE, tz="UTC").floor("1min")
        self.clock.set_timer("A", timedelta(minutes=3), start_time=start)  # before TIME_BAR_…
        self.clock.set_time_alert("alert", start + timedelta(seconds=1), callback=self._on_alert)

    def _on_timer(self, event: Any) -> None:
        self._note("timer", event.name, event.ts_event, event.ts_init)

    def _on_alert(self, event: Any) -> None:
        self._note("alert", event.name, event.ts_event, event.ts_init)
        if event.name.startswith("chained"):
            return
        soon = self.clock.utc_now() + timedelta(milliseconds=1)
        self.clock.set_time_alert("chained", soon, callback=self._on_alert)
        past = self.clock.utc_now() - timedelta(hours=1)
        self.clock.set_time_alert("chained-past", past, callback=self._on_alert)

    def on_event(self, event: Any) -> None:
        """Note order events and the timer without a callback of its own."""
        if isinstance(event, OrderEvent):
            order = self.cache.order(event.client_order_id)
            status = order and order.status_string()  # none yet when it is made
            number = event.client_order_id.value
            self._note(type(event).__name__, number, event.ts_event, event.ts_init, status)
        elif hasattr(event, "name"):
            self._note("event", event.name, event.ts_event)

    def on_bar(self, bar: Bar) -> None:
        """Note a bar."""
        prices = (str(bar.open), str(bar.high), str(bar.low), str(bar.close), str(bar.volume))
        self._note("bar", str(bar.bar_type), bar.ts_event, bar.ts_init, *prices)
        if self.case.orders and self.case.kind == "bars":
            self._trade_now_and_then(bar.bar_type.instrument_id, bar.close)

    def on_trade_tick(self, tick: TradeTick) -> None:
        """Note a tick."""
        if self.case.ticks:
            self._note("trade", str(tick.instrument_id), tick.ts_init, str(tick.trade_id))

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Note a tick, and trade now and then."""
        if self.case.ticks:
            self._note("quote", str(tick.instrument_id), tick.ts_init, str(tick.bid_size))
        if self.case.orders:
            self._trade_now_and_then(tick.instrument_id, tick.bid_price)

    def _trade_now_and_then(self, ids: InstrumentId, last: Price) -> None:
        """Send orders of several kinds around every fortieth price."""
        self.prices += 1
        if self.prices % 40:
            return
        make, size = self.order_factory, Quantity.from_str("0.010000")

        def price(offset: float) -> Price:
            return Price(last.as_double() + offset, last.precision)

        big = Quantity.from_str("5.000000")  # more than there is at the best price
        self.submit_order(make.market(ids, OrderSide.SELL, size))
        ioc = make.limit(ids, OrderSide.BUY, big, price(1), time_in_force=TimeInForce.IOC)
        self.submit_order(ioc)
        expire = self.clock.utc_now() + timedelta(seconds=20)
        until = {"time_in_force": TimeInForce.GTD, "expire_time": expire}
        self.submit_order(make.limit(ids, OrderSide.BUY, size, price(-50), **until))
        resting = make.limit(ids, OrderSide.BUY, size, price(-90))
        self.submit_order(resting)
        self.cancel_order(resting)
        self.submit_order_list(
            make.bracket(ids, OrderSide.BUY, size, sl_trigger_price=price(-3), tp_price=price(3))
        )

    def _note(self, *what: Any) -> None:
        self.log_book.append((*what, self.clock.timestamp_ns()))
