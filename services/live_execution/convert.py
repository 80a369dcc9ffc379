"""Traders: rows ↔ contracts, pure."""

from mesh.common.v1.identifiers_pb2 import ResourceMeta
from mesh.execution.v1 import trader_pb2 as pb
from meshkit.times import from_datetime
from services.live_execution.domain import DEGRADED, Trader

SILENT = (
    "Its process lives and has not renewed its lease: it sends nothing. Look at its log; stop and "
    "start it, or halt it with a flatten."
)


def trader(row: Trader, *, whole: bool = True) -> pb.Trader:
    """Return a trader as a message; without ``whole`` it lacks the configs of its strategies."""
    spec = pb.TraderSpec.FromString(row.spec)
    message = pb.Trader(
        trader_id=row.trader_id,
        labels=row.labels,
        wanted=row.wanted,
        state=pb.TraderState.Value(f"TRADER_STATE_{row.state}"),
        state_time=from_datetime(row.state_time),
        reason=row.reason,
        message=row.message,
        restrictions=row.restrictions,
        strategies=_statuses(row, spec),
        data_time=from_datetime(row.data_time),
        halt_ids=_halt_ids(row),
        fact_number=row.number,
        real=row.real,
        replay_ended=row.replay_ended,
        meta=ResourceMeta(
            owner=row.owner,
            project=row.project,
            create_time=from_datetime(row.create_time),
            update_time=from_datetime(row.update_time),
            etag=str(row.revision),
        ),
    )
    if not whole:
        for strategy in spec.strategies:
            strategy.ClearField("config")
    message.spec.CopyFrom(spec)
    if row.pid:
        message.process.CopyFrom(_process(row))
    if row.unresponsive_time is not None:
        message.state = pb.TRADER_STATE_DEGRADED
        message.state_time.FromDatetime(row.unresponsive_time)
        message.reason, message.message = "TRADER_UNRESPONSIVE", SILENT
    return message


def shown_state(row: Trader) -> str:
    """Return the state that a caller sees."""
    return DEGRADED if row.unresponsive_time is not None else row.state


def _process(row: Trader) -> pb.TraderProcess:
    return pb.TraderProcess(
        host=row.host,
        pid=row.pid,
        start_time=from_datetime(row.process_time),
        fence=row.fence,
        lease_expire_time=from_datetime(row.lease_until),
        restarts=row.restarts,
    )


def _statuses(row: Trader, spec: pb.TraderSpec) -> list[pb.TraderStrategyStatus]:
    """Return how each strategy of the spec does: as its trader said, while it runs."""
    said = [pb.TraderStrategyStatus.FromString(each) for each in row.strategies]
    by_tag = {status.order_id_tag: status for status in said} if row.running else {}
    return [by_tag.get(each.order_id_tag) or _pending(each) for each in spec.strategies]


def _pending(strategy: pb.TraderStrategy) -> pb.TraderStrategyStatus:
    state = pb.STRATEGY_STATE_STOPPED if strategy.stopped else pb.STRATEGY_STATE_PENDING
    return pb.TraderStrategyStatus(order_id_tag=strategy.order_id_tag, state=state)


def _halt_ids(row: Trader) -> list[str]:
    """Return the halts in force, and those that its process still heeds."""
    in_force = [halt_id for halt_id, _ in row.halts]
    heeded = row.halt_ids if row.running else ()
    return [*in_force, *(each for each in heeded if each not in in_force)]
