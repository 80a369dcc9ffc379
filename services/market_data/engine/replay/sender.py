"""Stored rows → batches, in one order with the bars that Nautilus makes."""

from mesh.marketdata.v1 import live_pb2 as live
from services.market_data.engine.feed.capture import ROWS, Capture
from services.market_data.engine.replay.track import Part
from services.market_data.live.frames import Batch


class Sender(Capture):
    """A capture that takes columns too, which never become objects.

    Nothing is dropped: who puts waits for the link between windows.
    """

    def put(self, number: int, channel: live.Channel, part: Part) -> None:
        """Send rows of a channel now."""
        times = part.block.times
        for start in range(part.start, part.end, ROWS):
            end = min(start + ROWS, part.end)
            batch = part.block.cut(start, end, channel)
            self.sequence += 1
            batch.sequence = self.sequence
            first, self.last = int(times[start]), int(times[end - 1])
            payload = batch.SerializeToString()
            self._link.tell(Batch(number, self.sequence, end - start, first, self.last, payload))
        self.received += part.end - part.start
