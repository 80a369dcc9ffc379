"""Traders of a sandbox on a feed, and clients that order through the gateway while things break."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from chaos.live.breaking import Place
from chaos.live.readers import clients, until
from chaos.live.scene import feed_of_a_venue, send
from chaos.trading import stores
from chaos.trading.books import Fact, faults
from chaos.trading.breaking import Kill, processes
from chaos.trading.clients import INSTRUMENTS, Client, trading
from chaos.trading.watchers import KINDS, Seen, Watcher, watching
from mesh.execution.v1 import trader_pb2 as pb
from running_mesh import RunningMesh

PATIENCE_S = 60.0
RATE = 0.3
"""Times the ticks of the other tests: enough to fill orders at."""


@dataclass
class Scene:
    """Traders, those who order, and those who watch."""

    at: Place
    traders: Sequence[str]
    clients: Sequence[Client]
    watchers: Sequence[Watcher]
    draw: random.Random
    killed: Counter[str] = field(default_factory=Counter)

    async def kill(self, what: Kill, most: int = 20) -> None:
        """Kill something at a random order; one who watches is away meanwhile."""
        await self.answered(self.draw.randint(1, most))
        away = self.draw.choice((None, *self.watchers))
        if away is not None:
            await away.stop()
        await what.strike(self.at)
        self.killed[what.name] += 1
        if away is not None:
            await away.start()

    async def answered(self, more: int) -> None:
        """Wait until so many more orders were answered."""
        goal = sum(each.answered for each in self.clients) + more
        await until(
            lambda: sum(each.answered for each in self.clients) >= goal,
            f"{more} more orders are answered",
            PATIENCE_S,
        )

    async def recovered(self) -> None:
        """Wait until each trader has come back by itself: reconciled, and in one process."""
        for trader_id in self.traders:
            found = None
            try:
                async with asyncio.timeout(PATIENCE_S):
                    while not self._runs(found := await self.at.client.traders.get(trader_id)):
                        await asyncio.sleep(0.1)
            except TimeoutError:
                there = processes(self.at.mesh, trader_id)
                raise AssertionError(f"{trader_id} has {there} and is {found}") from None

    def _runs(self, trader: pb.Trader) -> bool:
        there = processes(self.at.mesh, trader.trader_id)
        return trader.state == pb.TRADER_STATE_RUNNING and there == [trader.process.pid]

    async def checked(self) -> dict[str, Sequence[Fact]]:
        """Wait until nothing is under way, and check all that was recorded and told."""
        await self.at.venue.do("stop")
        async with stores.opened(self.at.mesh) as connection:
            await self._settled(connection)
            facts = {each: await stores.facts_of(connection, each) for each in self.traders}
        found = [fault for each in self.traders for fault in faults(facts[each], self.ids(each))]
        assert not found, f"{len(found)} faults, the first: {found[:5]}"
        await self._as_listed(facts)
        await self._as_told(facts)
        return facts

    def ids(self, trader_id: str) -> list[str]:
        """Return what was submitted to a trader."""
        mine = (each for each in self.clients if each.trader_id == trader_id)
        return [key for each in mine for key in each.submitted]

    async def _settled(self, connection: Any) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not await stores.settled(connection, self.traders):
                await asyncio.sleep(0.05)

    async def _as_listed(self, facts: dict[str, Sequence[Fact]]) -> None:
        """Check that what the service lists is what the facts add up to."""
        for trader_id in self.traders:
            listed = await self.at.client.orders.list(trader_id)
            assert sorted(each.client_order_id for each in listed) == sorted(self.ids(trader_id))
            for each in await self.at.client.orders.positions(trader_id):
                told = [f.fact.position.position for f in facts[trader_id]]
                last = [one for one in told if one.position_id == each.position_id][-1]
                assert each.signed_qty == last.signed_qty

    async def _as_told(self, facts: dict[str, Sequence[Fact]]) -> None:
        """Check that each watcher was told every fact once, in order."""
        all_ = {trader_id: told_of(trader_id, facts[trader_id]) for trader_id in self.traders}
        counts = {trader_id: len(each) for trader_id, each in all_.items()}
        for watcher in self.watchers:
            await self._told(watcher, counts)
            found = watcher.faults(all_)
            assert not found, f"{found}; away {watcher.visits - 1} times, broken {watcher.breaks}"

    async def _told(self, watcher: Watcher, counts: dict[str, int]) -> None:
        """Wait until a watcher was told so many facts; it is for others to say which."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while any(watcher.count(name) < counts[name] for name in watcher.trader_ids):
                    await asyncio.sleep(0.05)


def told_of(trader_id: str, facts: Sequence[Fact]) -> list[Seen]:
    """Return what those who watch orders are told of these facts."""
    return [
        (trader_id, each.number, each.fact.SerializeToString(deterministic=True))
        for each in facts
        if each.fact.WhichOneof("fact") in KINDS
    ]


@asynccontextmanager
async def trading_scene(
    mesh: RunningMesh, prefix: str, draw: random.Random, *, traders: int = 2, each: int = 2
) -> AsyncIterator[Scene]:
    """Give traders with clients that order without pause, and watchers, while the block lasts."""
    names = [f"{prefix}-00{number}" for number in range(1, traders + 1)]
    async with AsyncExitStack() as stack:
        at = await stack.enter_async_context(feed_of_a_venue(mesh, f"feed-{prefix.lower()}"))
        await send(at, RATE)
        meshes = await stack.enter_async_context(clients(mesh, traders * each))
        callers = [
            Client(one, names[n % traders], random.Random(draw.random()))
            for n, one in enumerate(meshes)
        ]
        watchers = [Watcher(meshes[0], names), *(Watcher(meshes[1], [name]) for name in names)]
        await stack.enter_async_context(_made(at, names))
        await stack.enter_async_context(watching(watchers))  # from their first facts on
        await _running(at, names)
        yield Scene(at, names, callers, watchers, draw)


@asynccontextmanager
async def _made(at: Place, names: Sequence[str]) -> AsyncIterator[None]:
    """Make traders, and delete them after the block."""
    try:
        for name in names:
            await at.client.traders.create(name, _spec(at))
        yield
    finally:
        for name in names:
            await at.client.traders.stop(name)
        await asyncio.gather(*(_gone(at, name) for name in names))


async def _running(at: Place, names: Sequence[str]) -> None:
    for name in names:
        await at.client.traders.start(name)
    for name in names:
        await at.client.traders.wait(name, "RUNNING")
        await _quoted(at, name)


async def _quoted(at: Place, name: str) -> None:
    async with asyncio.timeout(60):
        for instrument in INSTRUMENTS:
            while not (await at.client.orders.preview(name, instrument, "BUY", "0.02")).price:
                await asyncio.sleep(0.1)


def _spec(at: Place) -> pb.TraderSpec:
    venue = pb.TraderVenue(venue="BINANCE")
    venue.sandbox.starting_balances.add(amount="100000000", currency="USDT")
    data = pb.DataSource(mesh=pb.MeshData(feed_id=at.feed_id), instrument_ids=INSTRUMENTS)
    spec = pb.TraderSpec(venues=[venue], data=data)
    for rate in (spec.risk.max_order_submit_rate, spec.risk.max_order_modify_rate):
        rate.limit = 100_000  # a trader that comes back has much to do at once
        rate.interval.FromTimedelta(timedelta(seconds=1))
    return spec


async def _gone(at: Place, name: str) -> None:
    async with asyncio.timeout(60):
        while (await at.client.traders.get(name)).HasField("process"):
            await asyncio.sleep(0.1)
    await at.client.traders.delete(name, force=True)


@asynccontextmanager
async def ordering(scene: Scene) -> AsyncIterator[None]:
    """Let the clients order while the block lasts; after it every order has its answer."""
    async with trading(scene.clients):
        await scene.answered(10)
        yield
