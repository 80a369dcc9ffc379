"""The link of a background task to its stores: back-off, a metric, one log line a change."""

import asyncio
import logging
import random

import asyncpg
from prometheus_client import Gauge
from redis.exceptions import RedisError

from meshkit.errors import SerializationClash, StoreUnavailable

log = logging.getLogger("meshkit.link")

UP = Gauge("mesh_link_up", "1 while a background task reaches its stores, else 0.", ["link"])

ERRORS = (
    RedisError,
    OSError,  # TimeoutError among them
    StoreUnavailable,
    SerializationClash,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that broke in the middle of something
)
"""What a store that is away, starting or full raises: worth trying again."""

_FIRST, _LONGEST = 0.05, 2.0


class Link:
    """Counts failures in a row; ``name`` is the label of the metric and stands in the log."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._failures = 0
        UP.labels(name).set(1)

    @property
    def is_up(self) -> bool:
        """True unless the last attempt failed."""
        return not self._failures

    def up(self) -> None:
        """Say that an attempt went well."""
        if self._failures:
            log.info("link is back", extra={"link": self._name, "failures": self._failures})
            UP.labels(self._name).set(1)
        self._failures = 0

    def down(self, error: BaseException) -> float:
        """Say that an attempt failed; return the seconds to wait before the next."""
        if not self._failures:
            log.warning(
                "link is down, trying again",
                extra={"link": self._name, "error": f"{type(error).__name__}: {error}"},
            )
            UP.labels(self._name).set(0)
        delay = min(_LONGEST, _FIRST * 2.0 ** min(self._failures, 10))
        self._failures += 1
        return delay * random.uniform(0.5, 1.0)  # replicas do not come back in step


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event for so long; return whether it is set."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
