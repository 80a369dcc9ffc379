"""Redis (or Valkey) of a service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

BLOCK_MS = 500
"""How long a blocking read waits: also how long a reader takes to notice that it shall stop."""


@asynccontextmanager
async def open_redis(url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """Give a client with byte replies until the block ends; it connects when first used.

    A command fails within seconds when Redis is away; who runs in the background keeps trying
    (``meshkit.link``). Each blocking reader occupies one connection of the pool.
    """
    client = redis.asyncio.Redis.from_url(
        url,
        protocol=2,
        decode_responses=False,
        socket_connect_timeout=2.0,
        socket_timeout=5.0,
        health_check_interval=15,
        retry=Retry(NoBackoff(), 1),  # once: a pooled connection may have died in its sleep
    )
    try:
        yield client
    finally:
        await client.aclose()
