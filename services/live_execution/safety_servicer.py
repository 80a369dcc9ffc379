"""RPC methods of the safety service."""

from collections.abc import AsyncIterator
from typing import Any

from mesh.execution.v1 import safety_pb2 as pb
from mesh.execution.v1 import safety_service_pb2 as rpc
from mesh.execution.v1.safety_service_pb2_grpc import SafetyServiceServicer
from meshkit.context import caller
from meshkit.database import Database
from meshkit.errors import FieldViolation
from meshkit.idempotency import once
from meshkit.paging import page
from meshkit.watch import Batch, WatchHub, filter_hash
from services.live_execution.names import AREA
from services.live_execution.safety import convert
from services.live_execution.safety.errors import bad_limits, no_flatten, no_halt
from services.live_execution.safety.halts import MESH, Halt, derived
from services.live_execution.safety.limiting import LimitStore
from services.live_execution.safety.limits import LOSS, count, faults, money
from services.live_execution.safety.serving import Safety

PAGE, LARGEST_PAGE = 100, 1_000


class SafetyServicer(SafetyServiceServicer):
    """Unpack, call, pack."""

    def __init__(
        self,
        database: Database,
        safety: Safety,
        hub: WatchHub,
    ) -> None:
        self._database = database
        self._halts = safety.halts
        self._flattens = safety.flattens
        self._flattening = safety.flattening
        self._halting = safety.halting
        self._limiting = safety.limiting
        self._limits = LimitStore()
        self._hub = hub

    async def Halt(self, request: rpc.HaltRequest, _: Any) -> Any:
        """Forbid to trade in a scope."""
        project, subject = caller().project(request.project), caller().subject
        return await self._halting.set(request, convert.new_halt(request, project, subject))

    async def ResetHalt(self, request: rpc.ResetHaltRequest, _: Any) -> Any:
        """End a halt."""
        return await self._halting.reset(request, caller().project(request.project))

    async def GetHalt(self, request: rpc.GetHaltRequest, _: Any) -> Any:
        """Return a halt."""
        async with self._database.connection() as tx:
            found = await self._halts.find(tx, caller().projects, request.halt_id)
        if found is None:
            raise no_halt(request.halt_id)
        return rpc.GetHaltResponse(halt=convert.halt(found))

    async def ListHalts(self, request: rpc.ListHaltsRequest, _: Any) -> Any:
        """Return halts, the newest first."""
        wanted = page(request, default=PAGE, maximum=LARGEST_PAGE)
        who = caller()
        projects = (who.project(request.project),) if request.project else who.projects
        active = None if not request.state else request.state == pb.HALT_STATE_ACTIVE
        async with self._database.connection() as tx:
            rows = await self._halts.page(tx, projects, active, wanted.after, wanted.size + 1)
        rows, token = wanted.cut(rows, key=_page_key)
        return rpc.ListHaltsResponse(
            halts=[convert.halt(row) for row in rows], next_page_token=token
        )

    async def Flatten(self, request: rpc.FlattenRequest, _: Any) -> Any:
        """Cancel all orders and close all positions in a scope."""
        project, subject = caller().project(request.project), caller().subject
        scope = convert.scope_text(request.scope)

        async def prepare() -> None:
            await self._halting.check(project, scope)

        async def work(tx: Any, _: None) -> rpc.FlattenResponse:
            flatten_id = derived(project, subject, request.request_id, "flatten")
            made = await self._flattening.begin(
                tx, flatten_id, project, subject, scope, request.reason
            )
            assert made is not None  # its id is that of this request, which is done once
            return rpc.FlattenResponse(flatten=convert.flatten(made))

        return await once(self._database, request, rpc.FlattenResponse, work, prepare=prepare)

    async def GetFlatten(self, request: rpc.GetFlattenRequest, _: Any) -> Any:
        """Return a flatten with what is left."""
        async with self._database.connection() as tx:
            found = await self._flattens.find(tx, caller().projects, request.flatten_id)
        if found is None:
            raise no_flatten(request.flatten_id)
        return rpc.GetFlattenResponse(flatten=convert.flatten(found))

    async def SetLimits(self, request: rpc.SetLimitsRequest, _: Any) -> Any:
        """Replace the limits of a project."""
        project, limits = caller().project(request.project), request.limits

        async def work(tx: Any) -> rpc.SetLimitsResponse:
            wrong = [FieldViolation(f"limits.{name}", text) for name, text in faults(limits)]
            if not wrong:
                figures = count(limits, await self._limits.book(tx, project))
                wrong = [
                    FieldViolation(f"limits.{gap.limit}.currency", gap.message)
                    for gap in figures.gaps
                    if gap.reason == "RATE_UNKNOWN"
                ]
            if wrong:
                raise bad_limits(wrong)
            await self._limits.put(tx, project, limits)
            return rpc.SetLimitsResponse(limits=limits)

        return await once(self._database, request, rpc.SetLimitsResponse, work)

    async def GetLimits(self, request: rpc.GetLimitsRequest, _: Any) -> Any:
        """Return the limits of a project, and how far they are used."""
        used = await self._limiting.used(caller().project(request.project))
        limits, figures = used.limits, used.figures
        return rpc.GetLimitsResponse(
            limits=limits,
            gross_exposure=money(figures.exposure, limits.max_gross_exposure.currency),
            daily_pnl=money(used.pnl, getattr(limits, LOSS).currency),
            gaps=figures.gaps,
        )

    async def WatchSafety(
        self, request: rpc.WatchSafetyRequest, _: Any
    ) -> AsyncIterator[rpc.WatchSafetyResponse]:
        """Tell halts and flattens as they change."""
        projects = {caller().project(request.project), MESH}

        def accept(event: Any) -> bool:
            return event.project in projects and event.payload.Is(pb.SafetyChanged.DESCRIPTOR)

        told = self._hub.watch(
            AREA,
            cursor=request.after_cursor,
            filter_hash=filter_hash(request),
            accept=accept,
        )
        async for item in told:
            events = item.events if isinstance(item, Batch) else ()
            yield rpc.WatchSafetyResponse(events=events, cursor=item.cursor, checkpoint=not events)


def _page_key(halt: Halt) -> tuple[str, ...]:
    return halt.set_time.isoformat(), halt.halt_id
