"""``ticks:<project>:<feed>:<instrument or bar type>:<kind>`` in Redis: batches for who reads there.

Lossy by contract, and never in the way: what Redis does not take in time is dropped and told by a
``gap`` entry in its stream once Redis is back. All streams together have a bound in bytes, and one
that gets nothing goes away by itself.
"""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio

from meshkit.link import ERRORS, Link
from services.market_data.live import frames
from services.market_data.live.feed import LiveFeed
from services.market_data.live.log import LiveChannel
from services.market_data.live.metrics import TICKS_DROPPED

LARGEST = 16 * 2**20
"""Bytes that wait for Redis at most."""

TOGETHER = 256
"""Entries in one round trip."""

LINGER = 0.02
"""Seconds for which entries are gathered: a round trip for each would cost most of the time."""

TOTAL = 256 * 2**20
"""Bytes that all streams keep, about: each has an equal share."""

SHARE = 2**20
"""Bytes that a stream keeps at most when there are few."""

EXPIRY, REFRESH = 3_600, 60.0
"""Seconds after its last batch for which a stream is kept, and between two words of it to Redis."""


@dataclass
class Dropped:
    """Batches of a stream that were dropped: how many, and the numbers of the first and last."""

    stream: str
    epoch: str
    first: int
    last: int
    batches: int = 0
    rows: int = 0


@dataclass(frozen=True)
class Waiting:
    """A batch on its way."""

    stream: str
    epoch: str
    batch: frames.Batch


@dataclass(frozen=True)
class Removed:
    """Streams to be removed, after what waits for them."""

    streams: frozenset[str]


@dataclass
class Kept:
    """What is known of a stream: the usual bytes of a batch, and when its expiry was told."""

    size: float
    told: float = float("-inf")


@dataclass
class Keeping:
    """How much each stream may keep, and for how long."""

    longest: int
    total: int
    streams: dict[str, Kept] = field(default_factory=dict)
    _looked: float = 0.0

    def add(self, stream: str, size: int, now: float) -> tuple[int, bool]:
        """Take note of an entry; returns how many the stream may have now, and whether its expiry
        is to be told anew.
        """
        if now - self._looked >= REFRESH:
            self._looked = now
            self.streams = {n: k for n, k in self.streams.items() if k.told > now - EXPIRY}
        kept = self.streams.setdefault(stream, Kept(size))
        kept.size += (size - kept.size) / 16
        share = min(SHARE, self.total // len(self.streams))
        due = now - kept.told >= REFRESH
        kept.told = now if due else kept.told
        return max(1, min(self.longest, int(share / max(kept.size, 1.0)))), due


Item = Waiting | Dropped
Fields = dict[Any, Any]


class TickStreams:
    """Appends batches; each stream keeps about ``longest`` of them, or fewer: all of them together
    keep about ``total`` bytes. ``async with`` runs it.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        longest: int,
        largest: int = LARGEST,
        total: int = TOTAL,
    ) -> None:
        self._client, self._largest = client, largest
        self._keeping = Keeping(longest, total)
        self._queue: deque[Item | Removed] = deque()
        self._bytes = 0
        self._gaps: dict[str, Dropped] = {}
        """Of streams whose last item in the queue is a gap: that gap."""
        self._news = asyncio.Event()
        self._link = Link("ticks:redis")

    async def __aenter__(self) -> "TickStreams":
        self._task = asyncio.create_task(self._run(), name="ticks")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def offer(self, feed: LiveFeed, channel: LiveChannel, batch: frames.Batch) -> None:
        """Take a batch; drops it rather than wait."""
        row, of = feed.feed, channel.channel
        item = Waiting(f"ticks:{row.project}:{row.feed_id}:{of.name}:{of.kind}", feed.epoch, batch)
        if self._bytes + len(batch.payload) > self._largest:
            if item.stream not in self._gaps:
                self._gaps[item.stream] = _gap(item)
                self._queue.append(self._gaps[item.stream])
            _widen(self._gaps[item.stream], item)
            return
        self._gaps.pop(item.stream, None)
        self._queue.append(item)
        self._bytes += len(batch.payload)
        self._news.set()

    def forget(self, feed: LiveFeed) -> None:
        """Remove the streams of a feed that is deleted; unknown ones go with their expiry."""
        of = f"ticks:{feed.feed.project}:{feed.feed.feed_id}:"
        waiting = {item.stream for item in self._queue if not isinstance(item, Removed)}
        streams = frozenset(n for n in waiting.union(self._keeping.streams) if n.startswith(of))
        if streams:
            self._gaps = {s: gap for s, gap in self._gaps.items() if s not in streams}
            self._queue.append(Removed(streams))
            self._news.set()

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            await asyncio.sleep(LINGER)
            self._news.clear()
            while self._queue:
                taken = [self._queue.popleft() for _ in range(min(TOGETHER, len(self._queue)))]
                self._bytes -= sum(len(i.batch.payload) for i in taken if isinstance(i, Waiting))
                self._gaps = {s: gap for s, gap in self._gaps.items() if gap not in taken}
                try:
                    await self._send(taken)
                    self._link.up()
                except ERRORS as error:
                    self._keeping.streams.clear()  # a Redis that lost all knows no expiry either
                    self._lose(taken)
                    await asyncio.sleep(self._link.down(error))

    async def _send(self, taken: list[Item | Removed]) -> None:
        pipe, now = self._client.pipeline(transaction=False), asyncio.get_running_loop().time()
        for item in taken:
            if isinstance(item, Removed):
                pipe.unlink(*item.streams)
                for stream in item.streams:
                    self._keeping.streams.pop(stream, None)
                continue
            size = len(item.batch.payload) if isinstance(item, Waiting) else 0
            most, due = self._keeping.add(item.stream, size, now)
            pipe.xadd(item.stream, _fields(item), maxlen=most, approximate=True)
            if due:
                pipe.expire(item.stream, EXPIRY)
        await pipe.execute()

    def _lose(self, taken: list[Item | Removed]) -> None:
        """Make gaps of items: whether Redis took them is not known, and twice is worse."""
        gaps: dict[str, Dropped] = {}
        removed: list[Removed] = []
        for item in taken:
            if isinstance(item, Removed):
                removed.append(item)
                gaps = {s: gap for s, gap in gaps.items() if s not in item.streams}
                continue
            gap = gaps.setdefault(item.stream, _gap(item))
            _widen(gap, item)
        self._queue.extendleft(gaps.values())
        self._queue.extendleft(removed)


def _gap(item: Item) -> Dropped:
    first = item.batch.sequence if isinstance(item, Waiting) else item.first
    return Dropped(item.stream, item.epoch, first, first)


def _widen(gap: Dropped, item: Item) -> None:
    if isinstance(item, Waiting):
        gap.last = item.batch.sequence
        gap.batches, gap.rows = gap.batches + 1, gap.rows + item.batch.rows
        TICKS_DROPPED.inc(item.batch.rows)
    else:
        gap.last = item.last
        gap.batches, gap.rows = gap.batches + item.batches, gap.rows + item.rows


def _fields(item: Item) -> Fields:
    if isinstance(item, Waiting):
        batch = item.batch
        return {"e": item.epoch, "s": batch.sequence, "n": batch.rows, "p": batch.payload}
    numbers: Fields = {"from": item.first, "to": item.last}
    return {"gap": item.batches, "e": item.epoch, "n": item.rows, **numbers}
