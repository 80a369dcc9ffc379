"""The newest of a feed, in one order, kept for readers that are late or come back.

One log holds what a feed told: batches, gaps, changes of states, books. A reader has a place in it
and no queue. Each channel keeps at least ``Bounds.seconds`` of batches, unless they are more than
``Bounds.channel_bytes``; what is dropped is remembered by its number, so a reader knows it lost
something.
"""

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from services.market_data.live.domain import Channel

DATA, GAP, STATUS, BOOK = range(4)
"""Kinds of entries."""

OVERHEAD = 256
"""Bytes that an entry takes beside its payload, about: many small batches are bounded as well."""

COMPACT = 4096
"""Dropped places at the front of the list before it is cut."""


@dataclass(frozen=True)
class Bounds:
    """What is kept: for so long, of a channel at most, of a feed at most."""

    seconds: float = 60.0
    channel_bytes: int = 8 * 2**20
    feed_bytes: int = 512 * 2**20


@dataclass(frozen=True)
class ItemStatus:
    """State of a channel; ``time`` is unix ns."""

    state: str
    time: int
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class GapNote:
    """A gap; ``start`` and ``end`` are unix ns, 0 when not known."""

    cause: str
    start: int = 0
    end: int = 0
    message: str = ""


class Entry:
    """One thing in the log; ``what`` is the payload, a ``GapNote`` or an ``ItemStatus``; without
    it a STATUS is nobody's, and marks that a channel was closed.
    """

    __slots__ = (
        *("at", "channel", "framed", "kind", "last", "latest", "number", "objects", "rows"),
        "what",
    )

    def __init__(
        self,
        kind: int,
        channel: "LiveChannel | None",
        what: bytes | GapNote | ItemStatus | None = None,
        rows: int = 0,
        last: int = 0,
    ) -> None:
        self.kind, self.channel, self.what = kind, channel, what
        self.rows, self.last = rows, last
        self.number = -1
        self.at = 0.0
        self.framed: bytes | None = None
        """Head of the batch in a response, made when first sent."""
        self.objects: bytes | None = None
        """Rows as objects in a response, kept while readers may want them."""
        self.latest: bytes | None = None
        """Last row as a ``MarketDataUpdate``, made when first wanted."""

    @property
    def payload(self) -> bytes | None:
        """Payload of DATA and BOOK; None when it was dropped."""
        return self.what if isinstance(self.what, bytes) else None


class LiveChannel:
    """A channel that is open, or being opened, with its newest batches."""

    def __init__(self, channel: Channel, opened: int) -> None:
        self.channel = channel
        self.number = -1
        """Number that the feed's process knows it by."""
        self.users: dict[str, int] = {}
        """Subscriptions that want it, each with the number of the log's end when it began to."""
        self.recorders: set[str] = set()
        self.status = ItemStatus("PENDING", time.time_ns())
        self.opened_in = ""
        """Epoch of the feed in which the venue took it last."""
        self.told = -1
        """Number of the newest STATUS entry."""
        self.rows = 0
        self.last = 0
        """``ts_init`` of the newest row."""
        self.newest: Entry | None = None
        self.entries: deque[Entry] = deque()
        self.bytes = 0
        self.trimmed = -1
        """Highest number of a batch or gap of it that was dropped."""
        self.opened = opened
        """Number of the log's end when it was opened: nothing before it can be resumed."""

    def __repr__(self) -> str:
        return f"<{self.channel}>"

    def before(self, number: int) -> Entry | None:
        """Return the newest batch that is kept with a lower number."""
        for entry in reversed(self.entries):
            if entry.number < number:
                return entry
        newest = self.newest
        return newest if newest is not None and newest.number < number else None


class FeedLog:
    """Entries numbered from 0 without holes; the oldest go."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = time.monotonic) -> None:
        self.bounds = bounds
        self.id = secrets.token_hex(8)
        """Tells this log's numbers from those of an earlier life of the service."""
        self._clock = clock
        self._entries: list[Entry] = []
        self._head = 0
        self.end = 0
        """Number of the next entry."""
        self.bytes = 0
        self.trimmed = -1
        """Highest number of a dropped gap of all channels."""

    @property
    def first(self) -> int:
        """Number of the oldest entry that is kept; ``end`` when there is none."""
        return self.end - (len(self._entries) - self._head)

    def append(self, entry: Entry) -> int:
        """Add an entry, drop what is too old or too much; returns its number."""
        entry.number, entry.at = self.end, self._clock()
        self.end += 1
        self._entries.append(entry)
        self.bytes += OVERHEAD
        if entry.kind == DATA:
            self._keep(entry)
        elif entry.kind == STATUS and entry.channel is not None:
            entry.channel.told = entry.number
        elif entry.kind == BOOK:
            self.bytes += len(entry.payload or b"")
        self.trim(entry.at)
        return entry.number

    def _keep(self, entry: Entry) -> None:
        channel, payload = entry.channel, entry.payload
        assert channel is not None  # a batch has one
        assert payload is not None  # and it is new
        channel.entries.append(entry)
        channel.newest = entry
        channel.rows += entry.rows
        channel.last = entry.last
        channel.bytes += len(payload)
        self.bytes += len(payload)
        while channel.bytes > self.bounds.channel_bytes and len(channel.entries) > 1:
            self._forget(channel.entries[0])

    def _forget(self, entry: Entry) -> None:
        """Drop the oldest batch of its channel; its place in the log stays, empty."""
        channel, payload = entry.channel, entry.payload
        assert channel is not None  # a batch has one
        assert payload is not None  # and it is dropped once
        channel.entries.popleft()
        channel.bytes -= len(payload)
        self.bytes -= len(payload)
        channel.trimmed = entry.number
        if channel.newest is not entry:
            entry.what = entry.framed = entry.objects = entry.latest = None

    def trim(self, now: float | None = None) -> None:
        """Drop what is older than it must be kept, and the oldest when all is too much."""
        oldest = (self._clock() if now is None else now) - self.bounds.seconds
        entries = self._entries
        while self._head < len(entries) - 1:
            entry = entries[self._head]
            if entry.at >= oldest and self.bytes <= self.bounds.feed_bytes:
                break
            self._drop(entry)
            self._head += 1
        if self._head >= COMPACT and self._head * 2 >= len(entries):
            del entries[: self._head]
            self._head = 0

    def _drop(self, entry: Entry) -> None:
        self.bytes -= OVERHEAD
        channel = entry.channel
        if entry.kind == GAP:
            if channel is None:
                self.trimmed = entry.number
            else:
                channel.trimmed = entry.number
        elif entry.kind == BOOK and channel is not None:
            self.bytes -= len(entry.payload or b"")
            channel.trimmed = max(channel.trimmed, entry.number)  # changes are useless without it
        elif entry.kind == DATA and channel and channel.entries and channel.entries[0] is entry:
            self._forget(entry)

    def read(self, place: int, limit: int) -> Iterator[Entry]:
        """Yield up to ``limit`` entries from a place on, which is not before ``first``."""
        start = place - self.first + self._head
        # A slice goes to its start at once; an iterator over the list would walk there.
        return iter(self._entries[start : start + limit])

    def lost(self, channel: LiveChannel, place: int) -> bool:
        """Whether something of a channel at or after a place was dropped."""
        return max(channel.trimmed, self.trimmed) >= place
