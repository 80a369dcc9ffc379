"""One watcher: what it is told next, from its place in the log of a feed.

It holds no queue: a place in the log, and of each channel the place from which on it wants data.
What the log has dropped before it was sent is said as a gap, with a snapshot to go on from.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from meshkit.errors import InvalidCursor, MeshError
from meshkit.link import wait
from services.market_data.live import convert, showing
from services.market_data.live.cursor import Cursor
from services.market_data.live.domain import BARS, DELTAS, DEPTH, LOSSLESS
from services.market_data.live.errors import no_subscription
from services.market_data.live.feed import LiveFeed, Newest
from services.market_data.live.hub import Held
from services.market_data.live.log import (
    BOOK,
    DATA,
    GAP,
    STATUS,
    Entry,
    GapNote,
    ItemStatus,
    LiveChannel,
)
from services.market_data.live.wire import MOST, Outgoing

LARGEST, LARGEST_FIRST = 256 * 2**10, 2 * 2**20
"""Bytes of a message after which the next one is begun; the first has what came meanwhile too."""

SCAN = 4_096
"""Entries that are looked at before others get their turn."""

PACE = 0.003
"""Seconds between two messages to a watcher: at a high rate few are sent, and large ones."""

FEW = 16
"""Channels whose times are looked through for each cursor."""

BOOK_SECONDS = 10.0
"""How long a snapshot of a book is waited for."""


@dataclass(eq=False)
class Item:
    """A channel that is watched: wanted are its entries from ``place`` on.

    ``since`` is the place from which on its subscription has it, ``last`` the ``ts_init`` that the
    reader has; ``due`` when CONFLATED may send again.
    """

    live: LiveChannel
    lossless: bool
    interval: float
    since: int = 0
    place: int = 0
    last: int = 0
    due: float = 0.0

    @property
    def is_book(self) -> bool:
        """Whether its newest value is a book that the process keeps."""
        return self.live.channel.kind == DELTAS


@dataclass(frozen=True)
class Wish:
    """How a watcher wants to be told."""

    columns: bool
    levels: int
    checkpoint: float
    bound_to: str
    over: Callable[[], MeshError | None]
    """Why the stream must end now; None while it may go on."""
    ends: float
    """When the token ends, unix seconds."""
    message: int = MOST
    """Bytes of a message, about; snapshots that are more come in several."""


class Watch:
    """A watcher of subscriptions of one feed."""

    def __init__(self, live: LiveFeed, held: Sequence[Held], wish: Wish) -> None:
        self._live, self._log, self._held, self._wish = live, live.log, held, wish
        self._items: dict[LiveChannel, Item] = {}
        self._dirty: set[Item] = set()
        self._versions: list[int] = []
        self._place = 0
        self._ahead = 0
        self._time = 0
        self._timed = 0.0

    async def messages(self, after: str) -> AsyncIterator[bytes]:
        """Yield responses: those up to the first checkpoint have snapshots, the last before an
        error a cursor.
        """
        loop = asyncio.get_running_loop()
        out = Outgoing(self._wish.message)
        await self._attach(after, out)
        await self._collect(out, LARGEST_FIRST if self._place < self._ahead else LARGEST)
        for message in self._finished(out, checkpoint=True):
            yield message
        said = sent = loop.time()
        while True:
            if loop.time() - sent < PACE:
                await wait(self._live.hurry, sent + PACE - loop.time())
            news, over = self._live.news, self._over()
            out = Outgoing(self._wish.message)
            if over is None:
                await self._collect(out)
            due = over is not None or loop.time() - said >= self._wish.checkpoint
            if out or due:
                for message in self._finished(out, checkpoint=due):
                    yield message
                sent = loop.time()
                said = sent if due else said
            if over is not None:
                raise over
            if not out:
                rest = self._rest(loop.time(), said) if self._place == self._log.end else 0.0
                await wait(news, rest)

    def _finished(self, out: Outgoing, checkpoint: bool) -> Iterator[bytes]:
        """Yield a response, or several when it is large: then whoever has not got the last of them
        has only what was sent before, and a part of what is newer.
        """
        known = Cursor(self._log.id, self._place, self._time, partial=True)
        yield from out.before(lambda: known.encode(self._wish.bound_to))
        yield out.finish(self._cursor(), checkpoint)

    def _rest(self, now: float, said: float) -> float:
        """Return how long there is nothing to do unless there is news."""
        soonest = min((item.due for item in self._dirty), default=now + self._wish.checkpoint)
        rest = min(self._wish.checkpoint - (now - said), self._wish.ends - time.time())
        return max(0.0, min(rest, soonest - now))

    def _over(self) -> MeshError | None:
        for held in self._held:
            if held.deleted:
                return no_subscription(held.row.subscription_id)
        return self._wish.over()

    def _cursor(self) -> str:
        partial = self._place < self._ahead
        return Cursor(self._log.id, self._place, self._read_to(), partial).encode(
            self._wish.bound_to
        )

    def _read_to(self) -> int:
        """Return a time up to which the reader has every channel; an older one is as true, so of
        many channels it is not looked for each time.
        """
        now = asyncio.get_running_loop().time()
        if not self._time or len(self._items) <= FEW or now - self._timed >= 1.0:
            self._timed = now
            self._time = min((i.last for i in self._items.values() if i.last), default=0)
        return self._time

    # ---- to begin, and to go on after a cursor ---------------------------------------------------

    async def _attach(self, after: str, out: Outgoing) -> None:
        self._place = self._log.end
        new = self._sync()
        cursor = Cursor.decode(after, self._wish.bound_to) if after else None
        if cursor is None:
            await self._snapshots(new, out)
        elif cursor.log != self._log.id:
            restarted = GapNote("FEED_RESTARTED", cursor.time, 0, "The service was restarted.")
            out.put(gap=convert.gap(None, restarted, end=time.time_ns()))
            await self._snapshots(new, out)
        else:
            self._time = cursor.time
            await self._resume(cursor, new, out)
        self._turn()

    async def _resume(self, cursor: Cursor, items: Sequence[Item], out: Outgoing) -> None:
        if cursor.place > self._log.end:
            raise InvalidCursor("The cursor is ahead of the data. Watch again without a cursor.")
        trimmed, anew, fresh = [], [], []
        for item in items:
            if not item.lossless:
                fresh.append(item)
            elif max(item.live.opened, item.since) > cursor.place:
                anew.append(item)
            elif cursor.partial or self._log.lost(item.live, cursor.place):
                trimmed.append(item)
            else:
                item.place, item.last = cursor.place, cursor.time
                out.put(status=convert.item(item.live.channel, item.live))
        self._gap(trimmed, "CURSOR_TRIMMED", out, cursor.time)
        self._gap(anew, "RESUBSCRIBED", out, cursor.time)
        await self._snapshots([*trimmed, *anew, *fresh], out)

    def _turn(self) -> None:
        """Go to the first place that some channel wants."""
        places = [item.place for item in self._items.values()]
        self._place = max(min(places, default=self._log.end), self._log.first)
        self._ahead = max(places, default=0)

    def _sync(self) -> list[Item]:
        """Take over what the subscriptions ask for now; returns the new items."""
        versions = [held.version for held in self._held]
        if versions == self._versions:
            return []
        self._versions = versions
        wanted: dict[LiveChannel, Item] = {}
        for held in self._held:
            row = held.row
            for channel in row.channels:
                live = self._live.channels.get(channel)
                if live is not None:
                    lossless = row.delivery == LOSSLESS or channel.kind == BARS
                    since = live.users.get(row.subscription_id, 0)
                    _want(wanted, Item(live, lossless, row.conflate_ms / 1_000, since))
        old = self._items
        # One that is LOSSLESS now, and was not, begins anew with a snapshot.
        kept = {
            live
            for live, item in wanted.items()
            if live in old and old[live].lossless >= item.lossless
        }
        new = [item for live, item in wanted.items() if live not in kept]
        self._items = {live: old[live] if live in kept else item for live, item in wanted.items()}
        self._dirty &= set(self._items.values())
        return new

    # ---- what comes next -------------------------------------------------------------------------

    async def _collect(self, out: Outgoing, largest: int = LARGEST) -> None:
        """Add what there is from the watcher's place on, up to the size of a message."""
        new = self._sync()
        again = new + [item for item in self._overtaken(out) if item not in new]
        if not again:
            again = self._scan(out, largest)
        if again:
            await self._snapshots(again, out)
            self._ahead = max(self._ahead, *(item.place for item in again))
        if self._dirty and self._place == self._log.end:
            await self._conflated(out)

    def _overtaken(self, out: Outgoing) -> list[Item]:
        """Jump over what was dropped before it was read; returns what needs a snapshot."""
        first = self._log.first
        if self._place >= first:
            return []
        lost = []
        for item in self._items.values():
            if item.lossless and self._log.lost(item.live, max(self._place, item.place)):
                lost.append(item)
                continue
            newest = item.live.newest
            if not item.lossless and newest is not None and item.place <= newest.number < first:
                self._dirty.add(item)  # it is kept, though not in its place
            if self._place <= item.live.told < first:
                out.put(status=convert.item(item.live.channel, item.live))
        self._place = first
        self._gap(lost, "SLOW_READER", out)
        return lost

    def _scan(self, out: Outgoing, largest: int) -> list[Item]:
        """Add the entries that are wanted; returns what needs a snapshot."""
        again: list[Item] = []
        for entry in self._log.read(self._place, SCAN):
            if out.size >= largest:
                break
            self._place = entry.number + 1
            if entry.kind == GAP:
                again += self._told_gap(entry, out)
                continue
            item = self._items.get(entry.channel) if entry.channel else None
            if item is None or entry.number < item.place:
                continue
            if entry.kind == DATA:
                if self._data(entry, item, out):
                    continue
                self._gap([item], "SLOW_READER", out)
                again.append(item)
                break
            if entry.kind == BOOK:
                self._book(entry, item, out)
            elif entry.kind == STATUS and isinstance(entry.what, ItemStatus):
                out.put(status=convert.item(item.live.channel, item.live, entry.what))
        return again

    def _data(self, entry: Entry, item: Item, out: Outgoing) -> bool:
        """Add a batch; False when it was dropped and the reader lost it."""
        if not item.lossless:
            self._dirty.add(item)
            return True
        payload = entry.payload
        if payload is None:
            return False
        if self._wish.columns:
            out.add(showing.head(entry, payload), payload)
        else:
            out.add(showing.objects(self._live, entry, payload))
        item.last = entry.last
        return True

    def _book(self, entry: Entry, item: Item, out: Outgoing) -> None:
        payload = entry.payload
        if item.lossless and payload is not None:
            shown = showing.cut(payload, self._wish.levels)
            out.put(snapshot=showing.snapshot(item.live, shown))

    def _told_gap(self, entry: Entry, out: Outgoing) -> list[Item]:
        """Add a gap that the feed told; returns what needs a snapshot of now."""
        note = entry.what
        assert isinstance(note, GapNote)  # what an entry of this kind has
        among = [self._items.get(entry.channel)] if entry.channel else self._items.values()
        items = [item for item in among if item and item.place <= entry.number]
        if entry.channel is None and len(items) == len(self._items):
            known = min((i.last for i in items if i.last), default=0)
            out.put(gap=convert.gap(None, note, known))
        else:
            for item in items:
                out.put(gap=convert.gap(item.live.channel, note, item.last))
        for item in items:
            if item.lossless and not item.is_book:  # of a book the log has one, further on
                before = showing.latest(item.live.before(entry.number))
                out.put(snapshot=showing.snapshot(item.live, before))
        return [item for item in items if not item.lossless]

    def _gap(self, items: Collection[Item], cause: str, out: Outgoing, since: int = 0) -> None:
        """Say that channels lost something up to now; of all, once for the stream."""
        note = GapNote(cause)
        if len(items) == len(self._items) > 1:
            start = since or min((i.last for i in items if i.last), default=0)
            end = max((i.live.last for i in items), default=0)
            out.put(gap=convert.gap(None, note, start, end))
            return
        for item in items:
            start = since or item.last
            out.put(gap=convert.gap(item.live.channel, note, start, item.live.last))

    # ---- snapshots and newest values -------------------------------------------------------------

    async def _snapshots(self, items: Sequence[Item], out: Outgoing) -> None:
        """Add the newest value of channels; only what comes after it is sent then."""
        now = asyncio.get_running_loop().time()
        books = [item for item in items if item.is_book]
        asked = (self._live.newest(i.live, self._wish.levels, BOOK_SECONDS) for i in books)
        found = dict(zip(books, await asyncio.gather(*asked), strict=True))
        for item in items:
            value = found.get(item) or self._newest(item)
            out.put(snapshot=showing.snapshot(item.live, value.payload))
            item.place, item.last = value.place, item.live.last
            item.due = now + item.interval
            self._dirty.discard(item)

    async def _conflated(self, out: Outgoing) -> None:
        """Add the newest value of channels that changed, unless it is too early for one."""
        now = asyncio.get_running_loop().time()
        due = [item for item in self._dirty if item.due <= now]
        books = [item for item in due if item.is_book]
        asked = (self._live.shared(i.live, self._wish.levels, i.interval) for i in books)
        found = dict(zip(books, await asyncio.gather(*asked), strict=True))
        for item in due:
            value = found.get(item) or self._newest(item)
            item.due = now + item.interval
            newest = item.live.newest
            if newest is None or value.place > newest.number:
                self._dirty.discard(item)
            if value.payload and value.place > item.place:
                item.place, item.last = value.place, item.live.last
                out.put(update=showing.update(value.payload))

    def _newest(self, item: Item) -> Newest:
        """Return the last row of a channel that is no book of the process'."""
        value = showing.latest(item.live.newest)
        if value and item.live.channel.kind == DEPTH:
            value = showing.cut(value, self._wish.levels)
        return Newest(value, self._log.end)


def _want(wanted: dict[LiveChannel, Item], item: Item) -> None:
    """Add an item; of two for one channel the stricter counts."""
    old = wanted.get(item.live)
    if old is None or (item.lossless, -item.interval) > (old.lossless, -old.interval):
        wanted[item.live] = item
