"""Rows of stored data in one order of time, while what is wanted of them changes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import numpy as np
from nautilus_trader.core.data import Data

from mesh.marketdata.v1.live_pb2 import MarketDataBatch
from meshkit.nautilus.ticks import objects_of

type Open[Key] = Callable[[list[Key], int | None], AsyncIterator[list[Data]]]
"""Opens the rows of channels from a time (unix ns) on, merged; None is the first row."""


class Rows[Key]:
    """A source whose channels may change while it is read.

    ``DataTimeDriver.play`` takes ``batches``. When a channel is wanted or not wanted any more, the
    rows of the time that is being played come to their end, and what follows is opened anew.
    """

    def __init__(self, opened: Open[Key]) -> None:
        self._open = opened
        self._channels: dict[Key, None] = {}
        self._changed = asyncio.Event()
        self.last: int | None = None
        """``ts_init`` of the last row that was given."""

    def want(self, channel: Key) -> None:
        """Give the rows of a channel too, those that come after what was given."""
        if channel not in self._channels:
            self._channels[channel] = None
            self._changed.set()

    def unwant(self, channel: Key) -> None:
        """Give them no longer."""
        if channel in self._channels:
            del self._channels[channel]
            self._changed.set()

    async def batches(
        self, start: int | None, *, end: int | None = None, patient: bool = False
    ) -> AsyncIterator[Sequence[Data]]:
        """Yield the rows from ``start`` on. ``patient`` waits while no channel is wanted."""
        while end is None or start is None or start <= end:
            if not self._channels:
                if not patient:
                    return
                await self._changed.wait()
            self._changed.clear()
            async for rows in self._open(list(self._channels), start):
                stretch = _Stretch(rows, self)
                yield stretch
                if stretch.cut:
                    break
            if not self._changed.is_set():
                return
            start = start if self.last is None else self.last + 1

    def is_over(self, following: int) -> bool:
        """Whether rows must be opened anew before one of the time ``following``."""
        return self._changed.is_set() and (self.last is None or following > self.last)


class _Stretch(Sequence[Data]):
    """Rows that end early when what is wanted has changed."""

    def __init__(self, rows: list[Data], source: Rows[Any]) -> None:
        self._rows = rows
        self._source = source
        self.cut = False

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def __iter__(self) -> Iterator[Data]:
        for row in self._rows:
            ts_init = row.ts_init
            if self._source.is_over(ts_init):
                self.cut = True
                return
            self._source.last = ts_init
            yield row


def in_order(batches: Sequence[MarketDataBatch], order: bytes) -> list[Data]:
    """Return the rows of batches as Nautilus objects; ``order`` as in ``ReadReplayResponse``."""
    parts = [objects_of(batch) for batch in batches]
    if len(parts) < 2:
        return parts[0] if parts else []
    following = [iter(part) for part in parts]
    chosen: list[int] = np.frombuffer(order, "<u2").tolist()
    return [next(following[which]) for which in chosen]
