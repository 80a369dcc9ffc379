"""The third door: a Node program with @grpc/grpc-js."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import live_doors
from doors import SPEC, by_python, figures
from mesh.marketdata.v1 import live_pb2
from meshclient import profiles
from running_mesh import RunningMesh

pytestmark = pytest.mark.timeout(300)


async def test_the_main_job_from_node(
    mesh: RunningMesh, node_modules: Path, tmp_path: Path
) -> None:
    """Node runs the sample's backtest and reads what Python reads."""
    key = profiles.load(env=mesh.env).api_key
    child = await asyncio.create_subprocess_exec(
        "node",
        "door.mjs",
        mesh.gateway,
        str(SPEC),
        str(tmp_path),
        cwd=node_modules,
        env={**mesh.env, "MESH_API_KEY": key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(child.communicate(), 120)
    assert child.returncode == 0, err.decode()
    assert "100 %" in err.decode()
    run = json.loads(out)
    assert figures(run) == await by_python(mesh)
    with pa.ipc.open_stream((tmp_path / "orders.arrow").read_bytes()) as orders:
        assert orders.read_all().num_rows == run["result"]["total_orders"] > 0
    seen = [_quote(each) for each in json.loads((tmp_path / "live.json").read_text())]
    played = await live_doors.stored(mesh)
    assert len(seen) >= 20
    assert live_doors.is_stretch(seen, played)
    assert live_doors.is_stretch(await live_doors.by_python(mesh, 10), played)


def _quote(update: dict[str, Any]) -> live_doors.Quote:
    """Return a quote as Node has it: a time is two numbers there."""
    message = live_pb2.MarketDataUpdate(quote=live_pb2.QuoteTick(**update["quote"]))
    message.event_time.seconds = int(update["event_time"]["seconds"])
    message.event_time.nanos = update["event_time"]["nanos"]
    return live_doors.quote(message)
