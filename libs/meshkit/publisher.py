"""Carries what is committed to Redis: facts to their streams, jobs and commands to theirs.

PostgreSQL is the truth and Redis a copy. Any number of replicas may publish at once, and Redis may
be emptied, restarted or rolled back at any time: each step compares with what Redis has, in Redis.
"""

import asyncio
import logging
from contextlib import AsyncExitStack, suppress
from datetime import timedelta

import redis.asyncio
from prometheus_client import Counter, Gauge

from meshkit import facts, outbox
from meshkit.bell import Bell
from meshkit.database import Database
from meshkit.facts import Head
from meshkit.link import ERRORS, Link
from meshkit.redis_mirror import Epoch, Mirror, Queues

log = logging.getLogger("meshkit.publisher")

PUBLISHED = Counter("mesh_facts_published_total", "Facts added to Redis.", ["stream"])
STREAM_BYTES = Gauge("mesh_stream_bytes", "Bytes of a stream in Redis, by a sample.", ["stream"])


class Publisher:
    """A background task; ``async with`` starts and ends it.

    Parameters
    ----------
    retention
        Age up to which facts are kept, in PostgreSQL and in Redis.
    longest
        Hard cap on a stream's length in Redis, whatever its readers need.
    poll
        Seconds between looks when no commit rings the bell: also how soon an emptied Redis is
        noticed.
    sweep
        Seconds between full comparisons of the outbox with Redis, and between trimmings.

    """

    def __init__(
        self,
        database: Database,
        client: redis.asyncio.Redis,
        *,
        retention: timedelta = timedelta(days=7),
        longest: int = 100_000,
        poll: float = 1.0,
        sweep: float = 30.0,
    ) -> None:
        self._database = database
        self._client = client
        self._retention = retention
        self._longest = longest
        self._poll = poll
        self._sweep = sweep
        self._link = Link(f"publisher:{database.schema}")
        self._bell = Bell(database.dsn, database.schema)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "Publisher":
        async with self._database.connection() as connection:
            origin = await facts.origin(connection)
        self._facts = _Facts(self._database, Mirror(self._client, origin, self._longest))
        self._outbox = _Outbox(self._database, Queues(self._client))
        await self._stack.enter_async_context(self._bell)
        self._task = asyncio.create_task(self._run(), name="publisher")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._stack.aclose()
        with suppress(*ERRORS):  # what was committed last goes out now, or by the next start
            async with asyncio.timeout(2):
                await self._once(look=False)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        look, sweep = True, loop.time()
        while True:
            try:
                await self._once(look=look)
                if loop.time() >= sweep:
                    await self._outbox.repair()
                    await self._facts.trim(self._retention)
                    sweep = loop.time() + self._sweep
                self._link.up()
                look = not await self._bell.wait(self._poll)
            except ERRORS as error:
                look = True
                await asyncio.sleep(self._link.down(error))
            except Exception as error:  # a bug must not end publishing for good without a word
                log.exception("publishing failed")
                look = True
                await asyncio.sleep(self._link.down(error))

    async def _once(self, *, look: bool) -> None:
        await self._facts.publish(look=look)
        await self._outbox.publish(look=look)


class _Facts:
    def __init__(self, database: Database, mirror: Mirror) -> None:
        self._database = database
        self._mirror = mirror
        self._last: dict[str, int] = {}

    async def publish(self, *, look: bool) -> None:
        """Bring every stream up to its head; ``look`` also at those that seem to be."""
        async with self._database.connection() as connection:
            heads = await facts.heads(connection)
        for head in heads:
            if look or self._last.get(head.stream) != head.number:
                await self._bring_up(head)

    async def _bring_up(self, head: Head) -> None:
        last = self._last.get(head.stream)
        if last is None or last == head.number:  # else offering the next facts asks as well
            last = await self._mirror.offer(head.stream, last or 0)
        while last < head.number:
            last = await self._offer_next(head, last)
        if last > head.number:
            last = await self._check_ahead(head.stream, last)
        self._last[head.stream] = last

    async def _offer_next(self, head: Head, last: int) -> int:
        after = last or max(head.kept_from - 1, head.number - self._mirror.longest)
        async with self._database.connection() as connection:
            page = await facts.read(connection, head.stream, after)
        if not page:  # trimmed away meanwhile: nothing up to the head is left
            return head.number
        answer = await self._mirror.offer(head.stream, last, page)
        if answer == page[-1].number:
            PUBLISHED.labels(head.stream).inc(len(page))
        return answer

    async def _check_ahead(self, stream: str, last: int) -> int:
        """Another replica was faster, or the stream is from a database that was put back."""
        async with self._database.connection() as connection:
            heads = await facts.heads(connection, [stream])
        if heads and heads[0].number >= last:
            return last
        log.warning("stream is ahead of its log and is made anew", extra={"stream": stream})
        await self._mirror.reset(stream)
        return 0

    async def trim(self, retention: timedelta) -> None:
        """Forget what is too old, here and in Redis."""
        for stream in list(self._last):
            async with self._database.connection() as connection:
                before = await facts.first_younger(connection, stream, retention)
            for group in await self._mirror.drop_groups_behind(stream, before):
                log.warning("unseen group dropped", extra={"stream": stream, "group": group})
            await self._mirror.trim(stream, before)
            STREAM_BYTES.labels(stream).set(await self._mirror.size(stream))
            async with self._database.transaction() as connection:
                await facts.trim(connection, stream, before)


class _Outbox:
    def __init__(self, database: Database, queues: Queues) -> None:
        self._database = database
        self._queues = queues
        self._epoch: Epoch | None = None

    async def publish(self, *, look: bool) -> None:
        """Add what is new, take out what is done; ``look`` also whether Redis is another."""
        if look:
            await self._see_epoch()
        while await self._add_page():
            pass
        while await self._drop_page():
            pass

    async def repair(self) -> None:
        """Add again every row that should be in its stream and is not."""
        after = 0
        while True:
            async with self._database.connection() as connection:
                rows = await outbox.published(connection, after)
            if not rows:
                return
            if await self._queues.ensure(rows):  # among them may be some that are done by now
                async with self._database.connection() as connection:
                    wanted = await outbox.wanted(connection, [row.seq for row in rows])
                await self._queues.drop([row for row in rows if row.seq not in wanted])
            after = rows[-1].seq

    async def _see_epoch(self) -> Epoch:
        epoch = await self._queues.epoch()
        if epoch != self._epoch:
            async with self._database.connection() as connection:
                await outbox.forget_other_epochs(connection, str(epoch))
            self._epoch = epoch
        return epoch

    async def _add_page(self) -> bool:
        async with self._database.connection() as connection:
            rows = await outbox.unpublished(connection)
        if not rows:
            return False
        before = await self._see_epoch()
        await self._queues.ensure(rows)
        if await self._queues.epoch() != before:  # emptied in between: do it again
            return True
        async with self._database.connection() as connection:
            wanted = await outbox.mark(connection, [row.seq for row in rows], str(before))
        await self._queues.drop([row for row in rows if row.seq not in wanted])
        return len(rows) == outbox.BATCH

    async def _drop_page(self) -> bool:
        async with self._database.connection() as connection:
            rows = await outbox.finished(connection)
        if not rows:
            return False
        await self._queues.drop(rows)
        async with self._database.connection() as connection:
            await outbox.remove(connection, [row.seq for row in rows])
        return len(rows) == outbox.BATCH
