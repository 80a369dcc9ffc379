"""Streams when PostgreSQL throws everybody out: they come back by themselves, with nothing lost."""

import asyncio

import asyncpg
import redis.asyncio
from google.protobuf.wrappers_pb2 import StringValue

from integration.streams.kit import STREAM, numbers, text_of, until
from meshkit.database import Database
from meshkit.errors import StoreUnavailable
from meshkit.facts import FactLog
from meshkit.publisher import Publisher
from meshkit.watch import Batch, WatchHub

COUNT = 300


async def write(connection: asyncpg.Connection) -> None:
    """Commit facts, and throw out all other connections now and then."""
    await connection.execute("SET search_path TO testing")
    for index in range(COUNT):
        async with connection.transaction():
            await FactLog("testing").append(
                connection,
                STREAM,
                subject="s",
                owner="o",
                project="default",
                payload=StringValue(value=str(index)),
            )
        if index % 50 == 25:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )


async def watch(hub: WatchHub, attached: asyncio.Event) -> list[str]:
    """Return the texts of all facts, resuming after each error as a client does."""
    texts: list[str] = []
    cursor = ""
    while len(texts) < COUNT:
        try:
            async for item in hub.watch(STREAM, cursor=cursor, expires_at=float("inf")):
                cursor = item.cursor
                attached.set()
                if isinstance(item, Batch):
                    texts += [text_of(event) for event in item.events]
                if len(texts) >= COUNT:
                    break
        except StoreUnavailable:
            continue
    return texts


async def test_connections_are_lost_again_and_again(
    database: Database, database_url: str, client: redis.asyncio.Redis
) -> None:
    """Publisher and watchers connect anew; each fact arrives once, in order."""
    writer = await asyncpg.connect(database_url)
    attached = asyncio.Event()
    async with (
        Publisher(database, client, poll=0.2),
        WatchHub(database, client, [STREAM], poll=0.2) as hub,
    ):
        watcher = asyncio.create_task(watch(hub, attached))
        await attached.wait()
        await write(writer)
        assert await asyncio.wait_for(watcher, 30) == [str(i) for i in range(COUNT)]
        await until(lambda: _all_published(client))
    await writer.close()


async def _all_published(client: redis.asyncio.Redis) -> bool:
    return await numbers(client) == list(range(1, COUNT + 1))
