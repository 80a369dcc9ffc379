"""Traders with open positions and resting orders in a whole mesh, for trials of the kill switch."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from chaos.live.breaking import Place
from chaos.live.scene import feed_of_a_venue, send
from mesh.common.v1 import enums_pb2 as enums
from mesh.execution.v1 import safety_pb2 as pb
from mesh.execution.v1 import trader_pb2
from mesh.strategy.v1 import strategy_pb2
from meshclient.errors import MeshClientError
from running_mesh import RunningMesh

BTC = "BTCUSDT.BINANCE"
MESHCTL = Path(sys.executable).with_name("meshctl")
STUBBORN = '''
from decimal import Decimal
from nautilus_trader.config import StrategyConfig
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.trading.strategy import Strategy

class StubbornConfig(StrategyConfig, frozen=True):
    instrument_id: str = "BTCUSDT.BINANCE"

class Stubborn(Strategy):
    """Buys at every tenth quote, whatever becomes of it."""
    def __init__(self, config):
        super().__init__(config)
        self.seen = 0

    def on_start(self):
        self.wanted = InstrumentId.from_str(self.config.instrument_id)
        self.subscribe_quote_ticks(self.wanted)

    def on_quote_tick(self, tick):
        self.seen += 1
        if self.seen % 10 == 1:
            made = self.cache.instrument(self.wanted)
            self.submit_order(self.order_factory.market(
                self.wanted, OrderSide.BUY, made.make_qty(Decimal("0.01"))))
'''


@dataclass(frozen=True)
class Switch:
    """Three traders by hand or by a strategy that buys without end, all with something open."""

    at: Place
    names: Sequence[str]

    async def open(self) -> None:
        """Let each trader hold a position and a resting order."""
        for name in self.names:
            await self.buys(name)
            rests = await self.at.client.orders.submit(
                name, BTC, "BUY", "0.01", price="1.00", wait="accepted"
            )
            assert rests.order.status == enums.ORDER_STATUS_ACCEPTED, rests.order.reason

    async def buys(self, name: str) -> None:
        """Buy at the market."""
        made = await self.at.client.orders.submit(name, BTC, "BUY", "0.02", wait="terminal")
        assert made.order.status == enums.ORDER_STATUS_FILLED, made.order.reason

    async def quoted(self, name: str) -> None:
        """Wait until a trader has a market to buy at."""
        async with asyncio.timeout(60):
            while not (await self.at.client.orders.preview(name, BTC, "BUY", "0.02")).price:
                await asyncio.sleep(0.1)

    async def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a trader's process."""
        os.kill((await self.at.client.traders.get(name)).process.pid, number)

    async def flat(self, flatten_id: str) -> pb.Flatten:
        """Wait for the end of a flatten, and check that FLAT is no mere word."""
        found = await self.at.client.safety.wait_flat(flatten_id, seconds=100)
        assert found.state == pb.FLATTEN_STATE_FLAT, found
        await self.nothing_open()
        return found

    async def nothing_open(self) -> None:
        """Check that no order is open and no position."""
        orders = await self.at.client.orders.list(open_only=True)
        assert [each.client_order_id for each in orders] == []
        positions = await self.at.client.orders.positions()
        assert all(not Decimal(each.signed_qty or 0) for each in positions), positions

    async def refused(self) -> None:
        """Check that no trader takes an order."""
        for name in self.names:
            with pytest.raises(MeshClientError) as caught:
                await self.at.client.orders.submit(name, BTC, "BUY", "0.02", wait="accepted")
            assert caught.value.reason == "TRADER_HALTED"

    async def denied(self, name: str, more: int) -> None:
        """Wait until a strategy was denied so many orders more."""
        before = len(await self._denied(name))

        async def look() -> bool:
            return len(await self._denied(name)) >= before + more

        async with asyncio.timeout(60):
            while not await look():
                await asyncio.sleep(0.1)

    async def _denied(self, name: str) -> Sequence[object]:
        return await self.at.client.orders.list(name, statuses=["denied"])

    async def heeded(self, halt_id: str) -> None:
        """Wait until every trader has said that it heeds a halt."""
        async with asyncio.timeout(60):
            while set(self.names) > set(
                (await self.at.client.safety.get(halt_id)).acknowledged_trader_ids
            ):
                await asyncio.sleep(0.1)

    async def trade_again(self) -> None:
        """Check that each trader comes back by itself, and trades."""
        for name in self.names:
            await self.at.client.traders.wait(name, "RUNNING")
            await self.quoted(name)
            await self.buys(name)

    async def halt_past_the_mesh(self, *options: str) -> None:
        """Set the latch as an operator does when no service answers."""
        command = [str(MESHCTL), "halt", "set", "--all", "--flatten", "--direct", *options]
        env = {**self.at.mesh.env, "MESH_PROJECT": "default"}
        child = await asyncio.create_subprocess_exec(
            *command, "--reason", "drill", env=env, stdout=asyncio.subprocess.PIPE
        )
        told, _ = await child.communicate()
        assert child.returncode == 0, told

    async def found(self) -> pb.Halt:
        """Wait until the latch is on record, with its flatten."""
        async with asyncio.timeout(60):
            while not (halts := await self.at.client.safety.list(active=True)):
                await asyncio.sleep(0.1)
        assert halts[0].source == pb.HALT_SOURCE_LATCH
        return halts[0]


@asynccontextmanager
async def three_traders(mesh: RunningMesh, prefix: str) -> AsyncIterator[Switch]:
    """Give three traders on a venue that sends quotes; the last has the stubborn strategy."""
    names = [f"{prefix}-00{number}" for number in (1, 2, 3)]
    async with feed_of_a_venue(mesh, f"feed-{prefix.lower()}") as at:
        await send(at)
        source = strategy_pb2.StrategySource(
            files=[strategy_pb2.SourceFile(path="stubborn.py", text=STUBBORN)]
        )
        await at.client.strategies.add("stubborn", source)
        for name in names:
            await at.client.traders.create(name, _spec(at, name == names[2]), start=True)
        try:
            for name in names:
                await at.client.traders.wait(name, "RUNNING")
            switch = Switch(at, names)
            for name in names:
                await switch.quoted(name)
            yield switch
        finally:
            for name in names:
                await at.client.traders.stop(name)
            await asyncio.gather(*(_gone(at, name) for name in names))


def _spec(at: Place, stubborn: bool) -> trader_pb2.TraderSpec:
    venue = trader_pb2.TraderVenue(venue="BINANCE")
    venue.sandbox.starting_balances.add(amount="100000000", currency="USDT")
    data = trader_pb2.DataSource(mesh=trader_pb2.MeshData(feed_id=at.feed_id), instrument_ids=[BTC])
    one = trader_pb2.TraderStrategy(order_id_tag="001", strategy_id="stubborn")
    return trader_pb2.TraderSpec(strategies=[one] if stubborn else [], venues=[venue], data=data)


async def _gone(at: Place, name: str) -> None:
    async with asyncio.timeout(60):
        while (await at.client.traders.get(name)).HasField("process"):
            await asyncio.sleep(0.1)
    await at.client.traders.delete(name, force=True)
