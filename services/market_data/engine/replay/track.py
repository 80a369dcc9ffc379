"""One series being played: rows that wait for their time, and where they go."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mesh.marketdata.v1 import live_pb2 as live
from services.market_data.domain import Series
from services.market_data.engine.feed.capture import ROWS
from services.market_data.engine.replay.books import Ladder

NEVER = 2**64 - 1
"""A time (ns) after all data."""


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
        self._block: pa.RecordBatch | None = None
        self._times: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._at = 0
        self._settle()

    @property
    def used(self) -> bool:
        """Whether anybody wants its rows."""
        return bool(self.numbers) or self.bars > 0

    def take(self, until: int) -> pa.RecordBatch | None:
        """Return the rows before a time, and let them go."""
        if self.first >= until:
            return None
        while not self._over and int(self._times[-1]) < until:
            self._append()
        assert self._block is not None  # it has a first row
        end = int(np.searchsorted(self._times, np.uint64(until)))
        rows = self._block.slice(self._at, end - self._at)
        self._at = end
        self._settle()
        return rows

    def _settle(self) -> None:
        """Have more than a batch of rows waiting, or all that are left.

        ``first`` is the time of the next row; before ``bound`` is at most one batch of rows,
        unless more are of the first time.
        """
        while not self._over and len(self._times) - self._at <= ROWS:
            self._append()
        left = len(self._times) - self._at
        self.first = int(self._times[self._at]) if left else NEVER
        self.bound = int(self._times[self._at + ROWS]) if left > ROWS else NEVER

    def _append(self) -> None:
        following = next(self._more, None)
        if following is None:
            self._over = True
        elif self._block is None or self._at == len(self._times):
            self._block, self._at = following, 0
        else:
            rest = self._block.slice(self._at)
            self._block, self._at = pa.concat_batches([rest, following]), 0
        if self._block is not None:
            self._times = self._block.column("ts_init").to_numpy()
