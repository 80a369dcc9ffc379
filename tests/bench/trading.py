"""Traders with a sandbox on the quotes of the simulated Binance, and bare nodes beside them."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.figure import ROOT
from bench.place import Place
from bench.runs import STOCK
from bench.stock.round_trip import DONE, STARTED
from bench.venue import INSTRUMENT, Venue, venue
from mesh.strategy.v1 import strategy_pb2
from meshclient.client import MeshClient

HERE = Path(__file__).parent / "stock"
FEED, STRATEGY, TRADER = "bench-trading", "round-trip", "BENCH-001"
QUOTES_PER_S = 50.0
"""Fewer than the orders a second that a trader may send, and enough of them in some seconds."""
PATIENCE = 120.0
BALANCES = ["100000000 USDT", "10000 BTC"]


@dataclass(frozen=True)
class Desk:
    """A mesh with a feed of a venue of its own, and the strategy that measures."""

    place: Place
    client: MeshClient
    venue: Venue

    @asynccontextmanager
    async def trader(self, config: Mapping[str, Any] | None = None) -> AsyncIterator[str]:
        """Give a trader that runs, with the strategy if there is a config for it."""
        tag = {"order_id_tag": "001", "strategy_id": STRATEGY}
        spec = {
            "strategies": [] if config is None else [tag | {"config": _config(config)}],
            "venues": [{"venue": "BINANCE", "sandbox": {"starting_balances": BALANCES}}],
            "data": {"mesh": FEED, "instrument_ids": [INSTRUMENT]},
        }
        await self.client.traders.create(TRADER, spec, start=True)
        try:
            await self.client.traders.wait(TRADER, "RUNNING")
            yield TRADER
        finally:
            await self.client.traders.stop(TRADER)
            await self.stopped()
            await self.client.traders.delete(TRADER, force=True)

    async def stopped(self) -> None:
        """Wait until the trader's process is gone."""
        await self.client.traders.wait(TRADER, "STOPPED")

    async def measured(self) -> dict[str, float]:
        """Return what the trader's strategy measured, in µs."""
        async with asyncio.timeout(PATIENCE):
            async for line in self.client.traders.log(TRADER, follow=True, contains=DONE):
                return _percentiles(line)
        raise AssertionError("the trader's log ended")


@asynccontextmanager
async def desk(place: Place) -> AsyncIterator[Desk]:
    """Make the feed, which sends no quotes yet, and the strategy."""
    file = HERE / "round_trip.py"
    source = strategy_pb2.StrategySource(
        files=[strategy_pb2.SourceFile(path=file.name, text=file.read_text())]
    )
    async with venue() as there, place.client() as client:
        await client.strategies.add(STRATEGY, source)
        await client.feeds.create(FEED, "BINANCE", there.config)
        try:
            yield Desk(place, client, there)
        finally:
            await client.feeds.delete(FEED)


class Bare:
    """A bare TradingNode in a process of its own."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child

    async def started(self) -> None:
        """Wait until its strategy has started."""
        await self._line(STARTED)

    async def measured(self) -> dict[str, float]:
        """Return what its strategy measured, in µs."""
        return _percentiles(await self._line(DONE))

    @property
    def memory(self) -> Any:
        """Its memory."""
        return psutil.Process(self._child.pid).memory_full_info()

    async def _line(self, text: str) -> str:
        assert self._child.stdout is not None
        said: list[str] = []
        async with asyncio.timeout(PATIENCE):
            async for line in self._child.stdout:
                said.append(line.decode())
                if text in said[-1]:
                    return said[-1]
        raise AssertionError("the bare node ended:\n" + "".join(said[-20:]))


@asynccontextmanager
async def bare(
    place: Place, there: Venue, config: Mapping[str, Any], *, stock: bool = False
) -> AsyncIterator[Bare]:
    """Start a bare node with the mesh's sandbox, or with ``stock`` one with Nautilus' own."""
    spec = place.folder / "trade.json"
    sandbox = "stock" if stock else "mesh"
    what = {"client": there.config, "sandbox": sandbox, "config": _config(config)}
    spec.write_text(json.dumps(what))
    child = await asyncio.create_subprocess_exec(
        *(STOCK if stock else sys.executable, HERE / "trade.py", spec),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(place.folder)},
    )
    try:
        yield Bare(child)
    finally:
        child.kill()
        await child.communicate()


def text(measured: Mapping[str, float]) -> str:
    """Return percentiles for people, in ms."""
    return ", ".join(f"{name} {value / 1000:.2f}" for name, value in measured.items()) + " ms"


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return percentiles in µs."""
    found = sorted(seconds)
    return {f"p{p}": found[len(found) * p // 100] * 1e6 for p in (50, 95, 99)}


def _config(config: Mapping[str, Any]) -> dict[str, Any]:
    return {"instrument_id": INSTRUMENT, **config}


def _percentiles(line: str) -> dict[str, float]:
    found: dict[str, float] = json.loads(line.partition(DONE)[2])
    return found
