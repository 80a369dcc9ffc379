"""A trader in a sandbox whose market the test moves, and a watcher that keeps all that it is told.

The market is the simulated Binance's: a quote goes from the venue through a feed to the trader.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from chaos.live.breaking import Place
from chaos.live.scene import feed_of_a_venue
from mesh.execution.v1 import events_pb2 as ev
from mesh.execution.v1 import trader_pb2 as pb
from mesh.execution.v1.order_pb2 import OrderTicket
from meshclient.errors import MeshClientError
from meshclient.facts import FactWatch
from running_mesh import RunningMesh

BTC, ETH, SOL, XRP = (f"{name}USDT.BINANCE" for name in ("BTC", "ETH", "SOL", "XRP"))
MOVING = {"INITIALIZED", "SUBMITTED", "PENDING_UPDATE", "PENDING_CANCEL", "RELEASED"}
"""Events after which another one must come; but held children stay SUBMITTED."""


def bare(event: ev.OrderEvent) -> str:
    """Return the type of an event without its prefix."""
    return ev.OrderEventType.Name(event.type).removeprefix("ORDER_EVENT_TYPE_")


@dataclass
class Watcher:
    """What a watch has told: facts in order, and the events of each order."""

    facts: list[tuple[str, int, ev.TraderFact]] = field(default_factory=list)
    orders: dict[str, list[ev.OrderEvent]] = field(default_factory=lambda: defaultdict(list))
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, watch: FactWatch[ev.TraderFact]) -> None:
        """Write down what comes, until cancelled."""
        async for told in watch:
            self.facts.append((told.subject, told.number, told.fact))
            if told.fact.HasField("order"):
                self.orders[told.fact.order.client_order_id].append(told.fact.order)
            self._more.set()

    def told(self, client_order_id: str) -> list[str]:
        """Return the events of an order."""
        return [bare(event) for event in self.orders.get(client_order_id, [])]

    async def until(self, holds: Callable[[], bool], what: Callable[[], object]) -> None:
        """Wait until something holds of what was told; ``what`` says what was instead."""
        try:
            async with asyncio.timeout(30):
                while not holds():
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(what()) from None

    async def last(self, client_order_id: str, event: str) -> None:
        """Wait until this is the last event of an order."""

        def holds() -> bool:
            return self.told(client_order_id)[-1:] == [event]

        await self.until(holds, lambda: (client_order_id, event, self.told(client_order_id)))


@dataclass
class Desk:
    """A trader for orders by hand, its market and its watcher."""

    at: Place
    name: str
    watcher: Watcher
    held: set[str] = field(default_factory=set)
    """Orders that wait for their parent."""

    async def quote(self, instrument_id: str, bid: str, ask: str, size: str = "10") -> None:
        """Move a market, and wait until the trader has seen it."""
        symbol = instrument_id.partition(".")[0]
        quote = {"bid": bid, "ask": ask, "bid_size": size, "ask_size": size}
        async with asyncio.timeout(60):
            while True:
                await self.at.venue.do("quote", market="spot", symbol=symbol, **quote)
                for _ in range(20):
                    if await self._sees(instrument_id, ask):
                        return
                    await asyncio.sleep(0.02)

    async def _sees(self, instrument_id: str, ask: str) -> bool:
        seen = await self.at.client.orders.preview(self.name, instrument_id, "BUY", "1")
        return bool(seen.price) and float(seen.price) == float(ask)

    async def submit(self, *tickets: OrderTicket) -> None:
        """Submit orders at once, each by itself, and wait until each has come to rest."""
        await asyncio.gather(*(self._send(ticket) for ticket in tickets))
        await self.rest(*(ticket.client_order_id for ticket in tickets))

    async def _send(self, ticket: OrderTicket) -> None:
        sent = await self.at.client.orders.send(self.name, ticket)
        assert list(sent.command.client_order_ids) == [ticket.client_order_id]

    async def submit_list(self, tickets: Sequence[OrderTicket]) -> None:
        """Submit orders as a list, and wait until each has come to rest."""
        await self.at.client.orders.submit_list(self.name, tickets)
        self.held |= {each.client_order_id for each in tickets if each.parent_order_id}
        await self.rest(*(each.client_order_id for each in tickets))

    async def rest(self, *ids: str) -> None:
        """Wait until nothing more happens to orders by itself."""
        await self.watcher.until(
            lambda: all(self._rests(each) for each in ids),
            lambda: {each: self.watcher.told(each) for each in ids if not self._rests(each)},
        )

    def _rests(self, client_order_id: str) -> bool:
        told = self.watcher.told(client_order_id)
        held = client_order_id in self.held and told[-1:] == ["SUBMITTED"]
        return held or (bool(told) and told[-1] not in MOVING)

    async def complete(self) -> None:
        """Wait until the watcher has been told the last event of every order."""
        for order in await self.at.client.orders.list(self.name):
            await self.watcher.until(
                lambda o=order: any(n == o.fact_number for _, n, _ in self.watcher.facts),  # type: ignore[misc] # bound now
                lambda o=order: (o, self.watcher.told(o.client_order_id)),  # type: ignore[misc] # bound now
            )


@asynccontextmanager
async def watching(at: Place, *trader_ids: str, **more: Any) -> AsyncIterator[Watcher]:
    """Give a watcher of traders that is attached."""
    watcher = Watcher()
    async with at.client.orders.watch(*trader_ids, **more) as watch:
        await watch.attach()
        task = asyncio.create_task(watcher.follow(watch))
        try:
            yield watcher
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def desk(mesh: RunningMesh, name: str, *instruments: str) -> AsyncIterator[Desk]:
    """Give a running trader on a venue of its own."""
    async with feed_of_a_venue(mesh, f"feed-{name.lower()}") as at, watching(at) as watcher:
        await at.client.traders.create(name, spec(at.feed_id, *instruments), start=True)
        try:
            await at.client.traders.wait(name, "RUNNING", "DEGRADED")
            yield Desk(at, name, watcher)
        finally:
            await away(at, name)


async def away(at: Place, name: str) -> None:
    """Stop a trader if it is there, and delete it."""
    with suppress(MeshClientError):
        await at.client.traders.stop(name)
        await at.client.traders.wait(name, "STOPPED", "FAILED")
        await at.client.traders.delete(name, force=True)


def spec(feed_id: str, *instruments: str) -> pb.TraderSpec:
    """Return a trader for orders by hand, whose orders in SOL are limited to 10000 USDT."""
    venue = pb.TraderVenue(venue="BINANCE")
    venue.sandbox.starting_balances.add(amount="1000000000", currency="USDT")
    made = pb.TraderSpec(venues=[venue])
    made.data.mesh.feed_id = feed_id
    made.data.instrument_ids.extend(instruments)
    made.risk.max_notional_per_order[SOL] = "10000"
    return made
