"""Halts and flattens: rows ↔ contracts, pure."""

import uuid
from datetime import UTC, datetime

from mesh.common.v1.identifiers_pb2 import ResourceMeta
from mesh.execution.v1 import safety_pb2 as pb
from mesh.execution.v1.safety_service_pb2 import HaltRequest
from meshkit.times import from_datetime
from services.live_execution.safety.flattens import Flatten
from services.live_execution.safety.halts import CALLER, LATCH, LIMIT, Halt, derived


def scope_text(scope: pb.SafetyScope) -> str:
    """Return a scope as it is stored."""
    match scope.WhichOneof("reach"):
        case "venue":
            return f"venue:{scope.venue}"
        case "trader_id":
            return f"trader:{scope.trader_id}"
        case "strategy":
            return f"strategy:{scope.strategy.trader_id}:{scope.strategy.order_id_tag}"
        case _:
            return "all"


def scope(text: str) -> pb.SafetyScope:
    """Return a stored scope as a message."""
    kind, _, rest = text.partition(":")
    match kind:
        case "venue":
            return pb.SafetyScope(venue=rest)
        case "trader":
            return pb.SafetyScope(trader_id=rest)
        case "strategy":
            trader_id, _, tag = rest.rpartition(":")
            return pb.SafetyScope(strategy=pb.StrategyScope(trader_id=trader_id, order_id_tag=tag))
        case _:
            return pb.SafetyScope(all=True)


def halt(row: Halt) -> pb.Halt:
    """Return a halt as a message."""
    return pb.Halt(
        halt_id=row.halt_id,
        scope=scope(row.scope),
        reducing=row.reducing,
        state=pb.HALT_STATE_ACTIVE if row.active else pb.HALT_STATE_RESET,
        reason=row.reason,
        source=pb.HaltSource.Value(f"HALT_SOURCE_{row.source}"),
        set_by="" if row.source == LATCH else row.owner,
        set_time=from_datetime(row.set_time),
        reset_by=row.reset_by,
        reset_time=from_datetime(row.reset_time),
        flatten_id=row.flatten_id,
        acknowledged_trader_ids=row.heeded,
        meta=ResourceMeta(
            owner=row.owner,
            project=row.project,
            create_time=from_datetime(row.set_time),
            update_time=from_datetime(row.update_time),
        ),
    )


def new_halt(request: HaltRequest, project: str, subject: str) -> Halt:
    """Return the halt that a caller asks for; the same request always makes the same ids."""
    halt_id = derived(project, subject, request.request_id)
    return Halt(
        halt_id=halt_id,
        project=project,
        owner=subject,
        scope=scope_text(request.scope),
        reducing=request.reducing,
        reason=request.reason,
        source=CALLER,
        flatten_id=derived(halt_id, "flatten") if request.flatten else "",
        set_time=datetime.now(UTC),
    )


def limit_halt(project: str, scope: str, reason: str, *, reducing: bool) -> Halt:
    """Return the halt of a limit that was broken."""
    return Halt(
        halt_id=str(uuid.uuid4()),
        project=project,
        owner="",
        scope=scope,
        reducing=reducing,
        reason=reason,
        source=LIMIT,
        flatten_id="",
        set_time=datetime.now(UTC),
    )


def flatten(row: Flatten) -> pb.Flatten:
    """Return a flatten as a message."""
    return pb.Flatten(
        flatten_id=row.flatten_id,
        scope=scope(row.scope),
        state=pb.FlattenState.Value(f"FLATTEN_STATE_{row.state}"),
        traders=[part.body for part in row.parts],
        reason=row.reason,
        end_time=from_datetime(row.end_time),
        meta=ResourceMeta(
            owner=row.owner,
            project=row.project,
            create_time=from_datetime(row.create_time),
            update_time=from_datetime(row.update_time),
        ),
    )
