"""The same numbers as bare Nautilus, through every layer: BT-01, end to end.

One side goes through gateway, services, stream, worker and archive; the other is a script that
knows nothing of the mesh, in a process of its own. Every order, fill, position, balance and
statistic is equal.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mesh.backtest.v1 import backtest_pb2 as pb
from mesh.common.v1 import enums_pb2
from mesh.common.v1.types_pb2 import Money
from mesh.marketdata.v1 import marketdata_pb2 as md
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from meshclient.client import MeshClient
from running_mesh import RunningMesh, start_mesh
from services.market_data import sample
from services.strategy import examples

pytestmark = pytest.mark.timeout(400)

EXAMPLES = Path(examples.__file__).parent
BARE = Path(__file__).parent / "bare.py"
YEN, OTHER, PERPETUAL = "USD/JPY.SIM", "USD/JPY.ALT", "BTCUSDT-PERP.SIM"
DRAWN_ANEW = {"event_id", "init_id", "info"}
"""Columns of ids that Nautilus draws at each run."""


def bars(instrument_id: str) -> list[dict[str, str]]:
    """Return the selections of both sides' bars."""
    sides = [f"{instrument_id}-1-MINUTE-{side}-EXTERNAL" for side in ("BID", "ASK")]
    return [{"kind": "BAR", "identifier": side} for side in sides]


def component(name: str, instrument_id: str, bar_type: str, size: str, tag: str) -> dict[str, Any]:
    """Return a strategy that ships with its config."""
    config = {
        "instrument_id": instrument_id,
        "bar_type": bar_type,
        "trade_size": size,
        "order_id_tag": tag,
    }
    module = name.replace("-", "_")
    made = name.title().replace("-", "")
    return {"id": name, "module": module, "name": made, "config": config}


JOBS: dict[str, dict[str, Any]] = {
    "bid and ask minute bars": {
        "currency": "USD",
        "venues": ["SIM"],
        "instruments": [YEN],
        "data": bars(YEN),
        "components": [
            component("ema-cross", YEN, bars(YEN)[0]["identifier"], "100000", "001"),
        ],
    },
    "trade ticks": {
        "currency": "USDT",
        "venues": ["SIM"],
        "instruments": [PERPETUAL],
        "data": [{"kind": "TRADE_TICK", "identifier": PERPETUAL}],
        "components": [
            component(
                "breakout-bracket", PERPETUAL, f"{PERPETUAL}-15-SECOND-LAST-INTERNAL", "0.1", "001"
            ),
        ],
    },
    "two venues and two strategies": {
        "currency": "USD",
        "venues": ["SIM", "ALT"],
        "instruments": [YEN, OTHER],
        "data": [*bars(YEN), *bars(OTHER)],
        "components": [
            component("ema-cross", YEN, bars(YEN)[0]["identifier"], "100000", "001"),
            component("mean-reversion", OTHER, bars(OTHER)[0]["identifier"], "50000", "002"),
        ],
    },
}


@pytest.fixture(scope="module")
def mesh() -> Iterator[RunningMesh]:
    """Give a mesh with the sample loaded."""
    with tempfile.TemporaryDirectory(prefix="mesh-n-") as name:
        Path(name).chmod(0o711)
        running = start_mesh(Path(name) / "data")
        try:
            running.wait_for("mesh ready")
            yield running
        finally:
            running.stop()


@pytest.mark.parametrize("name", JOBS)
async def test_bt01_the_numbers_of_bare_nautilus(
    mesh: RunningMesh, name: str, tmp_path: Path
) -> None:
    """BT-01: all that a run through the mesh tells is what a bare script finds, exactly."""
    job = JOBS[name]
    async with MeshClient.from_profile(env=mesh.env) as client:
        await _load_other(client, tmp_path)
        run = await client.backtests.run(_spec(job))
        ours = {
            table: (await client.backtests.table(run.backtest_id, table)).to_pandas()
            for table in ("orders", "fills", "positions")
        }
    theirs = await _bare(mesh, job, tmp_path)
    result = run.result
    assert theirs["totals"] == [
        result.iterations,
        result.total_events,
        result.total_orders,
        result.total_positions,
    ]
    assert result.total_orders > 10
    assert theirs["balances"] == [[m.amount for m in a.balances] for a in result.accounts]
    assert theirs["statistics"] == [
        _numbers(result.returns),
        _numbers(result.general),
        {each.currency: _numbers(each.pnl) for each in result.currencies},
    ]
    for table, frame in ours.items():
        assert set(frame.columns) == set(theirs[table])
        for column in set(frame.columns) - DRAWN_ANEW:
            cells = [None if pd.isna(value) else str(value) for value in frame[column]]
            assert cells == theirs[table][column], (table, column)


async def _load_other(client: MeshClient, folder: Path) -> None:
    """Import the sample's bars again as those of an instrument of another venue."""
    definition = InstrumentDefinition()
    definition.CopyFrom(next(d for d in sample.instruments() if d.instrument_id == YEN))
    definition.instrument_id = OTHER
    await client.instruments.ensure(definition)
    files = {file.spec.bar_type: file for file in sample.write(folder / "sample")}
    for same, other in zip(bars(YEN), bars(OTHER), strict=True):
        spec = md.ImportSpec()
        spec.CopyFrom(files[same["identifier"]].spec)
        spec.bar_type = other["identifier"]
        await client.data.import_file(files[same["identifier"]].path, spec)


def _spec(job: dict[str, Any]) -> pb.BacktestSpec:
    spec = pb.BacktestSpec()
    for name in job["venues"]:
        spec.venues.add(
            name=name,
            oms_type=enums_pb2.OMS_TYPE_HEDGING,
            account_type=enums_pb2.ACCOUNT_TYPE_MARGIN,
            base_currency=job["currency"],
            starting_balances=[Money(amount="1000000", currency=job["currency"])],
            default_leverage="10",
        )
    for each in job["data"]:
        is_bar = each["kind"] == "BAR"
        spec.data.add(
            kind=md.DataKind.Value(f"DATA_KIND_{each['kind']}"),
            instrument_id="" if is_bar else each["identifier"],
            bar_type=each["identifier"] if is_bar else "",
        )
    for each in job["components"]:
        spec.components.add(strategy_id=each["id"]).config.update(each["config"])
    return spec


async def _bare(mesh: RunningMesh, job: dict[str, Any], folder: Path) -> dict[str, Any]:
    file = folder / "job.json"
    catalog = str(mesh.data / "catalog" / "default")
    file.write_text(json.dumps({**job, "catalog": catalog, "strategies": str(EXAMPLES)}))
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(BARE),
        str(file),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
    )
    out, err = await asyncio.wait_for(child.communicate(), 120)
    assert child.returncode == 0, err.decode()
    found: dict[str, Any] = json.loads(out.decode().strip().splitlines()[-1])
    return found


def _numbers(statistics: Any) -> dict[str, float | None]:
    return {each.name: each.value if each.HasField("value") else None for each in statistics}
