"""UP-05: `make run` on a machine that has never seen the mesh, and again."""

import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.marketdata.v1 import live_pb2
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


def _quotes(mesh: RunningMesh) -> list[tuple[str, str]]:
    """Return data time and bid of the live quotes that a mesh printed."""
    line = re.compile(r"^(\S+ \S+)  EUR/USD\.SIM +bid (\S+)  ask \S+$", re.MULTILINE)
    return line.findall(mesh.said())


async def _subscribe(mesh: RunningMesh) -> str:
    """Make a subscription that stays, and return its id."""
    async with MeshClient.from_profile(env=mesh.env) as client:
        made = await client.market_data.subscribe("sample-replay", "EUR/USD.SIM:quotes")
    return made.subscription_id


async def _next_quote(mesh: RunningMesh, subscription_id: str) -> live_pb2.MarketDataUpdate:
    """Return the next quote of a subscription."""
    async with (
        MeshClient.from_profile(env=mesh.env) as client,
        client.market_data.watch(subscription_id) as watch,
    ):
        async for item in watch:
            if isinstance(item, live_pb2.MarketDataUpdate):
                return item
    raise AssertionError("the watch ended")


def _feed_processes(data: Path) -> list[int]:
    """Return the processes of feeds that the mesh's market-data service has started."""
    parent = (data / "run/market-data.pid").read_text().split()[0]
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = each.read_bytes().decode().split("\0")
        except OSError:
            continue  # it has ended meanwhile
        if "services.market_data.engine.feed" in words and parent in words:
            found.append(int(each.parent.name))
    return found


async def test_first_and_second_start(data: Path) -> None:
    """The first start shows the key once, does the main job and shows quotes and orders that move;
    the second has it done and lost nothing.
    """
    first = start_mesh(data)
    ready = first.wait_for("mesh ready")
    assert first.gateway in ready
    assert first.said().count("shown this once") == 1
    runs = await _runs(first)
    assert len(runs) == 1
    quotes = _quotes(first)
    assert len(quotes) > 2
    assert quotes == sorted(quotes, key=lambda quote: quote[0])
    assert len({bid for _, bid in quotes}) > 1
    assert re.search(r"SAMPLE-001 .* EUR/USD\.SIM +filled", first.said())
    assert "meshctl md watch sample-replay" in first.said()
    kept = await _subscribe(first)
    await _next_quote(first, kept)
    pids = [*_pids(data), *_feed_processes(data)]
    assert len(pids) == 9
    assert first.stop() == 0
    assert not any(process_alive(pid) for pid in pids)

    second = start_mesh(data)
    second.wait_for("mesh ready")
    assert await _runs(second) == runs
    assert "shown this once" not in second.said()
    assert not _quotes(second)
    assert (await _next_quote(second, kept)).quote.bid_price
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
