"""Ticks → batches of columns, in one order over all channels.

A tick costs one ``list.append``. After the first tick of an idle time, everything is sent at the
end of the loop's turn; under load a sweep over all channels comes each 2 to 10 ms, as rare as
keeps sweeping to a quarter of the time. A flood leaves the loop no time for its timers, since all
that came in a turn is handled in the next one, which is longer: then data itself brings the sweep.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from mesh.marketdata.v1 import live_pb2 as live
from services.market_data.engine.feed.columns import fill
from services.market_data.engine.feed.link import Link
from services.market_data.live.frames import Batch, Closed, Gap

log = logging.getLogger("market_data.feed")

ROWS = 500
"""Rows of the largest batch."""

SHORTEST, LONGEST = 0.002, 0.008
"""Seconds between two sweeps."""

RELIEF = 0.02
"""Seconds between two looks whether the service reads again."""

MANY = 256
"""Pieces of data after which it is looked whether a sweep is overdue."""

SHARE = 4.0
"""Sweeps take at most one part in so many of the time."""


class Buffer:
    """Rows of one channel that wait to be sent; ``rows.append`` is all that a tick costs."""

    def __init__(self, number: int, kind: str, channel: live.Channel, price: int, size: int):
        self.number = number
        self.kind = kind
        self.channel = channel
        self.price, self.size = price, size
        self.rows: list[Any] = []
        self.latest: Any = None
        self.dropped_since = 0
        self.before_sweep: Callable[[], None] | None = None
        self.followed: Any = None
        """Of rows made of a book: the newest changes that are in it."""


class Capture:
    """The buffers of all channels, and the sweeps that send them."""

    def __init__(self, link: Link, loop: asyncio.AbstractEventLoop) -> None:
        self._link = link
        self._loop = loop
        self._buffers: dict[int, Buffer] = {}
        self._scheduled = False
        self._woken = 0
        self._swept = 0.0
        self._pause = SHORTEST
        self._full = False
        self.sequence = 0
        self.received = 0
        """Rows taken of the venue."""
        self.last = 0
        """``ts_init`` of the newest row that was sent, unix ns."""
        self.before_sweep: Callable[[], None] | None = None
        """Called at the start of each sweep that has something to send."""

    def open(self, buffer: Buffer) -> None:
        """Begin to send the rows of a buffer."""
        self._buffers[buffer.number] = buffer

    def close(self, number: int) -> None:
        """Send what a channel has left, and that nothing comes after it."""
        self.sweep()
        self._buffers.pop(number, None)
        self._link.tell(Closed(number))

    def find(self, number: int) -> Buffer | None:
        """Return the buffer of a channel."""
        return self._buffers.get(number)

    def wake(self) -> None:
        """Take note that there may be new rows: to be called after each piece of data."""
        self._woken += 1
        if self._scheduled:
            if self._woken >= MANY:
                self._sweep_if_due()
            return
        self._scheduled = True
        wait = self._swept + self._pause - time.perf_counter()
        if wait > 0:
            self._loop.call_later(wait, self._on_time)
        else:
            self._loop.call_soon(self._on_time)

    def _sweep_if_due(self) -> None:
        self._woken = 0
        if time.perf_counter() - self._swept >= self._pause:
            self.sweep()

    def _on_time(self) -> None:
        self._scheduled = False
        self.sweep()

    def sweep(self) -> None:
        """Send all rows of all channels now."""
        began = time.perf_counter()
        if self.before_sweep is not None:
            self.before_sweep()
        for buffer in list(self._buffers.values()):
            if buffer.before_sweep is not None:
                buffer.before_sweep()
            if buffer.rows:
                self._send(buffer)
        self._swept = time.perf_counter()
        self._pause = min(LONGEST, max(SHORTEST, (self._swept - began) * SHARE))

    def _send(self, buffer: Buffer) -> None:
        rows = buffer.rows[:]
        buffer.rows.clear()  # never replaced: its append is subscribed to the bus
        buffer.latest = rows[-1]
        self.received += len(rows)
        if buffer.dropped_since or self._link.full:
            self._drop(buffer, rows)
            return
        for part in _parts(rows):
            try:
                self._link.tell(self._batch(buffer, part))
            except Exception as error:  # whatever it is, rows must not go without a word
                log.error("rows without columns: %r", error, extra={"kind": buffer.kind})
                self.gap("MALFORMED_DATA", buffer.number, message=_ODD)

    def _batch(self, buffer: Buffer, rows: list[Any]) -> Batch:
        columns = live.MarketDataBatch(channel=buffer.channel, sequence=self.sequence + 1)
        fill(buffer.kind, rows, columns, buffer.price, buffer.size)
        self.sequence += 1
        self.last = max(self.last, rows[-1].ts_init)
        return Batch(
            buffer.number,
            self.sequence,
            len(rows),
            rows[0].ts_init,
            rows[-1].ts_init,
            columns.SerializeToString(),
        )

    # -- gaps

    def gap(
        self, cause: str, channel: int = -1, start: int = 0, end: int = 0, message: str = ""
    ) -> None:
        """Tell that data may be missing between what was swept and what comes."""
        self._link.tell(Gap(channel, cause, start, end, message))

    def _drop(self, buffer: Buffer, rows: list[Any]) -> None:
        """Drop rows, since the service does not read."""
        if not self._full:
            self._full = True
            self._loop.call_later(RELIEF, self._relieve)
        if not buffer.dropped_since:
            buffer.dropped_since = self.last or rows[0].ts_init

    def _relieve(self) -> None:
        """Tell what was dropped, once the service reads again."""
        if not self._link.relieved:
            self._loop.call_later(RELIEF, self._relieve)
            return
        self._full = False
        now = time.time_ns()
        for buffer in self._buffers.values():
            if buffer.dropped_since:
                text = "The service did not read for some time."
                self.gap("SLOW_READER", buffer.number, buffer.dropped_since, now, text)
                buffer.dropped_since = 0


_ODD = "The venue sent values that cannot be written as columns."


def _parts(rows: list[Any]) -> Iterator[list[Any]]:
    if len(rows) <= ROWS:
        yield rows
        return
    rest = iter(rows)
    while part := list(islice(rest, ROWS)):
        yield part
