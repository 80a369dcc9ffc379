"""What a run was made of: look-ups in the strategy and market-data services → inputs → a task."""

from collections.abc import Iterable
from pathlib import Path

from mesh.backtest.v1.backtest_pb2 import BacktestSpec
from mesh.marketdata.v1.history_service_pb2 import ResolveDataResponse, ResolvedData
from mesh.marketdata.v1.marketdata_pb2 import DataKind, DataSelection
from mesh.strategy.v1.strategy_pb2 import ComponentKind, StrategyVersion
from meshkit import enums
from meshkit.structs import to_json
from meshkit.times import to_nanos
from services.backtest.domain import Json, Run, instrument_of
from services.backtest.task import ComponentTask, DataTask, RunTask

TRADER_ID = "BACKTESTER-001"


def make_inputs(
    spec: BacktestSpec, versions: Iterable[StrategyVersion], data: ResolveDataResponse
) -> Json:
    """Return what a worker needs beside the spec, as JSON values."""
    components = []
    for component, version in zip(spec.components, versions, strict=True):
        components.append(
            {
                "strategy_id": version.strategy_id,
                "kind": enums.bare(ComponentKind, version.kind),
                "version": version.version,
                "files": [[file.path, file.text] for file in version.source.files],
                "importable_path": version.source.importable_path,
                "class_name": version.class_name,
                "config": to_json(component.config),
            }
        )
    selections = [_data(each.selection, each) for each in data.data]
    start = to_nanos(spec.range.start) if spec.range.HasField("start") else None
    end = to_nanos(spec.range.end) if spec.range.HasField("end") else None
    return {
        "components": components,
        "data": selections,
        "instrument_ids": [each.instrument_id for each in data.instruments],
        "start": min(d["start"] for d in selections) if start is None else start,
        "end": max(d["end"] for d in selections) if end is None else end,
    }


def _data(selection: DataSelection, resolved: ResolvedData) -> Json:
    wanted = selection.range
    first, last = to_nanos(resolved.first_time), to_nanos(resolved.last_time)
    return {
        "kind": enums.bare(DataKind, selection.kind),
        "instrument_id": selection.instrument_id or instrument_of({"bar_type": selection.bar_type}),
        "bar_type": selection.bar_type,
        "files": [[file.path, file.sha256] for file in resolved.files],
        "start": max(first, to_nanos(wanted.start)) if wanted.HasField("start") else first,
        "end": min(last, to_nanos(wanted.end)) if wanted.HasField("end") else last,
    }


def run_task(run: Run, inputs: Json, catalog: Path, output: Path, memory_mb: int) -> RunTask:
    """Return the task of a run for a process."""
    return RunTask(
        backtest_id=run.backtest_id,
        trader_id=run.spec.get("trader_id") or TRADER_ID,
        venues=run.spec["venues"],
        data=tuple(
            DataTask(**{**each, "files": tuple((p, h) for p, h in each["files"])})
            for each in inputs["data"]
        ),
        instrument_ids=tuple(inputs["instrument_ids"]),
        components=tuple(
            ComponentTask(**{**each, "files": tuple((p, t) for p, t in each["files"])})
            for each in inputs["components"]
        ),
        start=inputs["start"],
        end=inputs["end"],
        chunk_size=int(run.spec.get("chunk_size", 0)),
        seed=int(run.spec.get("seed", 0)),
        skip_analysis=bool(run.spec.get("skip_analysis", False)),
        catalog=str(catalog / run.project),
        output=str(output),
        memory_mb=memory_mb,
    )
