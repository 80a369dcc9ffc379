"""One series being played: rows that wait for their time, and where they go."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mesh.marketdata.v1 import live_pb2 as live
from services.market_data.domain import Series
from services.market_data.engine.feed.capture import ROWS
from services.market_data.engine.replay.block import Block
from services.market_data.engine.replay.books import Ladder

NEVER = 2**64 - 1
"""A time (ns) after all data."""


@dataclass(frozen=True)
class Part:
    """Rows of a block, from ``start`` to before ``end``."""

    block: Block
    start: int
    end: int

    @property
    def rows(self) -> pa.RecordBatch:
        """The rows as they are stored."""
        return self.block.rows.slice(self.start, self.end - self.start)


class Track:
    """``numbers`` are the channels that get its rows as columns, each with its ``Channel``;
    ``bars`` counts the internal bar types that need them as objects.
    """

    def __init__(self, series: Series) -> None:
        self.series = series
        self.numbers: dict[int, live.Channel] = {}
        self.bars = 0
        self.ladder: Ladder | None = None
        self.latest: pa.RecordBatch | None = None
        """The last row that was sent."""
        self.read(iter(()))

    def read(self, rows: Iterator[pa.RecordBatch]) -> None:
        """Go on with other rows."""
        self._more = rows
        self._over = False
        self._block: Block | None = None
        self._at = self._left = 0
        self._settle()

    @property
    def used(self) -> bool:
        """Whether anybody wants its rows."""
        return bool(self.numbers) or self.bars > 0

    def bound(self, rows: int) -> int:
        """Return the time before which so many rows (at most 500) are, or fewer.

        It is the time of the next row when more than so many share that.
        """
        if self._left <= rows:
            return NEVER
        assert self._block is not None  # rows are left
        return int(self._block.times[self._at + rows])

    def take(self, until: int) -> Part | None:
        """Return the rows before a time, and let them go."""
        if self.first >= until:
            return None
        while not self._over and self._last < until:
            self._append()
        block = self._block
        assert block is not None  # it has a first row
        end = int(np.searchsorted(block.times, np.uint64(until)))
        part = Part(block, self._at, end)
        self._at = end
        self._settle()
        return part

    @property
    def _last(self) -> int:
        """The time of the last row that was read."""
        return -1 if self._block is None else int(self._block.times[-1])

    def _settle(self) -> None:
        """Have more than a batch of rows waiting, or all that are left; ``first`` is the next."""
        self._count()
        while not self._over and self._left <= ROWS:
            self._append()
        self.first = NEVER
        if self._block is not None and self._left:
            self.first = int(self._block.times[self._at])

    def _append(self) -> None:
        following = next(self._more, None)
        if following is None:
            self._over = True
        elif following.num_rows:
            rows = following
            if self._block is not None and self._left:
                rows = pa.concat_batches([self._block.rows.slice(self._at), following])
            self._block, self._at = Block(self.series, rows), 0
        self._count()

    def _count(self) -> None:
        self._left = 0 if self._block is None else len(self._block.times) - self._at
