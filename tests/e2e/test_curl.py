"""The main job with nothing but curl, as the README shows it."""

import asyncio
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

import live_doors
from doors import by_python, figures
from mesh.backtest.v1.backtest_pb2 import Backtest
from mesh.marketdata.v1.market_data_service_pb2 import WatchMarketDataResponse
from meshclient import profiles
from running_mesh import RunningMesh, start_mesh

pytestmark = pytest.mark.timeout(300)

DOORS = Path(__file__).parent / "doors"


@pytest.fixture
def mesh() -> Iterator[RunningMesh]:
    """Give a mesh that is ready."""
    with tempfile.TemporaryDirectory(prefix="mesh-c-") as name:
        Path(name).chmod(0o711)  # PostgreSQL's user passes through
        running = start_mesh(Path(name) / "data")
        try:
            running.wait_for("mesh ready")
            yield running
        finally:
            running.stop()


async def test_the_main_job_with_curl(mesh: RunningMesh, tmp_path: Path) -> None:
    """curl runs the sample's backtest, watches it, and reads what Python reads."""
    child = await asyncio.create_subprocess_exec(
        str(DOORS / "rest.sh"),
        f"http://{mesh.gateway}",
        str(DOORS / "backtest.json"),
        str(tmp_path),
        env={**mesh.env, "MESH_API_KEY": profiles.load(env=mesh.env).api_key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(child.communicate(), 120)
    assert child.returncode == 0, err.decode()
    assert '"fraction"' in err.decode()
    run = ParseDict(json.loads(out)["backtest"], Backtest())
    assert figures(MessageToDict(run, preserving_proto_field_name=True)) == await by_python(mesh)
    assert "<html>" in (tmp_path / "tearsheet.html").read_text()[:100]
    with pa.ipc.open_stream((tmp_path / "orders.arrow").read_bytes()) as orders:
        assert orders.read_all().num_rows == run.result.total_orders > 0
    seen = _live((tmp_path / "live.jsonl").read_text())
    played = await live_doors.stored(mesh)
    assert len(seen) > 10
    assert live_doors.is_stretch(seen, played)
    assert live_doors.is_stretch(await live_doors.by_python(mesh, 10), played)


def _live(text: str) -> list[live_doors.Quote]:
    """Return the quotes of a stream of JSON, a message on a line."""
    messages = [
        ParseDict(json.loads(line), WatchMarketDataResponse()) for line in text.split("\n") if line
    ]
    assert messages[0].checkpoint
    items = [item for message in messages for item in message.items]
    return [live_doors.quote(item.update) for item in items if item.HasField("update")]
