"""Watch: the facts of a stream from a cursor on, nothing lost and nothing twice.

PostgreSQL is the truth. One reader per process follows the streams in Redis and keeps the newest
facts in a ring; a watcher takes what comes next after its own number from the ring, or from
PostgreSQL when the ring does not have it: at a replay, after a hole, when it is slow, when Redis is
away. So a watcher holds no queue, and its place is one number per stream.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from mesh.events.v1.events_pb2 import Event
from meshkit import context, facts, watch_cursor
from meshkit.database import Database
from meshkit.errors import CursorTrimmed, Draining, InvalidCursor, TokenExpired
from meshkit.link import ERRORS, Link, wait
from meshkit.redis_client import BLOCK_MS
from meshkit.redis_mirror import Mirror
from meshkit.watch_cursor import filter_hash as filter_hash
from meshkit.watch_ring import Ring

log = logging.getLogger("meshkit.watch")

BATCH = 256
"""Events that are looked at for one batch."""

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


class WatchHub:
    """Follows streams for all the watchers of a process; ``async with`` starts and ends it.

    Parameters
    ----------
    draining
        Ends every watcher when set; the server's.
    poll
        Seconds between looks at PostgreSQL, which find what Redis did not tell; a quarter of it
        while Redis is away.

    """

    def __init__(
        self,
        database: Database,
        client: redis.asyncio.Redis,
        streams: Sequence[str],
        *,
        draining: asyncio.Event | None = None,
        poll: float = 1.0,
    ) -> None:
        self._database = database
        self._client = client
        self._draining = draining or asyncio.Event()
        self._closed = asyncio.Event()
        self._poll = poll
        self._rings = {stream: Ring() for stream in streams}
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

    async def watch(
        self,
        *streams: str,
        cursor: str = "",
        filter_hash: str = "",
        accept: Accept = lambda _: True,
        checkpoint_s: float = 15.0,
        expires_at: float | None = None,
    ) -> AsyncIterator[Checkpoint | Batch]:
        """Yield a checkpoint, then the accepted events after it, with checkpoints between.

        ``cursor`` empty starts at the head. ``expires_at`` (unix seconds) is that of the caller's
        token unless given. Raises ``InvalidCursor``, ``CursorTrimmed`` (metadata
        ``oldest_cursor``), ``TokenExpired`` and ``Draining``, the last two after a checkpoint.
        """
        ends = context.caller().expires_at if expires_at is None else expires_at
        at = await self._start(streams, cursor, filter_hash)
        yield Checkpoint(self._cursor(filter_hash, at))
        said = asyncio.get_running_loop().time()
        while True:
            news = self._news
            over = self._is_over(ends)
            seen, events = (0, []) if over else await self._next(at, filter_hash, accept)
            if events:
                yield Batch(tuple(events), self._cursor(filter_hash, at))
            now = asyncio.get_running_loop().time()
            if over or now - said >= checkpoint_s:
                yield Checkpoint(self._cursor(filter_hash, at))
                said = now
            if over:
                raise over
            if not seen:
                rest = min(checkpoint_s - (now - said), ends - time.time())
                await wait(news, max(rest, 0))

    async def _start(self, streams: Sequence[str], cursor: str, filter_hash: str) -> dict[str, int]:
        async with self._database.connection() as connection:
            found = {head.stream: head for head in await facts.heads(connection, list(streams))}
        numbers = {stream: found[stream].number if stream in found else 0 for stream in streams}
        for stream, number in numbers.items():
            self._rings[stream].head = max(self._rings[stream].head, number)
        if not cursor:
            return numbers
        at = watch_cursor.decode(cursor, self._origin, filter_hash)
        if set(at) != set(streams) or any(not 0 <= at[s] <= numbers[s] for s in streams):
            raise InvalidCursor("The cursor is ahead of the log. Watch again without a cursor.")
        oldest = {s: max(at[s], found[s].kept_from - 1 if s in found else 0) for s in streams}
        if oldest != at:
            raise self._trimmed(filter_hash, oldest)
        return at

    async def _next(
        self, at: dict[str, int], filter_hash: str, accept: Accept
    ) -> tuple[int, list[Event]]:
        """Move ``at`` on; return how many events were looked at, and those accepted."""
        seen, accepted = 0, []
        for stream, number in at.items():
            events = await self._after(stream, number)
            if events is None:
                raise await self._trimmed_now(filter_hash, at)
            if events:
                at[stream] = events[-1].number
            seen += len(events)
            accepted += [event for event in events if accept(event)]
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

    async def _trimmed_now(self, filter_hash: str, at: dict[str, int]) -> CursorTrimmed:
        async with self._database.connection() as connection:
            heads = await facts.heads(connection, list(at))
        oldest = at | {h.stream: max(at[h.stream], h.kept_from - 1) for h in heads}
        return self._trimmed(filter_hash, oldest)

    def _trimmed(self, filter_hash: str, oldest: dict[str, int]) -> CursorTrimmed:
        return CursorTrimmed(
            "The cursor is older than what is kept. Read the state anew, then watch without a "
            "cursor; or watch from `oldest_cursor`.",
            metadata={"oldest_cursor": self._cursor(filter_hash, oldest)},
        )

    def _cursor(self, filter_hash: str, at: dict[str, int]) -> str:
        return watch_cursor.encode(self._origin, filter_hash, at)

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
        answer: Any = await self._client.xread(places, count=BATCH, block=BLOCK_MS)
        for name, entries in answer or ():
            ring = self._rings[name.decode()]
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
                await asyncio.sleep(self._poll if self._redis.is_up else self._poll / 4)
            except ERRORS as error:
                await asyncio.sleep(self._postgres.down(error))
            except Exception as error:  # a bug must not end all watching without a word
                log.exception("the heads cannot be read")
                await asyncio.sleep(self._postgres.down(error))

    async def _read_heads(self) -> None:
        async with self._database.connection() as connection:
            for head in await facts.heads(connection, list(self._rings)):
                ring = self._rings[head.stream]
                ring.head = max(ring.head, head.number)
                if ring.place >= head.number:
                    continue
                for fact in await facts.read(connection, head.stream, ring.place, BATCH):
                    ring.add(fact.number, fact.event)
                self._tell()
