"""The mesh as the data client of a stock script with a TradingNode: cases ND-01 to ND-05."""

import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from meshclient.client import MeshClient
from running_mesh import RunningMesh, start_mesh
from services.market_data.sample import START

pytestmark = pytest.mark.timeout(300)

TRADER = Path(__file__).parent / "trader.py"
TESTS = Path(__file__).resolve().parents[2]
PERPETUAL, EURUSD, BTC, ETH = (
    "BTCUSDT-PERP.SIM",
    "EUR/USD.SIM",
    "BTCUSDT.BINANCE",
    "ETHUSDT.BINANCE",
)
MINUTE = 60 * 10**9


@pytest.fixture(scope="module")
def mesh() -> Iterator[RunningMesh]:
    """Give a mesh with its sample; it is stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="mesh-dc-") as name:
        Path(name).chmod(0o711)
        running = start_mesh(Path(name) / "data")
        try:
            running.wait_for("mesh ready")
            yield running
        finally:
            running.stop()


@pytest.fixture
def venue() -> Iterator[str]:
    """Give the address of a simulated Binance that sends 50 quotes and 5 trades a second."""
    command = [sys.executable, "-m", "simulators.binance", "--rate", "50"]
    child = subprocess.Popen(
        command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdin is not None
    try:
        yield f"127.0.0.1:{child.stdout.readline().strip()}"
    finally:
        child.stdin.close()  # which ends it
        child.wait(20)


def run(mesh: RunningMesh, folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Run the script on a job in a process of its own; return what its strategy wrote down."""
    file = folder / f"{job['how']}.json"
    file.write_text(json.dumps(job))
    done = subprocess.run(
        [sys.executable, str(TRADER), str(file)],
        env=mesh.env,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    seen: dict[str, Any] = json.loads(file.with_suffix(".out").read_text())
    return seen


def test_nd01_lockstep_gives_what_a_backtest_gives(mesh: RunningMesh, tmp_path: Path) -> None:
    """ND-01: ticks, internal bars of every kind and the clock are those of a backtest."""
    bars = (
        f"{PERPETUAL}-1-MINUTE-LAST-INTERNAL",
        f"{PERPETUAL}-100-TICK-LAST-INTERNAL",
        f"{PERPETUAL}-10-VOLUME-LAST-INTERNAL",
        f"{PERPETUAL}-1000000-VALUE-LAST-INTERNAL",
        f"{EURUSD}-1-MINUTE-MID-INTERNAL",
    )
    data = [["trades", PERPETUAL], ["quotes", EURUSD], ["marks", PERPETUAL]]
    job = {
        "instruments": [PERPETUAL, EURUSD],
        "data": data,
        "subscribe": [*data, *(["bars", bar] for bar in bars)],
        "catalog": str(mesh.data / "catalog" / "default"),
        "start": START,
    }
    ours = run(mesh, tmp_path, {**job, "how": "lockstep"})
    theirs = run(mesh, tmp_path, {**job, "how": "backtest"})
    assert ours == theirs
    assert len(ours["trades"]) > 10_000
    of_each = [sum(row[1]["bar_type"] == bar for row in ours["bars"]) for bar in bars]
    assert min(of_each) > 3
    minutes = [row[1] for row in ours["bars"] if row[1]["bar_type"] == bars[0]]
    closes = [int(bar["ts_event"]) for bar in minutes]
    assert all(close % MINUTE == 0 for close in closes)
    assert set(map(int.__sub__, closes[1:], closes)) == {MINUTE}


def test_nd02_a_book_in_lockstep_is_that_of_a_backtest(mesh: RunningMesh, tmp_path: Path) -> None:
    """ND-02: the changes of an order book build the same book after each of them."""
    job = {
        "instruments": [PERPETUAL],
        "data": [["deltas", PERPETUAL]],
        "subscribe": [["deltas", PERPETUAL]],
        "catalog": str(mesh.data / "catalog" / "default"),
        "start": START,
        "books": True,
    }
    ours = run(mesh, tmp_path, {**job, "how": "lockstep"})
    theirs = run(mesh, tmp_path, {**job, "how": "backtest"})
    assert ours == theirs
    assert len(ours["books"]) > 100


def test_nd05_subscriptions_change_while_it_plays(mesh: RunningMesh, tmp_path: Path) -> None:
    """ND-05: what is subscribed to later comes from there on, though other data has ended by then
    and a channel never had any.
    """
    data = [["trades", PERPETUAL], ["marks", PERPETUAL], ["quotes", EURUSD]]
    wanted = [*data[:2], ["bars", f"{PERPETUAL}-1-MINUTE-LAST-INTERNAL"]]
    job = {
        "instruments": [PERPETUAL, EURUSD],
        "data": data,
        "subscribe": wanted,
        "later": [40, "quotes", EURUSD],  # the mark prices of the sample end before that
        "catalog": str(mesh.data / "catalog" / "default"),
        "start": START,
    }
    nothing = ["quotes", PERPETUAL]
    ours = run(mesh, tmp_path, {**job, "subscribe": [nothing, *wanted], "how": "lockstep"})
    theirs = run(mesh, tmp_path, {**job, "how": "backtest"})
    assert ours == theirs
    assert int(ours["marks"][-1][1]["ts_init"]) < int(ours["quotes"][0][1]["ts_init"])


async def test_nd03_live_data_of_a_venue_reaches_a_node(
    mesh: RunningMesh, venue: str, tmp_path: Path
) -> None:
    """ND-03: quotes, trades, internal bars and the book of a venue, every trade once; history."""
    async with MeshClient.from_profile(env=mesh.env) as client:
        config = {"base_url_http": f"http://{venue}", "base_url_ws": f"ws://{venue}/spot"}
        await client.feeds.create("binance", "BINANCE", config)
        until = datetime.now(UTC).replace(second=0, microsecond=0)
        minutes = f"{BTC}-1-MINUTE-LAST-EXTERNAL"
        request = [minutes, str(until - timedelta(minutes=30)), str(until)]
        seen = run(
            mesh,
            tmp_path,
            {
                "how": "live",
                "feed_id": "binance",
                "instruments": [BTC, ETH],
                "subscribe": [
                    ["quotes", BTC],
                    ["quotes", ETH],
                    ["trades", BTC],
                    ["deltas", BTC],
                    ["bars", f"{BTC}-1-SECOND-LAST-INTERNAL"],
                ],
                "request": [request],
                "seam": [ETH],
                "enough": 1_500,
            },
        )
        assert await client.market_data.list(feed_id="binance") == []
    sent = _sent(venue, "spot/btcusdt@aggTrade")
    trades = [row[1] for row in seen["trades"]]
    ids = [int(trade["trade_id"]) for trade in trades if trade["instrument_id"] == BTC]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    prices = [trade["price"] for trade in trades if trade["instrument_id"] == BTC]
    assert prices == [sent[number] for number in ids]
    assert {row[1]["instrument_id"] for row in seen["quotes"]} == {BTC, ETH}
    assert seen["bars"]
    assert all(float(bid) < float(ask) for bid, ask in seen["books"])
    bars = [row for row in seen["answers"] if row["type"] == "Bar"]
    assert len(bars) == 30
    told = [int(row["trade_id"]) for row in seen["answers"] if row["type"] == "TradeTick"]
    live = [int(trade["trade_id"]) for trade in trades if trade["instrument_id"] == ETH]
    assert told
    assert live
    both = [*told, *live]
    assert both == list(range(both[0], both[0] + len(both))), "no hole at the seam, no doubles"


def _sent(venue: str, channel: str) -> dict[int, str]:
    """Return the prices of the trades that the venue sent, by id."""
    with urllib.request.urlopen(f"http://{venue}/_sim/sent?channel={channel}") as answer:
        return {row["a"]: row["p"] for row in json.load(answer)}


def test_nd04_a_node_without_the_mesh_says_why(tmp_path: Path) -> None:
    """ND-04: a stock node that is to play in lockstep is told what it needs."""
    file = tmp_path / "odd.json"
    file.write_text("{}")
    code = (
        "import asyncio; from nautilus_trader.live.node import TradingNode, TradingNodeConfig;"
        "from meshnautilus import *\n"
        "async def main():\n"
        " node = TradingNode(TradingNodeConfig(data_clients={'MESH':"
        " MeshDataClientConfig(replay=ReplayRange())}), loop=asyncio.get_running_loop())\n"
        " node.add_data_client_factory('MESH', MeshDataClientFactory)\n"
        " node.build()\n"
        "asyncio.run(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert "DataTimeNode" in done.stderr
