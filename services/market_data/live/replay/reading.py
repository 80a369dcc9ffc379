"""What ``ReadReplay`` streams: stretches of time, with a cursor after each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mesh.marketdata.v1 import feed_service_pb2 as rpc
from mesh.marketdata.v1 import live_pb2 as live
from meshkit import watch_cursor
from services.market_data.catalog import Opened, batches
from services.market_data.domain import Series
from services.market_data.live.replay.merging import ROWS, Stretch, stretches
from services.market_data.live.stored_columns import batch_of
from services.market_data.tables import KINDS, TIMES

ORIGIN = "replay"
"""What cursors are made for: they hold times and counts, and outlive the service."""


@dataclass
class Place:
    """Where a reader stands: at ``time``, with so many rows of that time read of each series."""

    time: int = -1
    read: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, cursor: str, filter_hash: str) -> "Place":
        """Return the place of a cursor; raises ``InvalidCursor``."""
        if not cursor:
            return cls()
        numbers = watch_cursor.decode(cursor, ORIGIN, filter_hash)
        time = numbers.pop("time")
        return cls(time, {int(i): count for i, count in numbers.items()})

    def cursor(self, filter_hash: str) -> str:
        """Return the cursor of this place."""
        counts = {str(i): count for i, count in self.read.items()}
        return watch_cursor.encode(ORIGIN, filter_hash, {"time": self.time, **counts})

    def move(self, stretch: Stretch) -> None:
        """Go to the end of a stretch."""
        times = [(i, _times(rows)) for i, rows in stretch.parts]
        last = max(int(part[-1]) for _, part in times)
        if last != self.time:
            self.time, self.read = last, {}
        for i, part in times:
            count = len(part) - int(np.searchsorted(part, np.uint64(last)))
            if count:
                self.read[i] = self.read.get(i, 0) + count


@dataclass(frozen=True)
class Selected:
    """A series with its open files and its channel."""

    series: Series
    channel: live.Channel
    opened: Sequence[Opened]


def responses(
    selected: Sequence[Selected], start: int, end: int, place: Place, filter_hash: str
) -> Iterator[rpc.ReadReplayResponse]:
    """Yield the rows of a closed range after a place, merged."""
    rows = [_rows(each, max(start, place.time), end) for each in selected]
    rows = [_after(each, place.read.get(i, 0)) for i, each in enumerate(rows)]
    for stretch in stretches(rows):
        place.move(stretch)
        message = rpc.ReadReplayResponse(
            batches=[
                batch_of(selected[i].series, selected[i].channel, part) for i, part in stretch.parts
            ],
            cursor=place.cursor(filter_hash),
        )
        if len(stretch.parts) > 1:
            message.order = stretch.order.tobytes()
        yield message


def _rows(each: Selected, start: int, end: int) -> Iterator[pa.RecordBatch]:
    names = [*KINDS[each.series.kind].order, *TIMES]
    metadata = each.opened[0].parquet.schema_arrow.metadata
    for batch in batches(each.opened, names, start, end, ROWS):
        yield batch.select(names).replace_schema_metadata(metadata)


def _after(rows: Iterator[pa.RecordBatch], read: int) -> Iterator[pa.RecordBatch]:
    """Leave out the first rows."""
    for batch in rows:
        left_out = min(read, batch.num_rows)
        read -= left_out
        yield batch.slice(left_out)


def _times(rows: pa.RecordBatch) -> NDArray[Any]:
    times: NDArray[Any] = rows.column("ts_init").to_numpy()
    return times
