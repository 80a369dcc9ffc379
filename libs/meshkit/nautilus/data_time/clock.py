"""Clocks that stand still until the data moves them, and the time events in between.

The order is that of ``BacktestEngine``: what is due before a tick runs before it, what is due at
the tick's own nanosecond runs after all data of that nanosecond, and equal times run by name.
"""

import weakref
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any, ClassVar

from nautilus_trader.common.component import Clock, TestClock, TimeEventHandler

NEVER = 2**64 - 1
"""A time (ns) after all data."""


class DataTimeError(Exception):
    """A node that cannot run on data time as it was asked to, and what to do about it."""


class DataClock(TestClock):
    """A clock of one timeline; Nautilus makes one for each component from the kernel's class."""

    timeline: ClassVar["Timeline"]

    def __init__(self) -> None:
        super().__init__()
        self.timeline.adopt(self)

    def set_timer_ns(self, *args: Any, **kwargs: Any) -> None:
        """Set a timer; see ``Clock.set_timer_ns``."""
        super().set_timer_ns(*args, **kwargs)
        self.timeline.timers_changed()

    def set_time_alert_ns(self, *args: Any, **kwargs: Any) -> None:
        """Set an alert; see ``Clock.set_time_alert_ns``."""
        super().set_time_alert_ns(*args, **kwargs)
        self.timeline.timers_changed()


class Timeline:
    """The time of one node, shared by all its clocks.

    ``start_ns`` is the time (UNIX ns) that every clock shows before the first tick: the start of
    the replay, as ``start`` of a backtest. ``clock_class`` makes clocks of this timeline, now or
    later, at its present time. ``settle`` is called with the time after the events of each
    nanosecond, where a backtest settles its venues.
    """

    def __init__(self, start_ns: int) -> None:
        self.now_ns = start_ns
        self.settle: Callable[[int], None] = _nothing
        self.driver: Any = None
        self.clock_class: type[DataClock] = type("DataClock", (DataClock,), {"timeline": self})
        self._clocks: tuple[weakref.ref[DataClock], ...] = ()
        self._heap: list[tuple[int, str, int, int, TimeEventHandler]] = []
        self._order = count()
        self._due_ns: int | None = None

    def adopt(self, clock: DataClock) -> None:
        """Take a clock that was just made. It is let go with the component that owns it."""
        clock.set_time(self.now_ns)
        self._clocks = (*self._clocks, weakref.ref(clock, self._forget))

    def timers_changed(self) -> None:
        """Note that a timer was set, so that the next one due is sought again."""
        self._due_ns = None

    @property
    def next_event_ns(self) -> int:
        """The time of the next time event; ``NEVER`` when no timer is set."""
        waiting = self._heap[0][0] if self._heap else NEVER
        return min(waiting, self._next_due())

    def advance(self, to_ns: int) -> None:
        """Run the events that are due before ``to_ns``, then set every clock to it.

        A time that is not after the present one changes nothing: clocks never go back.
        """
        if to_ns <= self.now_ns:
            return
        if self._heap or self._next_due() <= to_ns:
            self._run(self.now_ns, self.now_ns)
            self._collect(to_ns)
            self._run(to_ns - 1, to_ns)
        self._set(to_ns)

    def finish_instant(self) -> None:
        """Run the events of the present nanosecond: no more data of it will come."""
        now = self.now_ns
        self._run(now, now)
        self._collect(now)
        self._run(now, now)

    def _forget(self, gone: weakref.ref[DataClock]) -> None:
        self._clocks = tuple(r for r in self._clocks if r is not gone)

    def _run(self, until_ns: int, horizon_ns: int) -> None:
        last = 0
        while self._heap and self._heap[0][0] <= until_ns:
            ts, _, _, _, handler = heappop(self._heap)
            if last not in (0, ts):
                self.settle(last)
            last = ts
            self._set(ts)
            handler.handle()
            self._collect(horizon_ns)  # what the handler has set may be due as well
        if last:
            self.settle(last)

    def _collect(self, to_ns: int) -> None:
        for clock in self._living():
            for handler in clock.advance_time(to_ns, False):
                event = handler.event
                key = (event.ts_event, event.name, event.ts_init, next(self._order))
                heappush(self._heap, (*key, handler))
        self._due_ns = None

    def _next_due(self) -> int:
        if self._due_ns is None:
            clocks = self._living()
            times = (c.next_time_ns(name) for c in clocks for name in c.timer_names)
            self._due_ns = min(times, default=NEVER)
        return self._due_ns

    def _set(self, now_ns: int) -> None:
        self.now_ns = now_ns
        for reference in self._clocks:
            clock = reference()
            if clock is not None:
                clock.set_time(now_ns)

    def _living(self) -> list[DataClock]:
        return [clock for reference in self._clocks if (clock := reference()) is not None]


def timeline_of(clock: Clock) -> Timeline:
    """Return the timeline of a component's clock.

    Raises ``DataTimeError`` where the node runs on the wall's time.
    """
    if not isinstance(clock, DataClock):
        raise DataTimeError(
            "Lockstep needs a node on data time. Make it with DataTimeNode(config, start_ns) in "
            "place of TradingNode(config)."
        )
    return clock.timeline


def _nothing(ts_ns: int) -> None:
    """Settle nothing: there is no simulated venue."""
