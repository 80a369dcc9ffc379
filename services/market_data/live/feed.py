"""A feed that is alive: its state, its channels and its log, as its process tells them."""

import asyncio
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from msgspec.structs import replace

from services.market_data.live import frames
from services.market_data.live.asking import Asking
from services.market_data.live.domain import DELTAS, Channel, Feed
from services.market_data.live.errors import FeedUnavailable, VenueAnswer
from services.market_data.live.log import (
    BOOK,
    DATA,
    GAP,
    STATUS,
    Bounds,
    Entry,
    FeedLog,
    GapNote,
    ItemStatus,
    LiveChannel,
)

IDLE, CONNECTING, CONNECTED, DISCONNECTED, FAILED = (
    "IDLE",
    "CONNECTING",
    "CONNECTED",
    "DISCONNECTED",
    "FAILED",
)
LIVE, PENDING, STALE = "LIVE", "PENDING", "STALE"
SHOWN = 256
"""Batches that are kept as objects, for the watchers of one feed."""

BURST = 128 * 2**10
"""Bytes of batches after which watchers are to have their turn."""

DEEPEST = 1_000
"""Levels of the book that is kept after a gap: each reader takes as many as it wants."""


@dataclass(frozen=True)
class FeedStatus:
    """State of a feed; ``time`` is unix ns."""

    state: str
    time: int
    reason: str = ""
    message: str = ""


@dataclass
class Totals:
    """Counts since the service was started."""

    rows: int = 0
    batches: int = 0
    bytes: int = 0
    reconnects: int = 0
    gaps: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Newest:
    """The newest value of a channel, a ``MarketDataUpdate`` or nothing, and its place.

    It holds all entries of the log below the place, and none from there on.
    """

    payload: bytes
    place: int


class Tap(Protocol):
    """Gets what a feed tells, before any watcher; never waits and never raises."""

    def batch(self, feed: "LiveFeed", channel: LiveChannel, batch: frames.Batch) -> None:
        """Take a batch."""

    def gap(self, feed: "LiveFeed", channel: LiveChannel | None, gap: frames.Gap) -> None:
        """Take a gap; of all channels without one."""


class LiveFeed:
    """``changed`` is called when the state of the feed or of its replay changes."""

    def __init__(
        self, feed: Feed, bounds: Bounds, tap: Tap, changed: "Callable[[LiveFeed], None]"
    ) -> None:
        self.feed = feed
        self.log = FeedLog(bounds)
        self.channels: dict[Channel, LiveChannel] = {}
        self.asking = Asking()
        self.news = asyncio.Event()
        """Set and replaced when there is something for watchers."""
        self.hurry = asyncio.Event()
        """Set and replaced when much has come: who gathers what comes waits no longer."""
        self.connected = asyncio.Event()
        self.status = FeedStatus(IDLE, time.time_ns())
        self.epoch = ""
        self.starts = self.reconnects = self.rows = self.last = self.watchers = 0
        self.cpu = 0.0
        self.totals = Totals()
        self.replay: frames.ReplayPosition | None = None
        self.send: Callable[[frames.Command], None] = _nowhere
        """Sends a command to the process; nowhere while there is none."""
        self.shown: deque[Entry] = deque(maxlen=SHOWN)
        """Batches that are kept as objects as well."""
        self._tap, self._changed = tap, changed
        self._numbers: dict[int, LiveChannel] = {}
        self._next = 0
        self._interrupted: GapNote | None = None
        self._rung = False
        self._burst = 0
        self._books: set[LiveChannel] = set()
        self._kept: dict[int, LiveChannel] = {}
        self._shared: dict[tuple[LiveChannel, int], tuple[float, asyncio.Task[Newest]]] = {}

    @property
    def alive(self) -> bool:
        """Whether there is a process that takes commands."""
        return self.send is not _nowhere

    # ---- channels ----------------------------------------------------------------------------

    def open(self, channel: Channel) -> LiveChannel:
        """Return a channel, opened at the venue if it is not."""
        found = self.channels.get(channel)
        if found is None:
            found = self.channels[channel] = LiveChannel(channel, self.log.end)
            self._open(found)
        return found

    def close(self, live: LiveChannel) -> None:
        """Close a channel at the venue; what still comes of it is ignored."""
        del self.channels[live.channel]
        self.mark()
        self._books.discard(live)
        for key in [key for key in self._shared if key[0] is live]:
            del self._shared[key]
        if self._numbers.pop(live.number, None):
            self.send(frames.Close(live.number))

    def mark(self) -> int:
        """Return a number of the log that is higher than those of the readers until now."""
        self.log.append(Entry(STATUS, None))
        return self.log.end

    def reopen(self, live: LiveChannel) -> None:
        """Open a channel anew, so that what comes of it begins with a whole book."""
        if self._numbers.pop(live.number, None) and self.channels.get(live.channel) is live:
            self.send(frames.Close(live.number))
            self._open(live)
            text = "The book is begun anew for a recording."
            self._gap(live, GapNote("RESUBSCRIBED", live.last, 0, text))

    def _open(self, live: LiveChannel) -> None:
        live.number, self._next = self._next, self._next + 1
        self._numbers[live.number] = live
        channel = live.channel
        self.send(frames.Open(live.number, channel.kind, channel.instrument_id, channel.bar_type))

    # ---- the life of the process -------------------------------------------------------------

    def begin(self, send: Callable[[frames.Command], None]) -> None:
        """Begin a new epoch: a process was started, and all channels are to be opened."""
        self.epoch = secrets.token_hex(8)
        self.starts += 1
        self.reconnects = self.rows = 0
        self.send = send
        self._numbers.clear()
        for live in self.channels.values():
            live.rows = 0
            if live.status.state == FAILED:
                self.set_item(live, PENDING)
            self._open(live)

    def end(self, state: str, reason: str, message: str, error: Exception) -> None:
        """Say that the process has ended."""
        self.send = _nowhere
        self._numbers.clear()
        self._kept.clear()
        self.asking.fail(error)
        if self.channels and not self._interrupted:
            self._interrupted = GapNote("FEED_RESTARTED", 0, 0, message)
        if not self.channels:
            self._interrupted = None
        self.set_state(state, reason, message)

    def set_state(self, state: str, reason: str = "", message: str = "") -> None:
        """Change the feed's state, and that of its items with it."""
        old = self.status
        if (old.state, old.reason, old.message) == (state, reason, message):
            return
        since = old.time if old.state == state else time.time_ns()
        self.status = FeedStatus(state, since, reason, message)
        if state == CONNECTED:
            self.connected.set()
            self._resumed()
        else:
            self.connected.clear()
            self._stale(message or reason or state)
        self._changed(self)
        self._ring()

    def _stale(self, why: str) -> None:
        for live in self.channels.values():
            if live.status.state == LIVE:
                self.set_item(live, STALE, "", f"The feed is not connected: {why}")

    def _resumed(self) -> None:
        """Take back what ``_stale`` said, unless the channels are being opened anew."""
        self._told_interruption()
        for live in self.channels.values():
            if live.status.state == STALE and live.opened_in == self.epoch:
                self.set_item(live, LIVE)

    def _told_interruption(self) -> None:
        if self._interrupted:
            note = self._interrupted
            self._interrupted = None
            self._gap(None, GapNote(note.cause, note.start, time.time_ns(), note.message))

    def set_item(self, live: LiveChannel, state: str, reason: str = "", message: str = "") -> None:
        """Change the state of a channel."""
        old = live.status
        if (old.state, old.reason, old.message) == (state, reason, message):
            return
        since = old.time if old.state == state else time.time_ns()
        live.status = ItemStatus(state, since, reason, message)
        if state == LIVE:
            live.opened_in = self.epoch
        self.log.append(Entry(STATUS, live, live.status))
        self._ring()

    # ---- what the process tells --------------------------------------------------------------

    def told(self, frame: frames.Told) -> None:
        """Take a frame, in the order in which it was sent."""
        match frame:
            case frames.Batch():
                self._batch(frame)
            case frames.Pulse():
                self.cpu = frame.cpu
            case frames.State():
                self._state(frame)
            case frames.ItemStatus():
                self._item(frame)
            case frames.Gap():
                self._told_gap(frame)
            case frames.ReplayPosition():
                self._position(frame)
            case frames.Snapshot():
                self._snapshot(frame)
            case frames.Closed():
                pass  # it was forgotten when it was closed
            case _:
                self.asking.told(frame.id, frame)

    def _batch(self, frame: frames.Batch) -> None:
        live = self._numbers.get(frame.channel)
        if live is None:
            return
        self._told_interruption()
        self.rows += frame.rows
        totals = self.totals
        totals.rows += frame.rows
        totals.batches += 1
        totals.bytes += len(frame.payload)
        self._burst += len(frame.payload)
        if self._burst >= BURST:
            self._burst = 0
            self.hurry.set()
            self.hurry = asyncio.Event()
        self.last = max(self.last, frame.last)
        if self.replay is not None and frame.last >= self.replay.position:
            # It is told once a second only; the next process shall not play this again.
            self.replay = replace(self.replay, position=frame.last + 1)
        self._tap.batch(self, live, frame)
        self.log.append(Entry(DATA, live, frame.payload, frame.rows, frame.last))
        self._ring()

    def _state(self, frame: frames.State) -> None:
        if frame.state == CONNECTED and self.status.state == DISCONNECTED:
            self.reconnects += 1
            self.totals.reconnects += 1
        self.set_state(frame.state, frame.reason, frame.message)

    def _item(self, frame: frames.ItemStatus) -> None:
        live = self._numbers.get(frame.channel)
        if live is not None:
            self.set_item(live, frame.state, frame.reason, frame.message)
            if frame.state == LIVE and live in self._books:
                self._keep_book(live)

    def _told_gap(self, frame: frames.Gap) -> None:
        live = self._numbers.get(frame.channel)
        if live is not None or frame.channel < 0:
            note = GapNote(frame.cause, frame.start, frame.end, frame.message)
            self._gap(live, note)

    def _gap(self, live: LiveChannel | None, note: GapNote) -> None:
        self.totals.gaps[note.cause] += 1
        self._tap.gap(self, live, frames.Gap(-1, note.cause, note.start, note.end, note.message))
        self.log.append(Entry(GAP, live, note))
        self._ring()
        for each in [live] if live else self.channels.values():
            if each.channel.kind == DELTAS:
                self._books.add(each)
                if each.status.state == LIVE:
                    self._keep_book(each)

    def _position(self, frame: frames.ReplayPosition) -> None:
        old, self.replay = self.replay, frame
        if old is None or (old.paused, old.speed, old.ended) != (
            frame.paused,
            frame.speed,
            frame.ended,
        ):
            self._changed(self)

    # ---- books -------------------------------------------------------------------------------

    def _keep_book(self, live: LiveChannel) -> None:
        """Ask for the book after a gap, to be kept in the log where it belongs."""
        self._books.discard(live)
        id_ = self.asking.next_id()
        self._kept[id_] = live
        self.send(frames.AskSnapshot(id_, live.number, DEEPEST))

    def _snapshot(self, frame: frames.Snapshot) -> None:
        live = self._kept.pop(frame.id, None)
        if live is None:
            self.asking.told(frame.id, Newest(frame.payload, self.log.end))
        elif frame.payload and self.channels.get(live.channel) is live:
            self.log.append(Entry(BOOK, live, frame.payload))
            self._ring()

    async def newest(self, live: LiveChannel, levels: int, seconds: float) -> Newest:
        """Ask for the newest value of a channel; empty when there is no answer in time."""
        if not self.alive:
            return Newest(b"", self.log.end)
        number = live.number
        try:
            told = await self.asking.one(
                self.send, lambda i: frames.AskSnapshot(i, number, levels), seconds
            )
        except TimeoutError:
            if self.channels.get(live.channel) is live:
                self._keep_book(live)  # late is better than never
            return Newest(b"", self.log.end)
        except (VenueAnswer, FeedUnavailable):
            return Newest(b"", self.log.end)
        assert isinstance(told, Newest)  # what ``_snapshot`` makes of the answer
        return told

    async def shared(self, live: LiveChannel, levels: int, age: float) -> Newest:
        """Return the newest value of a channel, or one that another watcher asked for not longer
        ago than ``age`` seconds.
        """
        now = asyncio.get_running_loop().time()
        key = live, levels
        asked, task = self._shared.get(key, (0.0, None))
        if task is None or now - asked >= age:
            task = asyncio.create_task(self.newest(live, levels, 5.0), name="book")
            self._shared[key] = now, task
        return await asyncio.shield(task)

    # ---- watchers ----------------------------------------------------------------------------

    def _ring(self) -> None:
        """Wake the watchers once all frames at hand are read."""
        if not self._rung:
            self._rung = True
            asyncio.get_running_loop().call_soon(self.wake)

    def wake(self) -> None:
        """Wake all watchers."""
        self._rung = False
        self.news.set()
        self.news = asyncio.Event()


def _nowhere(_: frames.Command) -> None:
    """Drop a command: all channels are opened when the next process begins."""
