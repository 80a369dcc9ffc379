"""Contracts ↔ domain, pure, both ways."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format

from mesh.backtest.v1 import backtest_pb2 as pb
from mesh.common.v1.identifiers_pb2 import ResourceMeta
from mesh.common.v1.types_pb2 import Money
from meshkit import enums
from meshkit.times import from_datetime, to_timestamp
from services.backtest.domain import ENDED, Json, Run


def spec_json(spec: pb.BacktestSpec) -> Json:
    """Return a spec in its JSON form with the contract's field names."""
    return json_format.MessageToDict(spec, preserving_proto_field_name=True)


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value in one fixed form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def backtest(run: Run, *, whole: bool = True) -> pb.Backtest:
    """Return a run as a message; without ``whole`` it lacks curves, spec and log tail."""
    message = pb.Backtest(
        backtest_id=run.backtest_id,
        name=run.name,
        labels=dict(run.labels),
        state=pb.BacktestState.Value(f"BACKTEST_STATE_{run.state}"),
        progress=progress(run.progress),
        attempts=run.attempts,
        cancel_requested=run.cancel_requested,
        start_time=from_datetime(run.start_time),
        end_time=from_datetime(run.end_time),
        meta=ResourceMeta(
            owner=run.owner,
            project=run.project,
            create_time=from_datetime(run.create_time),
            update_time=from_datetime(run.update_time),
            etag=str(run.fence),
        ),
    )
    json_format.ParseDict(dict(run.manifest), message.manifest)
    if whole:
        json_format.ParseDict(dict(run.spec), message.spec)
    if run.failure:
        message.failure.CopyFrom(_failure(run.failure, whole=whole))
    if run.result:
        message.result.CopyFrom(_result(run.result, whole=whole))
    return message


def progress(values: Json) -> pb.Progress:
    """Return a worker's progress message."""
    if not values:
        return pb.Progress()
    return pb.Progress(
        fraction=values["fraction"],
        simulated_time=to_timestamp(values["simulated_time"]),
        events=values["events"],
        events_per_second=values["events_per_second"],
        orders=values["orders"],
        positions=values["positions"],
    )


def _failure(values: Json, *, whole: bool) -> pb.Failure:
    return pb.Failure(
        reason=values["reason"],
        message=values["message"],
        file=values.get("file", ""),
        line=values.get("line", 0),
        log_tail=values.get("log_tail", ()) if whole else (),
    )


def _result(values: Json, *, whole: bool) -> pb.Result:
    return pb.Result(
        backtest_start=to_timestamp(values["backtest_start"]),
        backtest_end=to_timestamp(values["backtest_end"]),
        iterations=values["iterations"],
        total_events=values["total_events"],
        total_orders=values["total_orders"],
        total_positions=values["total_positions"],
        accounts=[_account(each) for each in values["accounts"]],
        currencies=[
            pb.CurrencyResult(currency=code, pnl=_statistics(each))
            for code, each in values["pnls"].items()
        ],
        returns=_statistics(values["returns"]),
        general=_statistics(values["general"]),
        equity=[_curve(each) for each in values["curves"]] if whole else [],
        table_rows=values["table_rows"],
        run_seconds=values["run_seconds"],
        stopped_early=values["stopped_early"],
    )


def _account(values: Json) -> pb.AccountResult:
    return pb.AccountResult(
        venue=values["venue"],
        account_id=values["account_id"],
        starting_balances=[Money(**each) for each in values["starting_balances"]],
        balances=[Money(**each) for each in values["balances"]],
    )


def _statistics(values: list[Mapping[str, Any]]) -> list[pb.Statistic]:
    return [pb.Statistic(name=each["name"], value=each["value"]) for each in values]


def _curve(values: Json) -> pb.EquityCurve:
    rows = zip(values["ts"], values["equity"], values["drawdown"], strict=True)
    return pb.EquityCurve(
        currency=values["currency"],
        points=[
            pb.EquityPoint(time=to_timestamp(ts), equity=equity, drawdown=drawdown)
            for ts, equity, drawdown in rows
        ],
    )


def ended(message: pb.Backtest) -> bool:
    """Whether a run's message tells its last state."""
    return enums.bare(pb.BacktestState, message.state) in ENDED
