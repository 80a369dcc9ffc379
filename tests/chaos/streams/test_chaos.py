"""Streams when things die: nothing is lost, no effect happens twice."""

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import redis.asyncio

from integration.streams.kit import JOBS, STREAM, Valkey, happen, numbers, tell, text_of, until
from mesh.events.v1.events_pb2 import Event
from meshkit import outbox
from meshkit.consumer import Consumer, first_time
from meshkit.database import Database
from meshkit.publisher import Publisher
from meshkit.redis_group import Entry
from meshkit.watch import Batch, WatchHub

NEVER = float("inf")


def publisher(database: Database, client: redis.asyncio.Redis) -> Publisher:
    """Return a publisher that looks often."""
    return Publisher(database, client, poll=0.1, sweep=0.3)


async def attached(hub: WatchHub, count: int) -> "asyncio.Task[list[str]]":
    """Start a watcher and return once it stands at the head."""
    ready = asyncio.Event()

    async def watch() -> list[str]:
        texts: list[str] = []
        async for item in hub.watch(STREAM, expires_at=NEVER):
            ready.set()
            if isinstance(item, Batch):
                texts += [text_of(event) for event in item.events]
            if len(texts) >= count:
                break
        return texts

    task = asyncio.create_task(watch())
    await ready.wait()
    return task


@asynccontextmanager
async def applying(database: Database, client: redis.asyncio.Redis) -> AsyncIterator[None]:
    """Run a consumer that applies each fact of the stream to a table, once."""

    async def apply(entry: Entry) -> None:
        event = Event.FromString(entry.payload)
        async with database.transaction() as connection:
            if await first_time(connection, "appliers", event.event_id):
                await connection.execute("INSERT INTO applied VALUES ($1)", event.subject)

    async with database.connection() as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS applied (subject text)")
    consumer = Consumer(client, STREAM, "appliers", "one", apply, claim_idle=0.5, concurrency=4)
    stop = asyncio.Event()
    task = asyncio.create_task(consumer.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def count_of(database: Database, table: str) -> int:
    """Return how many different rows a table has."""
    async with database.connection() as connection:
        return int(await connection.fetchval(f"SELECT count(DISTINCT t.*) FROM {table} t"))


def at_least(database: Database, table: str, count: int) -> Callable[[], Awaitable[bool]]:
    """Return a condition: a table has so many different rows."""

    async def holds() -> bool:
        return await count_of(database, table) >= count

    return holds


def published(client: redis.asyncio.Redis, count: int) -> Callable[[], Awaitable[bool]]:
    """Return a condition: Redis has just the facts up to a number."""

    async def holds() -> bool:
        try:
            return await numbers(client) == list(range(1, count + 1))
        except redis.RedisError:
            return False

    return holds


async def _harm(action: Callable[[], Awaitable[None]], task: "asyncio.Task[None]") -> int:
    """Do something bad again and again until a task is done; return how often."""
    for times in itertools.count():
        done, _ = await asyncio.wait([task], timeout=0.15)
        if done:
            await task
            return times
        await action()
    raise AssertionError


@pytest.mark.parametrize("harm", ["flush", "kill"])
async def test_harm_to_redis_while_publishing(
    database: Database, client: redis.asyncio.Redis, valkey: Valkey, harm: str
) -> None:
    """Redis is emptied, or killed, every 150 ms: watcher and consumer get each fact once."""
    texts = [str(i) for i in range(400)]

    async def flush() -> None:
        await client.flushall()

    async def kill() -> None:
        await asyncio.to_thread(valkey.restart)

    async with (
        publisher(database, client),
        publisher(database, client),
        WatchHub(database, client, [STREAM], poll=0.2) as hub,
        applying(database, client),
    ):
        watcher = await attached(hub, len(texts))
        writer = asyncio.create_task(happen(database, *texts))
        assert await _harm(flush if harm == "flush" else kill, writer) > 0
        assert await asyncio.wait_for(watcher, 30) == texts
        await until(published(client, len(texts)))
        await until(at_least(database, "applied", len(texts)))
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT subject FROM applied")
    assert sorted(row["subject"] for row in rows) == sorted(texts)


async def test_ten_thousand_facts_by_many_writers(
    database: Database, client: redis.asyncio.Redis
) -> None:
    """Eight writers, two publishers: watchers on two replicas get all, in order, once."""

    async def write(writer: int) -> None:
        for first in range(0, 1250, 50):
            async with database.transaction() as connection:
                for index in range(first, first + 50):
                    await tell(connection, f"{writer}:{index}")

    async with (
        publisher(database, client),
        publisher(database, client),
        WatchHub(database, client, [STREAM]) as one,
        WatchHub(database, client, [STREAM]) as two,
    ):
        watchers = [await attached(hub, 10_000) for hub in (one, two, two)]
        await asyncio.gather(*(write(i) for i in range(8)))
        results = await asyncio.wait_for(asyncio.gather(*watchers), 60)
    assert results[0] == results[1] == results[2]
    assert len(set(results[0])) == len(results[0]) == 10_000
    for writer in range(8):
        own = [text for text in results[0] if text.startswith(f"{writer}:")]
        assert own == [f"{writer}:{index}" for index in range(1250)]


async def test_jobs_survive_an_emptied_redis(
    database: Database, client: redis.asyncio.Redis
) -> None:
    """Jobs are sent while Redis is emptied again and again: each is done, none stays behind."""
    names = [f"job-{i}" for i in range(100)]

    async def work(entry: Entry) -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO ended VALUES ($1)", entry.key)
            await outbox.done(connection, JOBS, entry.key)

    async def send() -> None:
        for name in names:
            async with database.transaction() as connection:
                await outbox.enqueue(connection, JOBS, name)

    async def flush() -> None:
        await client.flushall()

    await _tables(database)
    consumer = Consumer(client, JOBS, "workers", "one", work, claim_idle=0.5)
    stop = asyncio.Event()
    async with publisher(database, client):
        task = asyncio.create_task(consumer.run(stop))
        await _harm(flush, asyncio.create_task(send()))
        await until(at_least(database, "ended", len(names)))
        await until(_empty(database, client))
        stop.set()
        await task


async def test_a_worker_killed_mid_job(
    database: Database, database_url: str, client: redis.asyncio.Redis, valkey: Valkey
) -> None:
    """kill -9 of the process that works on a job: another takes it over, and it ends once."""
    await _tables(database)
    async with publisher(database, client):
        async with database.transaction() as connection:
            await outbox.enqueue(connection, JOBS, "job")
        async with _worker(valkey.url, database_url, "victim", "hang") as victim:
            await until(at_least(database, "begun", 1))
            victim.send_signal(signal.SIGKILL)
            await victim.wait()
        async with _worker(valkey.url, database_url, "heir", "end"):
            await until(at_least(database, "ended", 1))
            await until(_empty(database, client))
    async with database.connection() as connection:
        begun = await connection.fetch("SELECT * FROM begun ORDER BY deliveries")
        assert await connection.fetchval("SELECT count(*) FROM ended") == 1
    assert [tuple(row) for row in begun] == [("job", "victim", 1), ("job", "heir", 2)]


@asynccontextmanager
async def _worker(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chaos.streams.worker", *arguments, env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _tables(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "CREATE TABLE begun (key text, name text, deliveries int);CREATE TABLE ended (key text)"
        )


def _empty(database: Database, client: redis.asyncio.Redis) -> Callable[[], Awaitable[bool]]:
    """Return a condition: neither the outbox nor the stream has a job left."""

    async def holds() -> bool:
        return not await count_of(database, "outbox") and not int(await client.xlen(JOBS))

    return holds
