"""Watch: the facts of a stream from a cursor on, nothing lost and nothing twice.

PostgreSQL is the truth. One reader per process follows the streams in Redis and keeps the newest
facts in a ring; a watcher takes what comes next after its own number from the ring, or from
PostgreSQL when the ring does not have it: at a replay, after a hole, when it is slow, when Redis is
away. So a watcher holds no queue, and its place is one number per stream.

Streams come and go while a watcher watches: it says by their names which it wants, and a ring is
kept for those that somebody wants.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from mesh.events.v1.events_pb2 import Event
from meshkit import context, facts, watch_cursor
from meshkit.bell import Bell
from meshkit.database import Database
from meshkit.errors import CursorTrimmed, Draining, TokenExpired
from meshkit.facts import Head
from meshkit.link import ERRORS, Link, wait
from meshkit.redis_client import BLOCK_MS
from meshkit.redis_mirror import Mirror
from meshkit.watch_cursor import filter_hash as filter_hash
from meshkit.watch_ring import Ring
from meshkit.watch_streams import Follow, Wish

log = logging.getLogger("meshkit.watch")

BATCH = 256
"""Events that are looked at for one batch."""

HURRY = 0.05
"""Seconds between looks at PostgreSQL while Redis is not yet read for a new stream."""

Accept = Callable[[Event], bool]


@dataclass(frozen=True)
class Checkpoint:
    """Nothing new for this watcher up to ``cursor``."""

    cursor: str


@dataclass(frozen=True)
class Batch:
    """Events in order, and the cursor after the last of them."""

    events: tuple[Event, ...]
    cursor: str


@dataclass
class _Watcher:
    """One who watches: what, until when, and where it stands."""

    wish: Wish
    filter_hash: str
    accept: Accept
    checkpoint_s: float
    ends: float
    begun: float
    at: dict[str, int]
    known: Mapping[str, Head] | None = None


class WatchHub:
    """Follows streams for all the watchers of a process; ``async with`` starts and ends it.

    Parameters
    ----------
    streams
        Those that are followed all the time; others are while somebody watches them.
    draining
        Ends every watcher when set; the server's.
    poll
        Seconds between looks at PostgreSQL, which find what Redis did not tell; a quarter of it
        while Redis is away.
    prompt
        Look at each commit, without waiting for Redis: watchers hear some milliseconds sooner.

    """

    def __init__(
        self,
        database: Database,
        client: redis.asyncio.Redis,
        streams: Sequence[str],
        *,
        draining: asyncio.Event | None = None,
        poll: float = 1.0,
        prompt: bool = False,
    ) -> None:
        self._database = database
        self._client = client
        self._draining = draining or asyncio.Event()
        self._closed = asyncio.Event()
        self._poll = poll
        self._bell = Bell(database.dsn, database.schema, facts_only=True) if prompt else None
        self._rings = {stream: Ring() for stream in streams}
        self._wanted = Counter(streams)
        self._heads: Mapping[str, Head] = {}
        self._heads_time = 0.0
        self._came = False
        self._ours: set[str] = set()
        self._news = asyncio.Event()
        self._redis = Link(f"watch:{database.schema}:redis")
        self._postgres = Link(f"watch:{database.schema}:postgresql")

    async def __aenter__(self) -> "WatchHub":
        async with self._database.connection() as connection:
            self._origin = await facts.origin(connection)
            for head in await facts.heads(connection, list(self._rings)):
                self._rings[head.stream] = Ring(head.number)
        self._mirror = Mirror(self._client, self._origin, longest=0)  # adds nothing itself
        if self._bell is not None:
            await self._bell.__aenter__()
        loops = (self._follow(), self._look(), self._end())
        self._tasks = [asyncio.create_task(loop, name="watch") for loop in loops]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed.set()
        self._tell()
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if self._bell is not None:
            await self._bell.__aexit__()

    async def watch(
        self,
        *streams: str,
        follow: Follow | None = None,
        cursor: str = "",
        filter_hash: str = "",
        accept: Accept = lambda _: True,
        checkpoint_s: float = 15.0,
        expires_at: float | None = None,
    ) -> AsyncIterator[Checkpoint | Batch]:
        """Yield a checkpoint, then the accepted events after it, with checkpoints between.

        Beside ``streams``, those of this schema whose names ``follow`` accepts, also the ones that
        come while this goes on: they are told from their beginning, and so is one that a cursor
        does not know; one that is gone is dropped from the cursor. Events of one stream come in
        order; between streams there is none.

        ``cursor`` empty starts at the heads. ``expires_at`` (unix seconds) is that of the caller's
        token unless given. Raises ``InvalidCursor``, ``CursorTrimmed`` (metadata
        ``oldest_cursor``), ``TokenExpired`` and ``Draining``, the last two after a checkpoint.
        """
        wish = Wish(streams, follow)
        heads = await self._read_heads_of(wish)
        watcher = _Watcher(
            wish=wish,
            filter_hash=filter_hash,
            accept=accept,
            checkpoint_s=checkpoint_s,
            ends=context.caller().expires_at if expires_at is None else expires_at,
            begun=asyncio.get_running_loop().time(),
            at=self._begin(wish, heads, cursor, filter_hash),
        )
        self._hold(watcher.at, heads)
        try:
            async for item in self._items(watcher):
                yield item
        finally:
            self._let_go(watcher.at)

    async def _items(self, watcher: "_Watcher") -> AsyncIterator[Checkpoint | Batch]:
        yield Checkpoint(self._cursor(watcher))
        said = asyncio.get_running_loop().time()
        while True:
            news = self._news
            over = self._is_over(watcher.ends)
            self._look_around(watcher)
            seen, events = (0, []) if over else await self._next(watcher)
            if events:
                yield Batch(tuple(events), self._cursor(watcher))
            now = asyncio.get_running_loop().time()
            if over or now - said >= watcher.checkpoint_s:
                yield Checkpoint(self._cursor(watcher))
                said = now
            if over:
                raise over
            if not seen:
                rest = min(watcher.checkpoint_s - (now - said), watcher.ends - time.time())
                await wait(news, max(rest, 0))

    async def _read_heads_of(self, wish: Wish) -> dict[str, Head]:
        async with self._database.connection() as connection:
            found = await facts.heads(connection, None if wish.follow else wish.always)
        return {head.stream: head for head in found}

    def _begin(
        self, wish: Wish, heads: Mapping[str, Head], cursor: str, filter_hash: str
    ) -> dict[str, int]:
        if not cursor:
            return wish.begin(heads)
        seen = watch_cursor.decode(cursor, self._origin, filter_hash)
        at, oldest = wish.resume(heads, seen)
        if oldest != at:
            raise self._trimmed(filter_hash, oldest)
        return at

    def _look_around(self, watcher: "_Watcher") -> None:
        """Begin the streams that have come and end those that are gone.

        What was asked before the watcher began may be older than what it knows.
        """
        heads = self._heads
        if watcher.known is heads or self._heads_time < watcher.begun or not watcher.wish.follow:
            return
        watcher.known = heads
        for stream in watcher.wish.gone(watcher.at, heads):
            self._drop(watcher, stream)
        come = watcher.wish.come(watcher.at, heads)
        self._hold(come, heads)
        watcher.at |= come

    def _drop(self, watcher: "_Watcher", stream: str) -> None:
        self._let_go([stream])
        del watcher.at[stream]

    def _hold(self, streams: Iterable[str], heads: Mapping[str, Head]) -> None:
        """Keep a ring for each stream until it is let go."""
        for stream in streams:
            self._wanted[stream] += 1
            number = heads[stream].number if stream in heads else 0
            ring = self._rings.setdefault(stream, Ring(number))
            ring.head = max(ring.head, number)

    def _let_go(self, streams: Iterable[str]) -> None:
        for stream in streams:
            self._wanted[stream] -= 1
            if not self._wanted[stream]:
                del self._wanted[stream], self._rings[stream]
                self._ours.discard(stream)

    async def _next(self, watcher: "_Watcher") -> tuple[int, list[Event]]:
        """Move a watcher on; return how many events were looked at, and those accepted.

        Streams take turns: who had one goes to the end.
        """
        seen, accepted, at = 0, [], watcher.at
        for stream, number in list(at.items()):
            events = await self._after(stream, number)
            if events is None and seen:
                break  # what was accepted is told first
            if events is None:
                await self._missed(watcher, stream)
            elif events:
                del at[stream]
                at[stream] = events[-1].number
                seen += len(events)
                accepted += [event for event in events if watcher.accept(event)]
            if seen >= BATCH:
                break
        return seen, accepted

    async def _after(self, stream: str, number: int) -> list[Event] | None:
        """Return what comes next; None when it is no longer kept."""
        ring = self._rings[stream]
        if ring.head <= number:
            return []
        events = ring.after(number, BATCH)
        if events is not None:
            return events
        async with self._database.connection() as connection:
            rows = await facts.read(connection, stream, number, BATCH)
        if not rows or rows[0].number != number + 1:
            return None
        return [Event.FromString(row.event) for row in rows]

    async def _missed(self, watcher: "_Watcher", stream: str) -> None:
        """Drop a stream that is gone; raise ``CursorTrimmed`` for one that is only trimmed. What
        is not there yet will be.
        """
        at = watcher.at
        async with self._database.connection() as connection:
            found = await facts.heads(connection, list(at))
        heads = {head.stream: head for head in found}
        if stream in watcher.wish.gone(at, heads):
            self._drop(watcher, stream)
            return
        if stream in heads and heads[stream].kept_from - 1 <= at[stream]:
            # Redis is ahead of a PostgreSQL that crashed before it had flushed: its writer has the
            # fact and stores it again.
            asyncio.get_running_loop().call_later(HURRY, self._tell)
            return
        oldest = {s: max(n, heads[s].kept_from - 1) if s in heads else n for s, n in at.items()}
        raise self._trimmed(watcher.filter_hash, oldest)

    def _trimmed(self, filter_hash: str, oldest: dict[str, int]) -> CursorTrimmed:
        return CursorTrimmed(
            "The cursor is older than what is kept. Read the state anew, then watch without a "
            "cursor; or watch from `oldest_cursor`.",
            metadata={"oldest_cursor": watch_cursor.encode(self._origin, filter_hash, oldest)},
        )

    def _cursor(self, watcher: "_Watcher") -> str:
        return watch_cursor.encode(self._origin, watcher.filter_hash, watcher.at)

    def _is_over(self, ends: float) -> Exception | None:
        if self._draining.is_set() or self._closed.is_set():
            return Draining("The server is stopping. Watch again from the last cursor.")
        if time.time() >= ends:
            return TokenExpired("The token has expired. Watch again from the last cursor.")
        return None

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _end(self) -> None:
        await self._draining.wait()
        self._tell()

    async def _follow(self) -> None:
        """Read the streams in Redis, for ever."""
        while True:
            try:
                await self._read_redis()
                self._redis.up()
            except ERRORS as error:
                self._ours.clear()
                await asyncio.sleep(self._redis.down(error))
            except Exception as error:  # what is no fact of ours; PostgreSQL leads past it
                log.exception("a fact in Redis cannot be read")
                await asyncio.sleep(self._redis.down(error))

    async def _read_redis(self) -> None:
        for stream in self._rings.keys() - self._ours:
            await self._mirror.offer(stream, -1)  # clears numbers of a log before this one
            self._ours.add(stream)
        places: Any = {stream: f"{ring.place}-0" for stream, ring in self._rings.items()}
        if not places:
            await asyncio.sleep(HURRY)
            return
        answer: Any = await self._client.xread(places, count=BATCH, block=BLOCK_MS)
        for name, entries in answer or ():
            ring = self._rings.get(name.decode())
            if ring is None:  # nobody watches it any more
                continue
            for entry_id, entry in entries:
                ring.add(int(entry_id.partition(b"-")[0]), entry[b"e"])
        if answer:
            self._tell()

    async def _look(self) -> None:
        """Ask PostgreSQL for the heads, for ever: Redis may be away, late or empty."""
        while True:
            try:
                await self._read_heads()
                self._postgres.up()
                await self._rest()
            except ERRORS as error:
                await asyncio.sleep(self._postgres.down(error))
            except Exception as error:  # a bug must not end all watching without a word
                log.exception("the heads cannot be read")
                await asyncio.sleep(self._postgres.down(error))

    async def _rest(self) -> None:
        if self._bell is None:
            await asyncio.sleep(self._pause())
        else:
            await self._bell.wait(self._pause())

    def _pause(self) -> float:
        if not self._redis.is_up:
            return self._poll / 4
        new = self._rings.keys() - self._ours  # Redis is not asked for them yet
        return min(HURRY, self._poll) if new else self._poll

    async def _read_heads(self) -> None:
        async with self._database.connection() as connection:
            asked = asyncio.get_running_loop().time()
            heads = {head.stream: head for head in await facts.heads(connection)}
            came = heads.keys() != self._heads.keys()
            self._heads, self._heads_time = heads, asked
            if came or self._came:  # twice: who began while this was asked waits for the next
                self._tell()
            self._came = came
            for stream, ring in list(self._rings.items()):
                head = heads.get(stream)
                if head is None:
                    continue
                ring.head = max(ring.head, head.number)
                if ring.place >= head.number:
                    continue
                for fact in await facts.read(connection, stream, ring.place, BATCH):
                    ring.add(fact.number, fact.event)
                self._tell()
