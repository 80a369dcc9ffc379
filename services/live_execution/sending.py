"""Committed commands go to Redis at once; what this cannot do the publisher does a moment later."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

import redis.asyncio

from meshkit import outbox
from meshkit.database import Database
from meshkit.link import ERRORS, Link
from meshkit.outbox import Row
from meshkit.redis_mirror import Queues
from services.live_execution.order_store import BEHIND

log = logging.getLogger("live_execution.sending")

PATIENCE_S = 0.5
"""How long a caller may be held up by a slow Redis."""


class Sender:
    """Adds entries of the outbox to their streams; ``async with`` starts and ends it.

    It adds what the publisher would add, by the same script, which adds an entry once. One that
    was done and taken out meanwhile comes back by this; ``tidy_s`` seconds later it goes again.
    """

    def __init__(
        self, database: Database, client: redis.asyncio.Redis, *, tidy_s: float = 1.0
    ) -> None:
        self._database = database
        self._queues = Queues(client)
        self._link = Link("live_execution:sending")
        self._tidy_s = tidy_s
        self._sent: dict[int, Row] = {}
        self._quiet_until = 0.0

    async def __aenter__(self) -> "Sender":
        self._task = asyncio.create_task(self._keep_tidy(), name="sending")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def send(self, rows: Sequence[Row]) -> None:
        """Add rows of one stream in their order; never raises, and never takes long.

        More than ``BEHIND`` other ones mean that the publisher is late: it keeps their order.
        """
        loop = asyncio.get_running_loop()
        if not rows or len(rows) > BEHIND or loop.time() < self._quiet_until:
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._queues.ensure(rows)
            self._link.up()
            self._sent.update((row.seq, row) for row in rows)
        except ERRORS as error:
            self._quiet_until = loop.time() + self._link.down(error)

    async def _keep_tidy(self) -> None:
        while True:
            await asyncio.sleep(self._tidy_s)
            with suppress(*ERRORS):  # tried again with the next ones
                await self._tidy()

    async def _tidy(self) -> None:
        if not (sent := dict(self._sent)):
            return
        async with self._database.connection() as connection:
            wanted = await outbox.wanted(connection, list(sent))
        await self._queues.drop([row for seq, row in sent.items() if seq not in wanted])
        for seq in sent:
            del self._sent[seq]
