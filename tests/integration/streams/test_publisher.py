"""Facts and outbox rows reach Redis, once each, whatever happens to it."""

from datetime import timedelta

import redis.asyncio

from integration.streams.kit import JOBS, STREAM, entries, happen, keys, numbers, until
from mesh.events.v1.events_pb2 import Event
from meshkit import facts, outbox
from meshkit.database import Database
from meshkit.publisher import Publisher


def publisher(database: Database, client: redis.asyncio.Redis, **options: float) -> Publisher:
    """Return a publisher that looks often."""
    retention = timedelta(seconds=options.pop("retention_s", 3600))
    return Publisher(database, client, poll=0.1, sweep=0.2, retention=retention)


async def enqueue(database: Database, *names: str) -> None:
    """Ask for jobs."""
    async with database.transaction() as connection:
        for name in names:
            await outbox.enqueue(connection, JOBS, name, name.encode())


async def finish(database: Database, *names: str) -> None:
    """Say that jobs are done."""
    async with database.transaction() as connection:
        for name in names:
            await outbox.done(connection, JOBS, name)


async def test_facts_are_published_in_order(
    database: Database, client: redis.asyncio.Redis
) -> None:
    """What was there before and what comes later arrives under its number, as an Event."""
    await happen(database, "a", "b")
    async with publisher(database, client):
        await happen(database, "c")
        await until(lambda: _has(client, [1, 2, 3]))
    (_, fields), *_ = await entries(client, STREAM)
    assert Event.FromString(fields[b"e"]).subject == "a"


async def test_what_is_committed_last_goes_out_at_the_stop(
    database: Database, client: redis.asyncio.Redis
) -> None:
    """A fact that was committed just before the stop is not left for the next start."""
    async with publisher(database, client):
        await happen(database, "a")
    assert await numbers(client) == [1]


async def test_two_publishers_publish_once(database: Database, client: redis.asyncio.Redis) -> None:
    """Replicas race for the same facts and jobs; each is in Redis once."""
    names = [f"job-{i}" for i in range(50)]
    async with publisher(database, client), publisher(database, client):
        for name in names:
            await happen(database, name)
            await enqueue(database, name)
        await until(lambda: _has(client, list(range(1, 51))))
        await until(lambda: _has_keys(client, names))


async def test_an_emptied_redis_is_filled_again(
    database: Database, client: redis.asyncio.Redis
) -> None:
    """After FLUSHALL the facts are back, and the jobs that are not done; nothing else."""
    await happen(database, "a", "b")
    await enqueue(database, "one", "two", "three")
    async with publisher(database, client):
        await until(lambda: _has_keys(client, ["one", "two", "three"]))
        await finish(database, "two")
        await until(lambda: _has_keys(client, ["one", "three"]))
        await client.flushall()
        await until(lambda: _has(client, [1, 2]))
        await until(lambda: _has_keys(client, ["one", "three"]))


async def test_a_lost_stream_is_filled_again(
    database: Database, client: redis.asyncio.Redis
) -> None:
    """A stream that alone was deleted, its index not, is found by the sweep."""
    await happen(database, "a", "b")
    await enqueue(database, "one", "two")
    async with publisher(database, client):
        await until(lambda: _has_keys(client, ["one", "two"]))
        await client.delete(STREAM, JOBS)
        await until(lambda: _has(client, [1, 2]))
        await until(lambda: _has_keys(client, ["one", "two"]))


async def test_a_key_may_be_used_again(database: Database, client: redis.asyncio.Redis) -> None:
    """A key is sent once while it is on its way, and anew after it was done."""
    async with publisher(database, client):
        await enqueue(database, "one", "one")
        await until(lambda: _has_keys(client, ["one"]))
        (first, _), *_ = await entries(client, JOBS)
        await finish(database, "one", "one", "never")
        await enqueue(database, "one")
        await until(lambda: _has_other(client, first))
        assert await keys(client) == ["one"]


async def test_done_leaves_nothing_behind(database: Database, client: redis.asyncio.Redis) -> None:
    """A job that is done leaves no row, no entry and no index."""
    async with publisher(database, client):
        await enqueue(database, "one")
        await until(lambda: _has_keys(client, ["one"]))
        await finish(database, "one")
        await until(lambda: _no_rows(database))
    assert await client.xlen(JOBS) == 0
    assert await client.keys("index:*") == []


async def test_numbers_of_another_log_are_cleared(
    database: Database, client: redis.asyncio.Redis
) -> None:
    """A Redis that outlived its database does not hide the facts of the new one."""
    await client.xadd(STREAM, {"e": b"old"}, id="7-0")
    await client.set(f"origin:{{{STREAM}}}", "another")
    await happen(database, "a")
    async with publisher(database, client):
        await until(lambda: _has(client, [1]))


async def test_a_stream_ahead_of_its_log_is_made_anew(
    database: Database, client: redis.asyncio.Redis
) -> None:
    """A database that was put back to an earlier state wins over Redis."""
    await happen(database, "a", "b")
    async with publisher(database, client):
        await until(lambda: _has(client, [1, 2]))
        await client.xadd(STREAM, {"e": b"from the future"}, id="9-0")
        await until(lambda: _has(client, [1, 2]))


async def test_old_facts_go_and_unseen_groups_with_them(
    database: Database, client: redis.asyncio.Redis
) -> None:
    """Past retention facts leave PostgreSQL, and a group that never read them is dropped."""
    await happen(database, *(str(i) for i in range(300)))
    async with publisher(database, client):
        await until(lambda: _has(client, list(range(1, 301))))
    await client.xgroup_create(STREAM, "asleep", id="0")
    await client.xgroup_create(STREAM, "awake", id="$")
    async with publisher(database, client, retention_s=0.0):
        await until(lambda: _kept_from(database, 301))
        await until(lambda: _groups(client, [b"awake"]))
        await happen(database, "new")
        await until(lambda: _last(client, 301))
    assert await client.xlen(STREAM) < 200  # trimmed by whole nodes of 100


async def _has(client: redis.asyncio.Redis, wanted: list[int]) -> bool:
    return await numbers(client) == wanted


async def _last(client: redis.asyncio.Redis, wanted: int) -> bool:
    return (await numbers(client))[-1:] == [wanted]


async def _has_keys(client: redis.asyncio.Redis, wanted: list[str]) -> bool:
    return await keys(client) == wanted


async def _has_other(client: redis.asyncio.Redis, first: bytes) -> bool:
    return [entry_id for entry_id, _ in await entries(client, JOBS)] not in ([], [first])


async def _groups(client: redis.asyncio.Redis, wanted: list[bytes]) -> bool:
    return [group["name"] for group in await client.xinfo_groups(STREAM)] == wanted


async def _no_rows(database: Database) -> bool:
    async with database.connection() as connection:
        return not await connection.fetchval("SELECT count(*) FROM outbox")


async def _kept_from(database: Database, wanted: int) -> bool:
    async with database.connection() as connection:
        (head,) = await facts.heads(connection)
    return head.kept_from == wanted
