"""Keeps what the kill switch has begun: of all services one at a time does it.

Latches are put right in both stores, flattens go on, reports of traders are acted on, and limits
across traders are looked at. Everything is read anew from the stores each time, so it does not
matter which service does it, nor what happened in between.
"""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from mesh.execution.v1.events_pb2 import LimitBroken, TraderFact
from mesh.execution.v1.trader_pb2 import LIMIT_ACTION_HALTED
from meshkit.bell import Bell
from meshkit.database import Database
from meshkit.errors import StoreUnavailable
from meshkit.link import ERRORS, Link
from services.live_execution.names import EVERYTHING, TraderKey, latch
from services.live_execution.safety import events
from services.live_execution.safety.flatten_store import FlattenStore
from services.live_execution.safety.flattening import Flattening
from services.live_execution.safety.flattens import Settings
from services.live_execution.safety.halting import Halting
from services.live_execution.safety.halts import MESH, Halt, Latched
from services.live_execution.safety.latch import Latch
from services.live_execution.safety.limiting import Limiting
from services.live_execution.safety.store import HaltStore

log = logging.getLogger("live_execution.keeper")

PAUSE_S = 0.2
"""Between two rounds, however often the bell rings."""

FORGOTTEN = timedelta(hours=1)
"""Age at which the end of a flatten that nobody has on record is dropped."""


class Keeper:
    """A background task; ``async with`` starts and ends it."""

    def __init__(
        self,
        database: Database,
        latch: Latch,
        halts: HaltStore,
        flattens: FlattenStore,
        flattening: Flattening,
        halting: Halting,
        limiting: Limiting,
        settings: Settings,
    ) -> None:
        self._database = database
        self._latch = latch
        self._halts = halts
        self._flattens = flattens
        self._flattening = flattening
        self._halting = halting
        self._limiting = limiting
        self._look_s = settings.look_s
        self._bell = Bell(database.dsn, database.schema, facts_only=True)
        self._link = Link("live_execution:safety")
        self._redis = Link("live_execution:latch")
        self._strange: dict[str, bytes] = {}
        self._looked = float("-inf")

    async def __aenter__(self) -> "Keeper":
        await self._bell.__aenter__()
        self._task = asyncio.create_task(self._run(), name="safety")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._bell.__aexit__()

    async def _run(self) -> None:
        while True:
            try:
                await self._once()
                self._link.up()
                await asyncio.sleep(PAUSE_S)
                await self._bell.wait(self._look_s)
            except ERRORS as error:
                await asyncio.sleep(self._link.down(error))
            except Exception as error:  # a bug must not end the kill switch without a word
                log.exception("a round of the kill switch failed")
                await asyncio.sleep(self._link.down(error))

    async def _once(self) -> None:
        for project, scope in await self._act():
            with suppress(StoreUnavailable):  # it is on record: the look at the latches repeats it
                await self._halting.sync(project, scope)
        now = asyncio.get_running_loop().time()
        if now - self._looked < self._look_s:
            return
        self._looked = now
        await self._limiting.look()
        try:
            await self._look_at_latches()
            self._redis.up()
        except StoreUnavailable as error:  # PostgreSQL alone holds, until Redis is back
            self._redis.down(error)

    async def _act(self) -> list[tuple[str, str]]:
        """Do what is due in PostgreSQL; return the scopes whose latch has changed by it."""
        changed: list[tuple[str, str]] = []
        async with self._database.transaction() as tx:
            if not await self._halts.try_keeper(tx):
                return []
            for key, number, fact in await self._flattens.reports(tx):
                if fact.WhichOneof("fact") == "limit":
                    changed.append(await self._trader_limit(tx, key, fact.limit))
                elif not await self._is_done(tx, key, fact):
                    continue
                await self._flattens.acted_on(tx, key, number)
            await self._flattening.go_on(tx)
            await self._halting.held(tx)
            for halt in await self._halts.heed(tx):
                await events.tell_halt(tx, halt)
        return changed

    async def _is_done(self, tx: Any, key: TraderKey, fact: TraderFact) -> bool:
        """Act on the end of a flatten; one that a trader did by the latch alone may wait here
        until it is on record.
        """
        if await self._flattening.reported(tx, key, fact.flatten):
            return True
        return datetime.now(UTC) - fact.ts.ToDatetime(tzinfo=UTC) > FORGOTTEN

    async def _trader_limit(self, tx: Any, key: TraderKey, limit: LimitBroken) -> tuple[str, str]:
        """Let what a trader does about its own limit survive it; return the halt's scope."""
        reason = f"{limit.limit} of {key.trader_id} is {limit.bound} and was {limit.value}"
        scope = f"trader:{key.trader_id}"
        reducing = limit.action != LIMIT_ACTION_HALTED
        await self._halting.limited(tx, key.project, scope, reason, reducing=reducing)
        return key.project, scope

    async def _look_at_latches(self) -> None:
        """Compare every key that may be there with what is on record."""
        async with self._database.connection() as tx:
            names = {EVERYTHING: (MESH, "all")}
            for project, trader_id, venues, tags in await self._halts.tags(tx):
                for scope in _scopes(trader_id, venues, tags):
                    names[latch(project, scope)] = (project, scope)
            halts = await self._halts.active(tx)
            running = await self._flattens.running_ids(tx)
        active: dict[str, list[Halt]] = {}
        for halt in halts:
            active.setdefault(halt.key, []).append(halt)
            names[halt.key] = (halt.project, halt.scope)
        found = await self._latch.read(names)
        strange: dict[str, bytes] = {}
        for key, (project, scope) in names.items():
            wanted, raw = Latched.of(active.get(key, []), running), found.get(key)
            if raw == (wanted.write() if wanted else None):
                continue
            if raw is not None and self._strange.get(key) != raw:
                strange[key] = raw  # a call may be about to put it on record: see if it stays
                continue
            await self._halting.sync(project, scope)
        self._strange = strange


def _scopes(trader_id: str, venues: list[str], tags: list[str]) -> list[str]:
    of_strategies = [f"strategy:{trader_id}:{tag}" for tag in (*tags, "MANUAL")]
    of_venues = [f"venue:{venue}" for venue in venues]
    return ["all", f"trader:{trader_id}", *of_venues, *of_strategies]
