"""Keeps lease and latch fresh: a task of each, on the store thread."""

import asyncio
from collections.abc import Callable
from typing import Any

import redis.asyncio

from meshkit.database import Connection
from meshkit.facts import StaleFence
from meshkit.link import ERRORS, Link
from services.live_execution.names import TraderKey
from services.live_execution.trader.latch import Latch
from services.live_execution.trader.lease import Lease
from services.live_execution.trader.line import Line
from services.live_execution.trader.ports import HaltNotice

POLL_S = 0.2
"""Seconds between looks at the latch in Redis."""

HUNG_S = 1.0
"""Seconds after which a Redis that does not answer is away."""

LOOK_S = 0.5
"""Seconds between looks at PostgreSQL's halts while one is in force, or Redis is away."""

RETRY_S = 0.25

_HALTS = """
SELECT halt_id::text, scope, reducing, reason, coalesce((SELECT f.flatten_id::text FROM flattens f
    WHERE f.flatten_id = halts.flatten_id AND f.state = 'RUNNING'), '') AS flatten_id
FROM halts WHERE active AND (project = '*' OR (project = $1 AND (
    scope IN ('all', 'trader:' || $2) OR starts_with(scope, 'venue:')
    OR starts_with(scope, 'strategy:' || $2 || ':')))) ORDER BY set_time
"""


class Keeper:
    """Renews the lease and looks at the halts of both stores.

    ``changed`` is called, on the store thread, when lease, stores or halts may have changed.
    """

    def __init__(
        self,
        line: Line,
        client: redis.asyncio.Redis,
        lease: Lease,
        latch: Latch,
        changed: Callable[[], None],
    ) -> None:
        self._line = line
        self._client = client
        self._lease = lease
        self._latch = latch
        self._changed = changed
        name = f"{lease.key.project}:{lease.key.trader_id}"
        self._lease_link = Link(f"lease:{name}")
        self._latch_link = Link(f"latch:{name}")
        self._look = asyncio.Event()

    @property
    def postgresql(self) -> bool:
        """Whether the last renewal reached PostgreSQL."""
        return self._lease_link.is_up

    @property
    def redis(self) -> bool:
        """Whether the last look at the latch reached Redis."""
        return self._latch_link.is_up

    async def keep_lease(self) -> None:
        """Renew until cancelled, or until another process has the lease."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._lease.terms.renew
        while not self._lease.lost:
            await self._rest(due - loop.time())
            try:
                async with asyncio.timeout(self._lease.terms.renew):
                    connection = await self._line.get()
                    if loop.time() >= due:
                        await self._lease.renew(connection)
                        due = loop.time() + self._lease.terms.renew
                    self._latch.stored(await halts(connection, self._lease.key))
                    if self._latch.held:
                        self._latch.let_go(await on_record(connection, self._latch.held))
                self._lease_link.up()
            except StaleFence:
                pass  # told below, and for good
            except ERRORS as error:
                self._lease.failed()
                self._lease_link.down(error)
                self._line.drop()
                due = loop.time() + RETRY_S
            self._changed()

    async def watch_latch(self) -> None:
        """Look at Redis until cancelled."""
        seen: list[Any] = []
        while True:
            keys = self._latch.keys
            try:
                async with asyncio.timeout(HUNG_S):
                    values: list[Any] = await self._client.mget(keys)
                self._latch.seen(keys, values)
                self._latch_link.up()
            except ERRORS as error:
                self._latch.unseen()
                self._latch_link.down(error)
                values = [None]  # unlike any answer: PostgreSQL is looked at now
            if values != seen:
                seen = values
                self._look.set()
                self._changed()
            await asyncio.sleep(POLL_S)

    async def _rest(self, left: float) -> None:
        """Wait until the renewal is due, or there is a reason to look at PostgreSQL's halts."""
        if self._latch.anything or not self.redis:
            left = min(left, LOOK_S)
        try:
            async with asyncio.timeout(max(left, 0)):
                await self._look.wait()
        except TimeoutError:
            pass
        self._look.clear()


async def on_record(connection: Connection, halt_ids: list[str]) -> list[str]:
    """Return which of these halts PostgreSQL has, in force or reset."""
    rows = await connection.fetch(
        "SELECT halt_id::text FROM halts WHERE halt_id::text = ANY($1)", halt_ids
    )
    return [row["halt_id"] for row in rows]


async def halts(connection: Connection, key: TraderKey) -> list[HaltNotice]:
    """Return the halts in force in PostgreSQL that may concern a trader."""
    rows = await connection.fetch(_HALTS, *key)
    return [HaltNotice(**dict(row)) for row in rows]
