"""The clock of a sandbox on the wall's time: it shows what its node's clock shows.

Nautilus' own stands at the last tick, so that an order before any tick is of 1970, and an expiry
waits for the next one.
"""

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush

from nautilus_trader.common.component import Clock, TestClock, TimeEvent
from nautilus_trader.core.uuid import UUID4

NANOS = 1_000_000_000


class VenueClock(TestClock):
    """A test clock, as the exchange wants it, that cannot be set; its alerts run on the loop."""

    def __init__(self, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._shown = clock
        self._alerts = Alerts(loop, clock)
        self._names: set[str] = set()

    @property
    def timer_names(self) -> list[str]:
        """Names of the alerts that wait."""
        return sorted(self._names)

    def timestamp_ns(self) -> int:
        """Return the node's time."""
        return int(self._shown.timestamp_ns())

    def set_time(self, to_time_ns: int) -> None:
        """Do nothing: the time is the node's."""

    def set_time_alert_ns(
        self,
        name: str,
        alert_time_ns: int,
        callback: Callable[[TimeEvent], None] | None = None,
        allow_past: bool = True,
    ) -> None:
        """Call back on the event loop at a time: the exchange's for expiring instruments."""
        self._names.add(name)

        def fire() -> None:
            self._names.discard(name)
            if callback is not None:
                callback(TimeEvent(name, UUID4(), alert_time_ns, self.timestamp_ns()))

        self.at(alert_time_ns, fire)

    def at(self, ts_ns: int, action: Callable[[], None]) -> None:
        """Do something on the event loop when the node's time is ``ts_ns`` (UNIX ns)."""
        self._alerts.add(ts_ns, action)

    def stop(self) -> None:
        """Do nothing more."""
        self._alerts.stop()


class Alerts:
    """Actions by time on the event loop's thread, where Nautilus' live timers are on another."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._handle: asyncio.TimerHandle | None = None
        self._count = 0

    def add(self, ts_ns: int, action: Callable[[], None]) -> None:
        """Add an action."""
        self._count += 1
        heappush(self._heap, (ts_ns, self._count, action))
        self._arm()

    def stop(self) -> None:
        """Drop all actions."""
        self._heap.clear()
        self._disarm()

    def _arm(self) -> None:
        self._disarm()
        if self._heap:
            wait_s = (self._heap[0][0] - self._clock.timestamp_ns()) / NANOS
            self._handle = self._loop.call_later(max(wait_s, 0.0), self._run)

    def _disarm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _run(self) -> None:
        self._handle = None
        while self._heap and self._heap[0][0] <= self._clock.timestamp_ns():
            heappop(self._heap)[2]()
        self._arm()
