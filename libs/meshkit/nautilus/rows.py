"""Rows of stored data in one order of time, while what is wanted of them changes."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from nautilus_trader.core.data import Data

from mesh.marketdata.v1.live_pb2 import MarketDataBatch
from meshkit.nautilus.ticks import objects_of

type Open[Key] = Callable[[list[Key], int | None], AsyncIterator[list[Data]]]
"""Opens the rows of channels from a time (unix ns) on, merged; None is the first row."""


class Clock(Protocol):
    """Time events of a node; ``DataTimeDriver`` is one."""

    @property
    def next_event_ns(self) -> int:
        """The time of the next time event."""

    async def run_next_events(self) -> int:
        """Run the events of that time and what they command; return the time."""


class Rows[Key]:
    """A source whose channels may change while it is read.

    ``DataTimeDriver.play`` takes ``batches``. When a channel is wanted or not wanted any more, the
    rows of the time that is being played come to their end, and what follows is opened anew. With
    a ``clock`` (lockstep) time events run before the next row is chosen, so that what a timer
    subscribes to comes from the timer's time on, as in a backtest.
    """

    def __init__(self, opened: Open[Key], clock: Clock | None = None) -> None:
        self._open = opened
        self._clock = clock
        self._channels: dict[Key, None] = {}
        self._changed = False
        self.last: int | None = None
        """Time (unix ns) up to which rows were given."""

    def want(self, channel: Key) -> None:
        """Give the rows of a channel too, those that come after what was given."""
        if channel not in self._channels:
            self._channels[channel] = None
            self._changed = True

    def unwant(self, channel: Key) -> None:
        """Give them no longer."""
        if channel in self._channels:
            del self._channels[channel]
            self._changed = True

    async def batches(
        self, start: int | None, *, end: int | None = None
    ) -> AsyncIterator[Sequence[Data]]:
        """Yield the rows from ``start`` on; ends with them, or when no channel is wanted."""
        while self._channels and (end is None or start is None or start <= end):
            self._changed = False
            async for rows in self._open(list(self._channels), start):
                stretch = _Stretch(rows, self)
                while not stretch.over:
                    yield stretch
                    if stretch.at_event and self._clock is not None:
                        self.last = await self._clock.run_next_events()
                if stretch.cut:
                    break
            if not self._changed:
                return
            start = start if self.last is None else self.last + 1

    def is_over(self, following: int) -> bool:
        """Whether rows must be opened anew before one of the time ``following``."""
        return self._changed and (self.last is None or following > self.last)

    def has_event(self, following: int) -> bool:
        """Whether a time event is due before a row of the time ``following``."""
        return self._clock is not None and self._clock.next_event_ns < following


class _Stretch(Sequence[Data]):
    """Rows that end early when what is wanted has changed, or stop for a time event.

    Iterating again goes on after the event.
    """

    def __init__(self, rows: list[Data], source: Rows[Any]) -> None:
        self._rows = rows
        self._source = source
        self._next = 0
        self.cut = False
        self.at_event = False

    @property
    def over(self) -> bool:
        """Whether no row of it comes any more."""
        return self.cut or self._next == len(self._rows)

    def __len__(self) -> int:
        return len(self._rows) - self._next

    def __getitem__(self, index: Any) -> Any:
        return self._rows[self._next :][index]

    def __iter__(self) -> Iterator[Data]:
        source, rows = self._source, self._rows
        self.at_event = False
        while self._next < len(rows):
            row = rows[self._next]
            ts_init = row.ts_init
            if source.is_over(ts_init):
                self.cut = True
                return
            if source.has_event(ts_init):
                self.at_event = True
                return
            source.last = ts_init
            self._next += 1
            yield row


def in_order(batches: Sequence[MarketDataBatch], order: bytes) -> list[Data]:
    """Return the rows of batches as Nautilus objects; ``order`` as in ``ReadReplayResponse``."""
    parts = [objects_of(batch) for batch in batches]
    if len(parts) < 2:
        return parts[0] if parts else []
    following = [iter(part) for part in parts]
    chosen: list[int] = np.frombuffer(order, "<u2").tolist()
    return [next(following[which]) for which in chosen]
