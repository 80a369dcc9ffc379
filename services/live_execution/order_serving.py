"""The order service put together: what ``main`` opens and closes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio

from meshkit.database import Database
from services.live_execution.order_servicer import OrderServicer
from services.live_execution.order_store import OrderStore
from services.live_execution.querying import Querying
from services.live_execution.safety.latch import Latch
from services.live_execution.sending import Sender
from services.live_execution.waiting import Waiting
from services.live_execution.watching import Watching


@asynccontextmanager
async def open_orders(
    database: Database, client: redis.asyncio.Redis, latch: Latch, watching: Watching
) -> AsyncIterator[OrderServicer]:
    """Give the servicer until the block ends."""
    async with Waiting(database, OrderStore()) as waiting, Sender(database, client) as sender:
        yield OrderServicer(database, latch, waiting, sender, Querying(client), watching)
