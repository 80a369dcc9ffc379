"""Consumers of a group, on a real Valkey: nothing lost, nothing handled twice but by need."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.asyncio

from integration.streams.kit import JOBS, entries, until
from meshkit import redis_group
from meshkit.consumer import LOST, Consumer, first_time
from meshkit.database import Database
from meshkit.errors import StoreUnavailable
from meshkit.redis_group import Entry

IDLE = 0.3
_names = itertools.count()


@asynccontextmanager
async def consuming(
    client: redis.asyncio.Redis, handler: Callable[[Entry], Any], **options: Any
) -> AsyncIterator[asyncio.Event]:
    """Run a consumer of one's own until the block ends."""
    name = f"consumer-{next(_names)}"
    options = {"claim_idle": IDLE, "grace": 1.0, **options}
    consumer = Consumer(client, JOBS, "workers", name, handler, **options)
    stop = asyncio.Event()
    task = asyncio.create_task(consumer.run(stop))
    try:
        yield stop
    finally:
        stop.set()
        await task


class Seen:
    """A handler that notes what it gets."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.deliveries: list[int] = []

    async def __call__(self, entry: Entry) -> None:
        """Note the entry."""
        self.keys.append(entry.key)
        self.deliveries.append(entry.deliveries)

    async def has(self, *wanted: str) -> bool:
        """Tell whether just these have come, in any order."""
        return sorted(self.keys) == sorted(wanted)


class Held(Seen):
    """A handler that goes on until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()
        self.cancelled = 0

    async def __call__(self, entry: Entry) -> None:
        """Note the entry and wait."""
        await super().__call__(entry)
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def send(client: redis.asyncio.Redis, *names: str) -> None:
    """Add jobs."""
    for name in names:
        await client.xadd(JOBS, {"k": name, "p": name.encode(), "s": name})


async def pending(client: redis.asyncio.Redis) -> int:
    """Return how many entries are delivered and not acknowledged."""
    found: Any = await client.xpending(JOBS, "workers")
    return int(found["pending"])


async def all_acknowledged(client: redis.asyncio.Redis) -> bool:
    """Tell whether nothing is pending."""
    return await pending(client) == 0


async def test_entries_are_handled_and_acknowledged(client: redis.asyncio.Redis) -> None:
    """Entries from before and after the start come once, and are acknowledged."""
    await send(client, "a", "b")
    seen = Seen()
    async with consuming(client, seen):
        await send(client, "c")
        await until(lambda: seen.has("a", "b", "c"))
        await until(lambda: all_acknowledged(client))
    assert seen.deliveries == [1, 1, 1]


async def test_members_share_the_work(client: redis.asyncio.Redis) -> None:
    """Each entry goes to one member of the group."""
    names = [f"job-{i}" for i in range(40)]
    seen = Seen()
    async with consuming(client, seen), consuming(client, seen):
        await send(client, *names)
        await until(lambda: all_done(client, seen, 40))
    assert sorted(seen.keys) == sorted(names)


async def all_done(client: redis.asyncio.Redis, seen: Seen, count: int) -> bool:
    """Tell whether so many have come and all are acknowledged."""
    return len(seen.keys) >= count and await pending(client) == 0


async def test_no_more_is_read_than_can_be_handled(client: redis.asyncio.Redis) -> None:
    """With two slots two entries are taken; the others stay for others."""
    await send(client, "a", "b", "c", "d")
    held, other = Held(), Seen()
    async with consuming(client, held, concurrency=2):
        await until(lambda: held.has("a", "b"))
        async with consuming(client, other):
            await until(lambda: other.has("c", "d"))
        assert await pending(client) == 2
        held.let_go.set()
        await until(lambda: all_acknowledged(client))


async def test_a_long_handler_keeps_its_entry(client: redis.asyncio.Redis) -> None:
    """A handler that runs for several times the idle time is not robbed."""
    await send(client, "long")
    held, other = Held(), Seen()
    async with consuming(client, held):
        await until(lambda: held.has("long"))
        async with consuming(client, other):
            ends = asyncio.get_running_loop().time() + 4 * IDLE
            await until(lambda: _past(ends))
            held.let_go.set()
            await until(lambda: all_acknowledged(client))
    assert (held.keys, other.keys) == (["long"], [])


async def test_a_failure_is_tried_again_and_then_parked(client: redis.asyncio.Redis) -> None:
    """After its last try an entry is parked with payload, reason and count, and is on record."""
    await send(client, "poison")
    seen, records = Seen(), list[tuple[str, str]]()

    async def fail(entry: Entry) -> None:
        await seen(entry)
        raise LookupError("no such thing")

    async def record(entry: Entry, reason: str) -> None:
        records.append((entry.key, reason))

    async with consuming(client, fail, max_deliveries=3, on_dead=record):
        await until(lambda: _parked(client, 1))
        await until(lambda: all_acknowledged(client))
    ((_, parked),) = await entries(client, f"dead:{JOBS}")
    assert seen.deliveries == [1, 2, 3]
    assert records == [("poison", "LookupError")]
    assert (parked[b"k"], parked[b"p"], parked[b"group"]) == (b"poison", b"poison", b"workers")
    assert (parked[b"reason"], parked[b"deliveries"]) == (b"LookupError", b"3")


async def test_a_failed_record_keeps_the_entry(client: redis.asyncio.Redis) -> None:
    """What cannot be put on record is not parked; it comes again."""
    await send(client, "poison")
    refusals = iter([StoreUnavailable("away"), None])

    async def fail(entry: Entry) -> None:
        raise LookupError

    async def record(entry: Entry, reason: str) -> None:
        if error := next(refusals):
            raise error

    async with consuming(client, fail, max_deliveries=1, on_dead=record):
        await until(lambda: _parked(client, 1))
    assert next(refusals, "none left") == "none left"


async def test_a_store_that_is_away_is_not_the_entrys_fault(client: redis.asyncio.Redis) -> None:
    """Tries that fail for want of a store are not counted."""
    await send(client, "a")
    seen = Seen()

    async def handler(entry: Entry) -> None:
        await seen(entry)
        if len(seen.keys) < 4:
            raise StoreUnavailable("away")

    async with consuming(client, handler, max_deliveries=2):
        await until(lambda: all_done(client, seen, 4))
    assert seen.deliveries == [1, 1, 1, 1]
    assert await client.xlen(f"dead:{JOBS}") == 0


async def test_an_entry_whose_consumers_die_is_parked(client: redis.asyncio.Redis) -> None:
    """Consumers that vanish without a word count as failures too."""
    await client.xgroup_create(JOBS, "workers", id="0", mkstream=True)
    await send(client, "killer")
    await client.xreadgroup("workers", "dead-1", {JOBS: ">"})
    await client.xautoclaim(JOBS, "workers", "dead-2", min_idle_time=0)
    seen = Seen()
    async with consuming(client, seen, max_deliveries=2):
        await until(lambda: _parked(client, 1))
    ((_, parked),) = await entries(client, f"dead:{JOBS}")
    assert parked[b"reason"] == LOST.encode()
    assert seen.keys == []


async def test_an_entry_taken_by_another_is_let_go(client: redis.asyncio.Redis) -> None:
    """A handler whose entry was claimed by somebody else is cancelled and acknowledges nothing."""
    await send(client, "a")
    held = Held()
    async with consuming(client, held):
        await until(lambda: held.has("a"))
        await client.xautoclaim(JOBS, "workers", "thief", min_idle_time=0)
        await until(lambda: _cancelled(held))
        assert await pending(client) == 1


async def test_an_emptied_redis_does_not_start_the_work_twice(client: redis.asyncio.Redis) -> None:
    """The group is made anew, and an entry that is added again joins the handler at work."""
    await send(client, "a")
    held = Held()
    async with consuming(client, held, concurrency=2):
        await until(lambda: held.has("a"))
        await client.flushall()
        await send(client, "a", "b")
        await until(lambda: held.has("a", "b"))
        assert await pending(client) == 2
        held.let_go.set()
        await until(lambda: all_acknowledged(client))
    assert await client.xlen(f"dead:{JOBS}") == 0


async def test_a_stop_gives_back_what_is_not_done(client: redis.asyncio.Redis) -> None:
    """Another consumer takes it at once, and the try is not counted."""
    await send(client, "a")
    held, other = Held(), Seen()
    async with consuming(client, held, grace=0.0, claim_idle=60.0):
        await until(lambda: held.has("a"))
    assert held.cancelled == 1
    async with consuming(client, other, claim_idle=60.0):
        await until(lambda: other.has("a"))
    assert other.deliveries == [1]


async def test_a_stop_lets_a_short_handler_end(client: redis.asyncio.Redis) -> None:
    """Within its grace a handler ends and is acknowledged."""
    await send(client, "a")
    held = Held()
    async with consuming(client, held, grace=10.0) as stop:
        await until(lambda: held.has("a"))
        stop.set()
        held.let_go.set()
    assert held.cancelled == 0
    assert await pending(client) == 0


async def test_members_long_gone_are_forgotten(
    client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member that is away and holds nothing leaves the list; one that holds an entry stays."""
    monkeypatch.setattr(redis_group, "_ABSENT_MS", 0)
    await client.xgroup_create(JOBS, "workers", id="0", mkstream=True)
    await client.xgroup_createconsumer(JOBS, "workers", "gone")
    await send(client, "a")
    await client.xreadgroup("workers", "holding", {JOBS: ">"})
    await until(lambda: _idle(client))
    seen = Seen()
    async with consuming(client, seen, claim_idle=60.0):
        await send(client, "b")
        await until(lambda: seen.has("b"))
    members: Any = await client.xinfo_consumers(JOBS, "workers")
    names = {member["name"] for member in members}
    assert b"gone" not in names
    assert b"holding" in names


async def _idle(client: redis.asyncio.Redis) -> bool:
    members: Any = await client.xinfo_consumers(JOBS, "workers")
    return all(member["idle"] > 0 for member in members)


async def test_an_event_is_applied_once(database: Database) -> None:
    """Effect and event id commit together; a rival waits and is told."""

    async def apply() -> bool:
        async with database.transaction() as connection:
            return await first_time(connection, "portfolio", "event-00")

    assert sorted(await asyncio.gather(apply(), apply(), apply())) == [False, False, True]
    async with database.transaction() as connection:
        assert await first_time(connection, "another", "event-00")


async def _parked(client: redis.asyncio.Redis, count: int) -> bool:
    return int(await client.xlen(f"dead:{JOBS}")) == count


async def _cancelled(held: Held) -> bool:
    return held.cancelled == 1


async def _past(moment: float) -> bool:
    return asyncio.get_running_loop().time() >= moment
