"""Stored rows → batches, in one order with the bars that Nautilus makes."""

import pyarrow as pa

from mesh.marketdata.v1 import live_pb2 as live
from services.market_data.domain import Series
from services.market_data.engine.feed.capture import ROWS, Capture
from services.market_data.live.frames import Batch
from services.market_data.live.stored_columns import batch_of


class Sender(Capture):
    """A capture that takes columns too, which never become objects.

    Nothing is dropped: who puts waits for the link between windows.
    """

    def put(self, number: int, channel: live.Channel, series: Series, rows: pa.RecordBatch) -> None:
        """Send rows of a channel now."""
        for start in range(0, rows.num_rows, ROWS):
            part = rows.slice(start, ROWS)
            self.sequence += 1
            batch = batch_of(series, channel, part)
            batch.sequence = self.sequence
            times = part.column("ts_init")
            first, last = times[0].as_py(), times[-1].as_py()
            payload = batch.SerializeToString()
            self._link.tell(Batch(number, self.sequence, part.num_rows, first, last, payload))
            self.last = last
        self.received += rows.num_rows
