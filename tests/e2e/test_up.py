"""UP-05: `make run` on a machine that has never seen the mesh, and again."""

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshclient.client import MeshClient
from running_mesh import RunningMesh, start_mesh
from services.up.embedded.process import process_alive

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def data() -> Iterator[Path]:
    """Give a data folder that is short and that PostgreSQL's user can reach."""
    with tempfile.TemporaryDirectory(prefix="mesh-up-") as name:
        Path(name).chmod(0o711)
        yield Path(name) / "data"


async def _runs(mesh: RunningMesh) -> list[str]:
    async with MeshClient.from_profile(env=mesh.env) as client:
        return [run.backtest_id for run in await client.backtests.list()]


def _pids(data: Path) -> list[int]:
    files = [*(data / "run").glob("*.pid"), data / "valkey/valkey.pid"]
    return [int(file.read_text().split()[0]) for file in files]


async def test_first_and_second_start(data: Path) -> None:
    """The first start shows the key once and does the main job; the second has it done."""
    first = start_mesh(data)
    ready = first.wait_for("mesh ready")
    assert first.gateway in ready
    assert first.said().count("shown this once") == 1
    runs = await _runs(first)
    assert len(runs) == 1
    pids = _pids(data)
    assert len(pids) == 7
    assert first.stop() == 0
    assert not any(process_alive(pid) for pid in pids)

    second = start_mesh(data)
    second.wait_for("mesh ready")
    assert await _runs(second) == runs
    assert "shown this once" not in second.said()
    refused = start_mesh(data)
    assert refused.ended() == 1
    assert f"A mesh runs already on {data}" in refused.said()
    assert second.stop(signal.SIGTERM) == 0
    logs = "".join(log.read_text() for log in (data / "logs").glob("*.log"))
    assert "NoPermissionError" not in logs
    assert "Traceback" not in logs


async def test_once(data: Path) -> None:
    """ONCE=1 ends with the main job, and does it again each time."""
    for _ in range(2):
        mesh = start_mesh(data, "--once")
        assert mesh.ended() == 0, mesh.said()
        assert "Sharpe" in mesh.said()
    mesh = start_mesh(data)
    mesh.wait_for("mesh ready")
    assert len(await _runs(mesh)) == 2
    assert mesh.stop() == 0


async def test_after_kill_nine(data: Path) -> None:
    """A start that was killed leaves nothing in the way of the next one, and no run is lost."""
    first = start_mesh(data)
    first.wait_for("mesh ready")
    runs = await _runs(first)
    port = int(first.gateway.rpartition(":")[2])
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    second = start_mesh(data, ports=port)
    second.wait_for("mesh ready")
    assert await _runs(second) == runs
    assert second.stop() == 0
