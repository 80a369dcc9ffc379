"""The third door: a Node program with @grpc/grpc-js."""

import asyncio
import json
from pathlib import Path

import pyarrow as pa
import pytest

from doors import SPEC, by_python, figures
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
