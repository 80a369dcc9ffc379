"""A consumer in a process of its own: notes what it begins, and ends the job or hangs in it.

``python -m chaos.streams.worker <redis url> <dsn> <name> <end|hang>``
"""

import asyncio
import sys

from meshkit import outbox
from meshkit.consumer import Consumer
from meshkit.database import Database
from meshkit.redis_client import open_redis
from meshkit.redis_group import Entry

JOBS = "jobs:testing"


async def main(url: str, dsn: str, name: str, manner: str) -> None:
    """Consume until killed."""
    async with open_redis(url) as client, Database.open(dsn, schema="testing") as database:

        async def handle(entry: Entry) -> None:
            async with database.connection() as connection:
                await connection.execute(
                    "INSERT INTO begun VALUES ($1, $2, $3)", entry.key, name, entry.deliveries
                )
            if manner == "hang":
                await asyncio.Event().wait()
            async with database.transaction() as connection:
                await connection.execute("INSERT INTO ended VALUES ($1)", entry.key)
                await outbox.done(connection, JOBS, entry.key)

        consumer = Consumer(client, JOBS, "workers", name, handle, claim_idle=0.5)
        await consumer.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5]))
