"""Consumes a stream with others of its group: claim idle ▸ read new ▸ handle ▸ commit ▸ ack.

An entry may come more than once, also to two consumers at the same time (Redis was emptied while
one of them worked). The handler commits its effect together with a guard: ``first_time`` for
facts, the state of the row for jobs. After that the entry is acknowledged.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import redis.asyncio
from prometheus_client import Counter
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from meshkit.database import Connection
from meshkit.errors import Aborted, MeshError, Unavailable
from meshkit.link import ERRORS, Link, wait
from meshkit.redis_group import Entry, Group

log = logging.getLogger("meshkit.consumer")

HANDLED = Counter("mesh_entries_total", "Entries by how they ended.", ["stream", "group", "end"])

LOST = "CONSUMER_LOST"
"""Reason of an entry whose consumers died, or hung, each time."""

_CONSUMED_FOR = "30 days"  # longer than facts are kept

_IN_THE_WAY = (Unavailable, Aborted, RedisConnectionError, RedisTimeoutError)

Handler = Callable[[Entry], Awaitable[None]]
OnDead = Callable[[Entry, str], Awaitable[None]]


class Consumer:
    """One member of a group.

    Parameters
    ----------
    handler
        Called with an ``Entry``; the entry is acknowledged when it returns. ``Unavailable``,
        ``Aborted`` and a lost Redis (a store or a rival was in the way) are tried again without
        being counted; after ``max_deliveries`` other failures the entry is parked on
        ``dead:<stream>``. It is cancelled when another consumer took the entry, and on stop.
    on_dead
        Called with the entry and the reason before it is parked, to put the failure on record.
    claim_idle
        Seconds without a sign of life after which an entry is another's to take, and the time
        between tries. A sign is given every third of it while the handler runs.
    concurrency
        Entries handled at once; no more are read than can be handled.
    grace
        Seconds that handlers under way are given at a stop. What is not done then is given back.

    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        stream: str,
        group: str,
        name: str,
        handler: Handler,
        *,
        claim_idle: float = 30.0,
        max_deliveries: int = 5,
        concurrency: int = 1,
        grace: float = 5.0,
        on_dead: OnDead | None = None,
    ) -> None:
        self._group = Group(client, stream, group, name)
        self._handler = handler
        self._on_dead = on_dead
        self._claim_idle = claim_idle
        self._max_deliveries = max_deliveries
        self._concurrency = concurrency
        self._grace = grace
        self._link = Link(f"consumer:{stream}:{group}:{name}")
        self._running: dict[tuple[str, str], _Work] = {}
        self._next_claim = 0.0
        self._first = True

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until ``stop``; returns when every handler has ended."""
        beats = asyncio.create_task(self._beat())
        try:
            while not stop.is_set():
                await self._turn(stop)
        finally:
            await self._finish()
            beats.cancel()
            with suppress(asyncio.CancelledError):
                await beats

    async def _turn(self, stop: asyncio.Event) -> None:
        free = self._concurrency - len(self._running)
        if free <= 0:
            await self._one_done_or(stop)
            return
        try:
            entries = await self._take(free)
            self._link.up()
        except ERRORS as error:
            await wait(stop, self._link.down(error))
            return
        for entry in entries:
            self._start(entry)

    async def _take(self, free: int) -> list[Entry]:
        if self._first:
            await self._group.forget_absent()
            self._first = False
        now = asyncio.get_running_loop().time()
        if now >= self._next_claim:
            claimed = await self._group.claim(self._claim_idle, free)
            if claimed:
                return claimed
            self._next_claim = now + self._claim_idle / 4
        return await self._group.read(free)

    async def _one_done_or(self, stop: asyncio.Event) -> None:
        stopped = asyncio.create_task(stop.wait())
        tasks = [work.task for work in self._running.values()]
        await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()

    def _start(self, entry: Entry) -> None:
        known = self._running.get(entry.identity)
        if known:  # Redis was emptied and has it again: the same work, one more id to acknowledge
            known.ids.add(entry.id)
            return
        work = _Work(entry)
        self._running[entry.identity] = work
        work.task = asyncio.create_task(self._work(work), name=f"{self._group.stream}:{entry.key}")

    async def _work(self, work: "_Work") -> None:
        try:
            end = await self._handle(work.entry)
            if end != "left":
                await self._settled(work)
        except asyncio.CancelledError:
            end = "cancelled"
            if not work.stolen:
                await self._give_back(work)
        finally:
            del self._running[work.entry.identity]
        HANDLED.labels(self._group.stream, self._group.group, end).inc()

    async def _handle(self, entry: Entry) -> str:
        """Return ``done``, ``dead``, or ``left`` for another try."""
        if entry.deliveries > self._max_deliveries:
            return await self._bury(entry, LOST)
        try:
            await self._handler(entry)
        except _IN_THE_WAY as error:
            self._log_failure(entry, error)
            await self._uncounted(entry)
            return "left"
        except Exception as error:
            self._log_failure(entry, error)
            if entry.deliveries < self._max_deliveries:
                return "left"
            return await self._bury(entry, _reason(error))
        return "done"

    async def _bury(self, entry: Entry, reason: str) -> str:
        try:
            if self._on_dead:
                await self._on_dead(entry, reason)
            await self._group.bury(entry, reason)
        except Exception as error:  # nothing is parked without a record: tried again when idle
            self._log_failure(entry, error)
            return "left"
        log.error("entry parked", extra={**self._where(entry), "reason": reason})
        return "dead"

    async def _settled(self, work: "_Work") -> None:
        """Acknowledge, however long Redis is away: handling it again would be waste."""
        while True:
            try:
                await self._group.acknowledge(*work.ids)
                return
            except ERRORS as error:
                await asyncio.sleep(self._link.down(error))

    async def _uncounted(self, entry: Entry) -> None:
        with suppress(*ERRORS):  # else it counts as one delivery more
            await self._group.release(entry.id, 0, entry.deliveries - 1)

    async def _give_back(self, work: "_Work") -> None:
        with suppress(*ERRORS):  # else others take it when it has been idle
            for entry_id in work.ids:
                await self._group.release(entry_id, self._claim_idle, work.entry.deliveries - 1)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._claim_idle / 3)
            ids = [i for work in self._running.values() for i in work.ids]
            if not ids:
                continue
            try:
                kept = await self._group.keep(ids)
            except ERRORS as error:
                self._link.down(error)
                continue
            self._link.up()
            for work in list(self._running.values()):
                states = {kept.get(i, 1) for i in work.ids}
                if -1 in states and 1 not in states:
                    self._steal(work)

    def _steal(self, work: "_Work") -> None:
        log.warning("another consumer has the entry", extra=self._where(work.entry))
        work.stolen = True
        work.task.cancel()

    async def _finish(self) -> None:
        tasks = [work.task for work in self._running.values()]
        if not tasks:
            return
        await asyncio.wait(tasks, timeout=self._grace)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _log_failure(self, entry: Entry, error: Exception) -> None:
        log.warning("entry failed", exc_info=error, extra=self._where(entry))

    def _where(self, entry: Entry) -> dict[str, object]:
        return {
            "stream": self._group.stream,
            "group": self._group.group,
            "key": entry.key,
            "deliveries": entry.deliveries,
        }


class _Work:
    """An entry being handled; ``ids`` are the stream ids under which it has come."""

    task: "asyncio.Task[None]"

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.ids = {entry.id}
        self.stolen = False


def _reason(error: Exception) -> str:
    return error.reason if isinstance(error, MeshError) else type(error).__name__


async def first_time(connection: Connection, group: str, event_id: str) -> bool:
    """Note in the caller's transaction that ``group`` applies an event; False: it did before.

    A rival that is applying the same event is waited for.
    """
    if event_id.endswith("00"):  # one in 256 sweeps: no timer of its own
        await connection.execute(
            "DELETE FROM consumed WHERE create_time < now() - $1::text::interval", _CONSUMED_FOR
        )
    new = await connection.fetchval(
        "INSERT INTO consumed (consumer, event_id) VALUES ($1, $2)"
        " ON CONFLICT DO NOTHING RETURNING true",
        group,
        event_id,
    )
    return bool(new)
