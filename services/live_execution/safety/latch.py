"""The latch in Redis, over a connection of its own."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from meshkit.errors import StoreUnavailable
from meshkit.redis_client import open_redis
from services.live_execution.safety.halts import Latched

PATIENCE_S = 0.3
"""How long a submission waits for the latch; a trader looks at it again before it sends."""

_MOST = 500

_SWAP = """
-- Sets a key, or deletes it for an empty value, if it still is as it was read.
-- KEYS key  ARGV old value (empty: none), new value
local now = redis.call('GET', KEYS[1]) or ''
if now ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2]) end
return 1
"""


class Latch:
    """Reads and sets the keys of halts. Raises ``StoreUnavailable`` when Redis is away."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._swap = client.register_script(_SWAP)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["Latch"]:
        """Give the latch until the block ends."""
        async with open_redis(url) as client:
            yield cls(client)

    async def forbidding(self, keys: Iterable[str]) -> str:
        """Return the id of a halt that forbids every order under one of the keys, else nothing.

        Also nothing when Redis is away: what is committed then reaches its trader when it is back,
        and the trader reads the latch itself before every send.
        """
        try:
            async with asyncio.timeout(PATIENCE_S):
                found = await self.read(keys)
        except (StoreUnavailable, TimeoutError):
            return ""
        for key, raw in found.items():
            if not (said := Latched.read(key, raw)).reducing:
                return said.halt_id
        return ""

    async def read(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the values of those keys that are there."""
        wanted = sorted(keys)
        found: dict[str, bytes] = {}
        try:
            for start in range(0, len(wanted), _MOST):
                part = wanted[start : start + _MOST]
                values: Any = await self._client.mget(part)
                pairs = zip(part, values, strict=True)
                found |= {key: value for key, value in pairs if value is not None}
        except (RedisError, OSError) as error:
            raise _away() from error
        return found

    async def swap(self, key: str, old: bytes | None, new: bytes | None) -> bool:
        """Set a key, or remove it for None, if it still is ``old``; return whether it was."""
        try:
            return bool(await self._swap(keys=[key], args=[old or b"", new or b""]))
        except (RedisError, OSError) as error:
            raise _away() from error


def _away() -> StoreUnavailable:
    return StoreUnavailable(
        "Redis is out of reach. Try again, a change with the same request id.",
        metadata={"store": "redis"},
        retry_after=1.0,
    )
