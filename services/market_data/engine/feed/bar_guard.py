"""Keeps internal bars from taking all of a process's time.

Nautilus makes volume, value and Renko bars in a loop: one trade of a billion is a billion bars of
step 1, a microsecond or more each, and all that is open in the process waits. So each tick is
looked at before an aggregator of such bars gets it; other ticks cost nothing.
"""

import asyncio
from collections.abc import Callable
from math import ceil
from typing import Any

from nautilus_trader.model.data import Bar, BarType, QuoteTick
from nautilus_trader.model.enums import PriceType, bar_aggregation_to_str

from services.market_data.engine.feed.subscribing import BARS, QUOTES, TRADES, topic
from services.market_data.engine.feed.troubles import UNSUPPORTED, Trouble

MOST = 1_000
"""Bars that one tick may make."""

MOST_A_SECOND = 10_000
"""Bars that the ticks of one second of data may make, of a type."""

SECOND = 10**9
PRIORITY = 5
"""Nautilus' priority of aggregators of ticks on the bus: before those who want the ticks."""

LOOPING = ("VOLUME", "VALUE", "RENKO")

type OnRefused = Callable[[BarType, Trouble], None]


class BarGuards:
    """Stands between the bus and the aggregators of a data engine that make bars in a loop.

    ``on_refused`` is called soon after a tick that would have made too many bars of a type; from
    that tick on no bars of the type are made.
    """

    def __init__(
        self, engine: Any, msgbus: Any, loop: asyncio.AbstractEventLoop, on_refused: OnRefused
    ) -> None:
        self._engine, self._msgbus, self._loop = engine, msgbus, loop
        self._on_refused = on_refused
        self._guards: dict[BarType, _Guard] = {}

    def guard(self, bar_type: BarType, instrument: Any) -> None:
        """Guard the aggregator of a type that was just subscribed to, if it may loop."""
        aggregator = self._aggregator(bar_type)
        if aggregator is None or _base(bar_type) not in LOOPING:
            return
        self.settle()
        standard = bar_type.standard()
        if standard in self._guards:
            self._guards[standard].refused = False
            return
        increment = float(instrument.price_increment)
        guard = _Guard(bar_type, aggregator, increment, self._refused)
        self._guards[standard] = guard
        self._msgbus.unsubscribe(guard.topic, guard.handle)
        self._msgbus.subscribe(guard.topic, guard.take, PRIORITY)

    def settle(self) -> None:
        """Forget the aggregators that are no more."""
        for standard, guard in list(self._guards.items()):
            if self._aggregator(standard) is not guard.aggregator:
                del self._guards[standard]
                self._msgbus.unsubscribe(guard.topic, guard.take)

    def _aggregator(self, bar_type: BarType) -> Any:
        return self._engine._bar_aggregators.get((bar_type.standard(), None))

    def _refused(self, bar_type: BarType, failed: Trouble) -> None:
        # Later: the bus is on its way through its subscribers.
        self._loop.call_soon(self._on_refused, bar_type, failed)


class _Guard:
    """Takes the ticks or bars of one aggregator, and hands them on while they are few bars."""

    def __init__(
        self, bar_type: BarType, aggregator: Any, increment: float, on_refused: OnRefused
    ) -> None:
        self.bar_type, self.aggregator = bar_type, aggregator
        self.topic, self.handle = _source(bar_type, aggregator)
        self.refused = False
        self._base, self._increment = _base(bar_type), increment
        self._price_type = bar_type.spec.price_type
        self._step = bar_type.spec.step
        self._on_refused = on_refused
        self._last_price: float | None = None
        self._second, self._made = 0, 0.0

    def take(self, row: Any) -> None:
        """Hand a row on, unless it would make too many bars."""
        if self.refused:
            return
        made = self._units(row) / self._step
        second = row.ts_init // SECOND
        if second != self._second:
            self._second, self._made = second, 0.0
        self._made += made
        if made <= MOST and self._made <= MOST_A_SECOND:
            self.handle(row)
            return
        self.refused = True
        times = max(made / MOST, self._made / MOST_A_SECOND)
        self._on_refused(self.bar_type, _too_small(self.bar_type, times))

    def _units(self, row: Any) -> float:
        """Return what a row adds, in units of the step: at least the bars of step 1."""
        price, size = self._price_and_size(row)
        if self._base == "RENKO":
            before, self._last_price = self._last_price, float(price)
            return 0.0 if before is None else abs(self._last_price - before) / self._increment
        if self._base == "VOLUME":
            return float(size)
        # No value bar is made of less than the smallest size.
        smallest = float(size) * 10**size.precision * self._step
        return float(min(abs(float(price)) * float(size), smallest))

    def _price_and_size(self, row: Any) -> tuple[Any, Any]:
        if isinstance(row, Bar):
            return row.close, row.volume
        if isinstance(row, QuoteTick):
            return row.extract_price(self._price_type), row.extract_size(self._price_type)
        return row.price, row.size


def _source(bar_type: BarType, aggregator: Any) -> tuple[str, Callable[[Any], None]]:
    """Return the topic that an aggregator is subscribed to, and its handler."""
    if bar_type.is_composite():
        return topic(BARS, bar_type.composite()), aggregator.handle_bar
    if bar_type.spec.price_type == PriceType.LAST:
        return topic(TRADES, bar_type.instrument_id), aggregator.handle_trade_tick
    return topic(QUOTES, bar_type.instrument_id), aggregator.handle_quote_tick


def _base(bar_type: BarType) -> str:
    """Return what bars are counted in: VOLUME of VOLUME_RUNS, for example."""
    return str(bar_aggregation_to_str(bar_type.spec.aggregation)).partition("_")[0]


def _too_small(bar_type: BarType, times: float) -> Trouble:
    least = ceil(bar_type.spec.step * times)
    return Trouble(
        UNSUPPORTED,
        f"The step of {bar_type} is too small for trades and prices of this instrument: they would "
        f"make more than {MOST} bars at once, or {MOST_A_SECOND} in a second. "
        f"Choose a step of at least {least}.",
    )
