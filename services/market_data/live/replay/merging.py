"""Many series merged into one order of time, a stretch after the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

ROWS = 16_384
"""Rows of a stretch at most."""

type Times = NDArray[np.uint64]


@dataclass
class Source:
    """What is left of one series: rows that wait, and where more come from."""

    more: Iterator[pa.RecordBatch]
    waiting: pa.RecordBatch | None = None

    def times(self) -> Times:
        """Return ``ts_init`` of the rows that wait."""
        assert self.waiting is not None
        times: Times = self.waiting.column("ts_init").to_numpy()
        return times

    def fill(self) -> bool:
        """Have rows waiting; False at the end."""
        while self.waiting is None or not self.waiting.num_rows:
            self.waiting = next(self.more, None)
            if self.waiting is None:
                return False
        return True

    def take(self, rows: int) -> pa.RecordBatch:
        """Return the first rows that wait, and let them go."""
        assert self.waiting is not None
        taken, self.waiting = self.waiting.slice(0, rows), self.waiting.slice(rows)
        return taken


@dataclass(frozen=True)
class Stretch:
    """Rows of some series; ``order`` says for each row which of ``parts`` has the next one.

    ``parts`` are pairs of the index of the series and its rows.
    """

    parts: list[tuple[int, pa.RecordBatch]]
    order: NDArray[Any]


def stretches(series: list[Iterator[pa.RecordBatch]]) -> Iterator[Stretch]:
    """Yield all rows by ``ts_init``; at equal times by the order of the series.

    No series is read further ahead than one of its batches.
    """
    sources = [Source(more) for more in series]
    while True:
        alive = [i for i, source in enumerate(sources) if source.fill()]
        if not alive:
            return
        yield from _stretch(sources, alive)


def _stretch(sources: list[Source], alive: list[int]) -> Iterator[Stretch]:
    """Yield the rows that no unread row of another series can come before."""
    times = {i: sources[i].times() for i in alive}
    # Whose waiting rows end first decides: what it has not read yet is of that time or later. At
    # that very time the series before it are done, and those after it must wait for its next rows.
    last = min(alive, key=lambda i: (times[i][-1], i))
    end = times[last][-1]
    counts = {
        i: int(np.searchsorted(times[i], end, side="right" if i <= last else "left")) for i in alive
    }
    merged = np.concatenate([times[i][: counts[i]] for i in alive])
    owner = np.repeat(np.array(alive, np.int64), [counts[i] for i in alive])
    owner = owner[np.argsort(merged, kind="stable")]
    for start in range(0, len(owner), ROWS):
        yield _cut(sources, owner[start : start + ROWS])


def _cut(sources: list[Source], owner: NDArray[np.int64]) -> Stretch:
    """Take the rows of one stretch from their sources."""
    indexes, order = np.unique(owner, return_inverse=True)
    counts = np.bincount(order)
    parts = [(int(i), sources[int(i)].take(int(n))) for i, n in zip(indexes, counts, strict=True)]
    return Stretch(parts, order.astype("<u2"))
