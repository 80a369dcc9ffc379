"""Asking a venue for a range, in pieces that it answers whole."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mesh.marketdata.v1.live_pb2 import MarketDataBatch
from services.market_data.domain import Series
from services.market_data.live.domain import Channel
from services.market_data.live.ports import Asked
from services.market_data.live.recording.columns import Precision, rows_of

CUT = 100
"""Rows from which on an answer may have been cut: venues give 100 to several 1,000 at once."""

PAGE_BARS = 1_000
MILLISECOND = 10**6
"""Venues count in milliseconds: an answer full of one of them is stepped over, and one is asked
for on each side of a range, for adapters round.
"""

HOUR = 3_600 * 10**9 - 4 * MILLISECOND
"""Nanoseconds of ticks that are asked for at once: Binance, and its adapter, take no more."""

MANY = 20_000
"""Rows that are enough to be written."""


@dataclass
class Piece:
    """Rows of the venue from a time on to before ``next``; all that it has there."""

    next: int
    rows: list[pa.Table] = field(default_factory=list)
    requests: int = 0

    @property
    def count(self) -> int:
        """Rows."""
        return sum(table.num_rows for table in self.rows)


class Fetcher:
    """Asks for one series; learns how the venue cuts its answers."""

    def __init__(
        self, feeds: Asked, project: str, feed_id: str, series: Series, precision: Precision
    ) -> None:
        self._feeds = feeds
        self._about = project, feed_id
        self._series = series
        self._channel = Channel(series.kind, series.instrument_id, series.bar_type)
        self._precision = precision
        self._width = series.step * PAGE_BARS or HOUR
        self._newest_first: bool | None = None
        self._requests = 0

    async def piece(self, start: int, end: int) -> Piece:
        """Return what the venue has from ``start`` on, at most to ``end``.

        Raises ``FeedUnavailable`` and ``VenueAnswer``.
        """
        until = min(end, start + self._width - 1)
        self._requests = 0
        rows = await self._ask(start, until)
        parts = [rows]
        if _size(rows) >= CUT and self._newest_first is not False:
            parts = await self._earlier(start, rows)
        following = until + 1
        if _size(rows) >= CUT and not self._newest_first:
            following = _event(rows, -1)
            if following > start:  # asked again from there on: of that time there may be more
                parts = [_where(pc.less, rows, following)]
            else:
                following = start + MILLISECOND
        kept = [table for table in parts if table is not None and table.num_rows]
        return Piece(following, kept, self._requests)

    async def _earlier(self, start: int, rows: pa.Table | None) -> list[pa.Table | None]:
        """Return an answer with what comes before it, of a venue that gives the newest first."""
        first = _event(rows, 0)
        found: list[pa.Table | None] = [rows]
        while first > start:
            before = await self._ask(start, first)  # of that time there may be more
            progress = _size(before) > 0 and _event(before, 0) < first
            if self._newest_first is None:
                self._newest_first = progress
            if not progress:
                break
            found[0] = _where(pc.greater, found[0], first)
            found.insert(0, before)
            first = _event(before, 0)
        return found

    async def _ask(self, start: int, end: int) -> pa.Table | None:
        """Return the rows of a closed range by ``ts_event``; None when there are none."""
        self._requests += 1
        # A bar is stamped at its close, and some venues look for its opening.
        since = max(0, start - self._series.step - MILLISECOND)
        answer = self._feeds.history(*self._about, self._channel, since, end + MILLISECOND)
        frames = [frame.payload async for frame in answer if frame.rows]
        if not frames:
            return None
        return await asyncio.to_thread(self._rows, frames, start, end)

    def _rows(self, payloads: Sequence[bytes], start: int, end: int) -> pa.Table:
        batches = [MarketDataBatch.FromString(payload) for payload in payloads]
        rows = rows_of(self._series, batches, self._precision)
        rows = _where(pc.less_equal, _where(pc.greater_equal, rows, start), end)
        times = rows["ts_event"].to_numpy()
        return rows.take(pa.array(np.argsort(times, kind="stable")))


def _where(compare: Any, rows: pa.Table | None, time: int) -> pa.Table:
    """Return the rows whose ``ts_event`` compares so with a time."""
    assert rows is not None
    return rows.filter(compare(rows["ts_event"], pa.scalar(time, pa.uint64())))


def _size(rows: pa.Table | None) -> int:
    return rows.num_rows if rows is not None else 0


def _event(rows: pa.Table | None, index: int) -> int:
    assert rows is not None  # asked only of answers with rows
    return int(rows["ts_event"][index].as_py())
