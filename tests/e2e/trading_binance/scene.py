"""Two traders of a whole mesh at the simulated Binance, by Nautilus' own adapters: spot, whose data
comes from a feed of the mesh, and USDT futures, whose data comes from the venue.

The venue runs in the test's own process: its books are at hand.
"""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from chaos.live.readers import clients
from mesh.common.v1 import enums_pb2 as enums
from mesh.execution.v1 import events_pb2 as ev
from mesh.execution.v1.order_pb2 import Order
from meshclient.client import MeshClient
from running_mesh import RunningMesh
from simulators.binance.accounts import KEY, SECRET
from simulators.binance.matching import ZERO
from simulators.binance.symbols import FUTURES, SPOT
from simulators.binance.venue import Binance

INSTRUMENTS = {SPOT: "BTCUSDT.BINANCE", FUTURES: "BTCUSDT-PERP.BINANCE"}
BEGIN_BTC = Decimal(10)
"""What the spot account has before anybody trades."""
PATIENCE_S = 60.0
CLOSED = {
    enums.ORDER_STATUS_FILLED,
    enums.ORDER_STATUS_CANCELED,
    enums.ORDER_STATUS_EXPIRED,
    enums.ORDER_STATUS_REJECTED,
    enums.ORDER_STATUS_DENIED,
}


@dataclass
class Told:
    """What a watcher of one trader's orders was told."""

    numbers: list[int] = field(default_factory=list)
    orders: dict[str, list[str]] = field(default_factory=dict)
    filled: Counter[str] = field(default_factory=Counter)

    def take(self, number: int, fact: ev.TraderFact) -> None:
        """Write a fact down."""
        self.numbers.append(number)
        if fact.HasField("order"):
            event = fact.order
            kind = ev.OrderEventType.Name(event.type).removeprefix("ORDER_EVENT_TYPE_")
            self.orders.setdefault(event.client_order_id, []).append(kind)
            if event.HasField("filled"):
                self.filled[event.client_order_id] += Decimal(event.filled.last_qty)  # type: ignore[assignment] # decimals


@dataclass
class At:
    """One trader, its market and its account at the venue."""

    client: MeshClient
    venue: Binance
    market: str
    name: str
    told: Told = field(default_factory=Told)

    def __post_init__(self) -> None:
        self.account = self.venue.accounts.of[self.market]
        self.instrument = INSTRUMENTS[self.market]

    # -- what is done

    def move(self, bid: str, ask: str, size: str = "5") -> None:
        """Move the venue's market."""
        self.venue.quote(self.market, "BTCUSDT", bid, size, ask, size)

    async def submit(self, side: str, quantity: str, wait: str = "", **more: Any) -> str:
        """Submit an order and return its id."""
        sent = self.client.orders.submit(
            self.name, self.instrument, side, quantity, wait=wait, wait_seconds=20, **more
        )
        await sent
        return sent.client_order_id

    async def rests(self, price: str, quantity: str = "1") -> str:
        """Submit an order that rests, and return its id."""
        key = await self.submit("BUY", quantity, "accepted", price=price)
        await self.status(key, "ACCEPTED")
        return key

    async def status(self, key: str, *statuses: str) -> Order:
        """Wait until an order has one of these statuses."""
        wanted = [enums.OrderStatus.Value(f"ORDER_STATUS_{each}") for each in statuses]
        return await self.order(key, lambda order: order.status in wanted)

    async def order(self, key: str, holds: Callable[[Order], bool]) -> Order:
        """Wait until something holds of an order."""
        found = await self.client.orders.get(self.name, key)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds(found):
                    await asyncio.sleep(0.05)
                    found = await self.client.orders.get(self.name, key)
        except TimeoutError:
            raise AssertionError(f"{self.name}: {found}") from None
        return found

    async def pid(self) -> int:
        """Return the trader's process."""
        return (await self.client.traders.get(self.name)).process.pid

    async def kill(self) -> None:
        """kill -9 the trader's process."""
        os.kill(await self.pid(), signal.SIGKILL)

    # -- what is so

    async def same(self) -> None:
        """Compare rows, positions, balances and what was told with the venue's books, as soon as
        they agree.
        """
        ours: Any = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                while (ours := await self.ours()) != self.theirs():
                    await asyncio.sleep(0.1)
        except TimeoutError:
            assert ours == self.theirs()  # tells the difference

    async def ours(self) -> dict[str, Any]:
        """Return the books as the mesh lists and has told them, of what reached the venue."""
        known = {each.client_id for each in self.account.orders.values()}
        rows = [o for o in await self.client.orders.list(self.name) if o.client_order_id in known]
        orders = {
            o.client_order_id: (Decimal(o.filled_qty), _price(o), o.status not in CLOSED)
            for o in rows
        }
        positions = await self.client.orders.positions(self.name)
        (account,) = await self.client.orders.accounts(self.name)
        balances = {each.currency: Decimal(each.total) for each in account.balances}
        return {
            "orders": orders,
            "told": {key: self.told.filled[key] for key in orders if self.told.filled[key]},
            "net": sum((Decimal(each.signed_qty or 0) for each in positions), ZERO),
            "balances": {asset: balances.get(asset, ZERO) for asset in self.account.balances},
        }

    def theirs(self) -> dict[str, Any]:
        """Return the venue's books in the same form."""
        orders = self.account.orders.values()
        return {
            "orders": {o.client_id: (o.executed, o.price, o.open) for o in orders},
            "told": {o.client_id: o.executed for o in orders if o.executed},
            "net": self.held(),
            "balances": {a: round(total, 8) for a, total in self.account.balances.items()},
        }

    def held(self) -> Decimal:
        """Return what the venue holds for the trader."""
        if self.market == FUTURES:
            held = self.account.positions.get("BTCUSDT")
            return ZERO if held is None else held.amount
        return self.account.balances["BTC"] - BEGIN_BTC

    def is_flat(self) -> bool:
        """Whether nothing is open at the venue."""
        return not self.account.open_orders() and not self.held()

    def sent(self) -> Counter[str]:
        """Return how often the venue got each new order."""
        return Counter(key for method, key in self.account.received if method == "POST")

    def once(self) -> None:
        """Check that nothing was sent twice, and the watcher was told every fact at most once."""
        assert {key: n for key, n in self.sent().items() if n > 1} == {}
        assert self.told.numbers == sorted(set(self.told.numbers))


def _price(order: Order) -> Decimal:
    return Decimal(order.price or 0)


@dataclass
class Scene:
    """The venue and both traders."""

    mesh: RunningMesh
    client: MeshClient
    venue: Binance
    spot: At
    futures: At

    @property
    def both(self) -> tuple[At, At]:
        """Both traders."""
        return self.spot, self.futures


@asynccontextmanager
async def at_binance(mesh: RunningMesh, prefix: str) -> AsyncIterator[Scene]:
    """Run a spot and a futures trader at a venue of their own, until the block ends."""
    async with AsyncExitStack() as stack:
        (client,) = await stack.enter_async_context(clients(mesh, 1))
        venue = await stack.enter_async_context(Binance())
        for market in (SPOT, FUTURES):
            venue.quote(market, "BTCUSDT", "50000.0", "5", "50000.1", "5")
        kept, feed_id = f"{prefix.lower()}-keys", f"{prefix.lower()}-feed"
        await client.credentials.create(kept, "BINANCE", {"api_key": KEY, "api_secret": SECRET})
        stack.push_async_callback(client.credentials.delete, kept)
        await client.feeds.create(feed_id, "BINANCE", venue.client(SPOT))
        stack.push_async_callback(_forget, client, feed_id)
        data = {SPOT: {"mesh": {"feed_id": feed_id}}, FUTURES: _data_of(venue, kept)}
        traders = [At(client, venue, m, f"{prefix}-{m.upper()}") for m in (SPOT, FUTURES)]
        for at in traders:
            await client.traders.create(at.name, _spec(at, kept, data[at.market]))
            stack.push_async_callback(_away, at)
        await stack.enter_async_context(_watching(traders))
        await asyncio.gather(*(client.traders.start(at.name) for at in traders))
        for at in traders:
            await client.traders.wait(at.name, "RUNNING")
        yield Scene(mesh, client, venue, *traders)


def _data_of(venue: Binance, kept: str) -> dict[str, Any]:
    return {"venue": {"clients": [_adapter(venue.client(FUTURES), kept)]}}


def _adapter(config: dict[str, Any], kept: str) -> dict[str, Any]:
    return {"adapter": "BINANCE", "config_json": json.dumps(config), "credential_id": kept}


def _spec(at: At, kept: str, data: dict[str, Any]) -> dict[str, Any]:
    live = _adapter(at.venue.orders_client(at.market), kept)
    return {
        "venues": [{"venue": "BINANCE", "live": live}],
        "data": {**data, "instrument_ids": [at.instrument]},
    }


@asynccontextmanager
async def _watching(traders: list[At]) -> AsyncIterator[None]:
    """Let a client watch the orders of each trader, from its first fact on."""
    tasks = [asyncio.create_task(_follow(at)) for at in traders]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(at: At) -> None:
    async with at.client.orders.watch(at.name) as watch:
        async for told in watch:
            at.told.take(told.number, told.fact)


async def _forget(client: MeshClient, feed_id: str) -> None:
    """Delete a feed, and what processes that were killed have left there."""
    for each in await client.market_data.list(feed_id=feed_id):
        await client.market_data.delete(each.subscription_id)
    await client.feeds.delete(feed_id)


async def _away(at: At) -> None:
    """Stop a trader and delete it, wherever the test has left it."""
    at.venue.heal()
    await at.client.traders.stop(at.name)
    async with asyncio.timeout(PATIENCE_S):
        while (await at.client.traders.get(at.name)).HasField("process"):
            await asyncio.sleep(0.1)
    await at.client.traders.delete(at.name, force=True)
