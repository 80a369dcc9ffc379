"""Composition root of a worker."""

import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from meshkit.consumer import Consumer
from meshkit.database import Database
from meshkit.publisher import Publisher
from meshkit.redis_client import open_redis
from meshkit.server import run as run_service
from meshkit.server import until_told_to_stop
from services.backtest.config import WorkerConfig
from services.backtest.domain import JOBS
from services.backtest.main import MIGRATIONS
from services.backtest.pool import Pool
from services.backtest.store import RunStore
from services.backtest.worker.work import Worker


async def serve() -> None:
    """Open everything, work until told to stop, give back what is under way."""
    config = WorkerConfig.read(os.environ)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(Pool.open(config.slots))
        database = await stack.enter_async_context(
            Database.open(config.database_url, schema="backtest", migrations=MIGRATIONS)
        )
        client = await stack.enter_async_context(open_redis(config.redis_url))
        await stack.enter_async_context(Publisher(database, client))
        worker = Worker(database, client, RunStore(), pool, config)
        consumer = Consumer(
            client,
            JOBS,
            "workers",
            config.name,
            worker.handle,
            claim_idle=config.lease_seconds,
            concurrency=config.slots,
            grace=0.0,
            on_dead=worker.record,
        )
        async with until_told_to_stop("backtest-worker", config.http_listen) as stop:
            await consumer.run(stop)


def main() -> None:
    """Run a worker until it is told to stop."""
    start: Callable[[], Awaitable[None]] = serve
    run_service("backtest-worker", start, level=os.environ.get("MESH_LOG_LEVEL", "INFO"))
