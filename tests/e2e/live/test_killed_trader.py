"""A trader that is killed in the middle of its replay, and one that is not.

EX-96: the sample strategy trades on as if nothing had been, its averages equal to the last bit.
"""

import asyncio
import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import services.strategy.examples as examples
from e2e.live.test_parity import BTC, as_row, load, played
from mesh.execution.v1.events_pb2 import TraderFact
from mesh.strategy.v1 import strategy_pb2
from meshclient.client import MeshClient
from running_mesh import RunningMesh
from services.live_execution.trader import journal_file
from services.market_data import sample

pytestmark = pytest.mark.timeout(300)

WHOLE, KILLED = "WHOLE-001", "KILLED-001"
MINUTES = (15, 40)
"""Minutes of the replay at which the process is killed."""


async def test_ex96_a_killed_trader_goes_on_as_if_nothing_had_been(
    live_mesh: RunningMesh, tmp_path: Path
) -> None:
    """EX-96: orders, fills and averages are those of a trader that was never killed."""
    async with MeshClient.from_profile(env=live_mesh.env) as client:
        await load(client, tmp_path)
        text = (Path(examples.__file__).parent / "ema_cross.py").read_text()
        file = strategy_pb2.SourceFile(path="ema_cross.py", text=text)
        await client.strategies.add("averages", strategy_pb2.StrategySource(files=[file]))
        found = {}
        for trader_id in (WHOLE, KILLED):
            await client.traders.create(trader_id, _trader(), start=True)
        try:
            for minute in MINUTES:
                await _kill_at(client, minute)
            for trader_id in (WHOLE, KILLED):
                found[trader_id] = sorted(map(as_row, await played(client, trader_id)))
        finally:
            for trader_id in (WHOLE, KILLED):
                await client.traders.stop(trader_id)
        assert (await client.traders.get(KILLED)).process.restarts >= len(MINUTES)
    assert found[WHOLE] == found[KILLED]
    assert len(found[WHOLE]) > 4, "it has traded"
    whole, killed = (_averages(live_mesh.data, trader_id) for trader_id in (WHOLE, KILLED))
    assert whole == killed


def _trader() -> dict[str, Any]:
    """Return a trader that is told of its instrument by the strategy's config alone."""
    config = {
        "instrument_id": BTC,
        "bar_type": f"{BTC}-1-MINUTE-LAST-INTERNAL",
        "trade_size": "0.010",
        "fast_ema_period": 3,
        "slow_ema_period": 6,
    }
    sandbox = {"starting_balances": ["1000000 USDT"], "default_leverage": 10}
    span = {"start": "2024-01-01T00:00:00Z", "end": "2024-01-01T01:00:00Z"}
    return {
        "strategies": [{"order_id_tag": "001", "strategy_id": "averages", "config": config}],
        "venues": [{"venue": "SIM", "sandbox": sandbox}],
        "data": {"replay": {"range": span, "speed": 240}},
    }


async def _kill_at(client: MeshClient, minute: int) -> None:
    """Kill the trader's process at a minute of its replay."""
    at_ns = sample.START + minute * sample.MINUTE
    async with asyncio.timeout(120):
        while True:
            trader = await client.traders.get(KILLED)
            if trader.data_time.ToNanoseconds() >= at_ns and trader.process.pid:
                os.kill(trader.process.pid, signal.SIGKILL)
                return
            await asyncio.sleep(0.1)


def _averages(data: Path, trader_id: str) -> tuple[float, float, int, bytes]:
    """Return the averages that a trader's strategy saved last, with the time of the last bar."""
    states = [fact.saved.state for fact in _facts(data, trader_id) if fact.HasField("saved")]
    fast, slow = pickle.loads(states[-1]["averages"])
    return fast.value, slow.value, slow.count, states[-1]["last_ns"]


def _facts(data: Path, trader_id: str) -> list[TraderFact]:
    """Return the facts in a trader's journal; its folder has a name of its own."""
    for folder in (data / "traders").glob("*/*/journal"):
        facts = [TraderFact.FromString(body) for body in _bodies(folder)]
        if any(fact.order.trader_id == trader_id for fact in facts):
            return facts
    raise AssertionError(f"{trader_id} has no journal")


def _bodies(folder: Path) -> Iterator[bytes]:
    for segment in journal_file.scan(folder):
        text = segment.path.read_bytes()[journal_file.HEADER_SIZE :]
        records, _ = journal_file.parse(text, segment.first)
        yield from (body for number, body in records if segment.has(number))
