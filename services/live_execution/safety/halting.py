"""Halts in both stores: set in whichever is there, put right in the other as soon as it is."""

import logging
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mesh.execution.v1 import safety_service_pb2 as rpc
from meshkit.context import caller
from meshkit.database import Database
from meshkit.errors import StoreUnavailable
from meshkit.idempotency import answered, once
from services.live_execution.errors import no_strategy, no_trader
from services.live_execution.names import TraderKey
from services.live_execution.safety import convert, events
from services.live_execution.safety.errors import mesh_wide, no_halt
from services.live_execution.safety.flatten_store import FlattenStore
from services.live_execution.safety.flattening import Flattening
from services.live_execution.safety.halts import LATCH, MESH, Halt, Latched, derived, key_of
from services.live_execution.safety.latch import Latch
from services.live_execution.safety.store import HaltStore

log = logging.getLogger("live_execution.halting")

_TRIES = 20

Tell = Callable[[Any], Awaitable[None]]


class Halting:
    """Sets and resets halts."""

    def __init__(
        self,
        database: Database,
        latch: Latch,
        halts: HaltStore,
        flattens: FlattenStore,
        flattening: Flattening,
    ) -> None:
        self._database = database
        self._latch = latch
        self._halts = halts
        self._flattens = flattens
        self._flattening = flattening

    async def set(self, request: rpc.HaltRequest, halt: Halt) -> rpc.HaltResponse:
        """Set a halt in both stores; with a flatten that begins in the same transaction.

        Raises ``StoreUnavailable`` when one of them is away; the message says what is in force.
        """
        try:
            first = await answered(self._database, request, rpc.HaltResponse)
            if first is None:
                await self.check(halt.project, halt.scope)
        except StoreUnavailable:
            await self._set_in_redis(halt)
            raise _half("set in Redis and in force; it", "PostgreSQL") from None
        at_once = first is None and await self._try_at_once(halt)
        try:
            response = first or await once(
                self._database, request, rpc.HaltResponse, lambda tx: self._stored(tx, halt)
            )
        except StoreUnavailable:
            if at_once:
                raise _half("set in Redis and in force; it", "PostgreSQL") from None
            raise
        await self._in_redis_too(halt, "in force by PostgreSQL; the key in Redis")
        return response

    async def reset(self, request: rpc.ResetHaltRequest, project: str) -> rpc.ResetHaltResponse:
        """End a halt in both stores; its scope stays halted while there is another one."""
        ended: list[Halt] = []

        async def work(tx: Any) -> rpc.ResetHaltResponse:
            halt = await self._halts.find(tx, [project], request.halt_id)
            if halt is None:
                raise no_halt(request.halt_id)
            if halt.project == MESH:
                await self._check_all_projects(tx)
            if halt.active:
                halt = await self._halts.reset(tx, halt.halt_id, caller().subject)
                await events.tell_halt(tx, halt)
            ended.append(halt)
            return rpc.ResetHaltResponse(halt=convert.halt(halt))

        response = await once(self._database, request, rpc.ResetHaltResponse, work)
        halt = ended[0] if ended else await self._again(project, response.halt.halt_id)
        await self._in_redis_too(halt, "reset on record; but the key in Redis")
        return response

    async def check(self, project: str, scope: str) -> None:
        """Raise ``TraderNotFound`` or ``TraderStrategyNotFound`` for a scope of nothing."""
        kind, _, name = scope.partition(":")
        if kind not in {"trader", "strategy"}:
            return
        trader_id, _, tag = name.rpartition(":") if kind == "strategy" else (name, "", "")
        async with self._database.connection() as tx:
            tags = await self._flattens.tags(tx, TraderKey(project, trader_id))
        if tags is None:
            raise no_trader(trader_id)
        if kind == "strategy" and tag not in {*tags, "MANUAL"}:
            raise no_strategy(trader_id, tag)

    async def sync(self, project: str, scope: str) -> None:
        """Make a key of Redis say what is on record for its scope.

        A halt that is found there and not on record was set by an operator past this service: it
        is put on record first. Raises ``StoreUnavailable``.
        """
        key = key_of(project, scope)
        for _ in range(_TRIES):
            raw = (await self._latch.read([key])).get(key)
            async with self._database.transaction() as tx:
                await self._halts.lock_scope(tx, key)
                if raw is not None:
                    await self._adopt(tx, project, scope, Latched.read(key, raw))
                active = await self._halts.active(tx, project, scope)
                running = await self._flattens.running_ids(tx)
                wanted = Latched.of(active, running)
                if await self._latch.swap(key, raw, wanted.write() if wanted else None):
                    return
        log.warning("a latch changes all the time", extra={"key": key})

    async def held(self, tx: Any) -> None:
        """Put on record what traders heed though neither store has it any more.

        A Redis that lost the key of an operator's halt has reset nothing, and somebody must be
        able to: it becomes a halt of that trader.
        """
        for halt_id, key in await self._halts.strange(tx):
            halt = Halt(
                halt_id=halt_id,
                project=key.project,
                owner="",
                scope=f"trader:{key.trader_id}",
                reducing=False,
                reason="The trader heeds a halt that Redis had and has lost.",
                source=LATCH,
                flatten_id="",
                set_time=datetime.now(UTC),
            )
            await events.tell_halt(tx, await self._halts.insert(tx, halt))

    async def limit(
        self, project: str, scope: str, reason: str, *, reducing: bool, tell: Tell | None = None
    ) -> bool:
        """Set a halt for a broken limit, unless one is in force; return whether it was set.

        ``tell`` writes what is told before the halt.
        """
        async with self._database.transaction() as tx:
            if not await self.limited(tx, project, scope, reason, reducing=reducing, tell=tell):
                return False
        await self.sync(project, scope)
        return True

    async def limited(
        self,
        tx: Any,
        project: str,
        scope: str,
        reason: str,
        *,
        reducing: bool,
        tell: Tell | None = None,
    ) -> bool:
        """Do the same in a transaction of the caller, who calls ``sync`` after it."""
        await self._halts.lock_scope(tx, key_of(project, scope))
        if await self._halts.limited(tx, project, scope, reducing):
            return False
        if tell is not None:
            await tell(tx)
        halt = convert.limit_halt(project, scope, reason, reducing=reducing)
        await events.tell_halt(tx, await self._halts.insert(tx, halt))
        return True

    async def _stored(self, tx: Any, halt: Halt) -> rpc.HaltResponse:
        flatten = None
        if halt.flatten_id:
            flatten = await self._flattening.begin(
                tx, halt.flatten_id, halt.project, halt.owner, halt.scope, halt.reason
            )
            if flatten is None:  # a keeper found the key in Redis first
                flatten = await self._flattens.find(tx, [halt.project], halt.flatten_id)
        stored = await self._halts.insert(tx, halt)
        await events.tell_halt(tx, stored)
        response = rpc.HaltResponse(halt=convert.halt(stored))
        if flatten is not None:
            response.flatten.CopyFrom(convert.flatten(flatten))
        return response

    async def _adopt(self, tx: Any, project: str, scope: str, said: Latched) -> None:
        known = await self._halts.known(tx, said.halt_id)
        if known is not None:
            if (known.project, known.scope) == (project, scope):
                over = known.reset_time
                mine = said.time == known.set_time  # as we have written it
                if known.active or mine or (over is not None and said.time <= over):
                    return  # on record, or what a reset has left behind
            said = replace(said, halt_id=str(uuid.uuid4()), flatten_id="")  # set by hand, again
        log.warning("a halt was found in Redis", extra={"project": project, "scope": scope})
        flatten_id = ""
        if said.flatten_id:
            projects = [project] if project != MESH else await self._halts.projects(tx)
            for each in projects:
                flatten_id = said.flatten_id
                if project == MESH:  # a flatten belongs to one project
                    flatten_id = derived(said.flatten_id, each)
                await self._flattening.begin(tx, flatten_id, each, said.by, scope, said.reason)
        halt = Halt(
            halt_id=said.halt_id,
            project=project,
            owner=said.by,
            scope=scope,
            reducing=said.reducing,
            reason=said.reason,
            source=LATCH,
            flatten_id=said.flatten_id,
            set_time=min(said.time, datetime.now(UTC)),  # an operator's clock may be ahead
        )
        await events.tell_halt(tx, await self._halts.insert(tx, halt))

    async def _try_at_once(self, halt: Halt) -> bool:
        """Set the key before the database knows, where none is; return whether that was done."""
        said = Latched.of([halt], {halt.flatten_id})
        assert said is not None  # of one halt there is one
        try:
            return await self._latch.swap(halt.key, None, said.write())
        except StoreUnavailable:
            return False

    async def _set_in_redis(self, halt: Halt) -> None:
        """Set the key with nothing but Redis; raises ``StoreUnavailable``."""
        said = Latched.of([halt], {halt.flatten_id})
        assert said is not None  # of one halt there is one
        for _ in range(_TRIES):
            raw = (await self._latch.read([halt.key])).get(halt.key)
            new = said if raw is None else said.under(Latched.read(halt.key, raw))
            if await self._latch.swap(halt.key, raw, new.write()):
                return

    async def _in_redis_too(self, halt: Halt, what: str) -> None:
        try:
            await self.sync(halt.project, halt.scope)
        except StoreUnavailable:
            raise _half(what, "Redis") from None

    async def _check_all_projects(self, tx: Any) -> None:
        for project in await self._halts.projects(tx):
            if project not in caller().projects:
                raise mesh_wide(project)

    async def _again(self, project: str, halt_id: str) -> Halt:
        async with self._database.connection() as tx:
            halt = await self._halts.find(tx, [project], halt_id)
        if halt is None:
            raise no_halt(halt_id)
        return halt


def _half(what: str, store: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"The halt is {what} is put right as soon as {store} is back. Repeat the call with the "
        "same request id until it answers.",
        metadata={"store": store.lower()},
        retry_after=1.0,
    )
