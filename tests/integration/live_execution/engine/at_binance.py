"""Runs a trader at the simulated Binance, and compares it with the venue's own books."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId

from integration.live_execution.engine.bench import TRADER, Bench, spec_of, ticket
from integration.live_execution.engine.local import LocalOutside
from mesh.execution.v1 import order_pb2 as orders
from mesh.execution.v1 import trader_pb2 as pb
from services.live_execution.engine import main
from services.live_execution.engine.intents_resolving import Pace
from services.live_execution.engine.running import Running
from services.live_execution.trader.ports import Ticket
from simulators.binance.accounts import KEY, SECRET
from simulators.binance.matching import ZERO
from simulators.binance.venue import Binance

INSTRUMENTS = {"futures": "BTCUSDT-PERP.BINANCE", "spot": "BTCUSDT.BINANCE"}


class Outside(LocalOutside):
    """One that gives the simulator's secrets."""

    given: Mapping[str, str] = {"api_key": KEY, "api_secret": SECRET}

    async def secrets(self, credential_id: str) -> Mapping[str, str]:
        """Give them."""
        return self.given


class At(Bench):
    """A trader at a market of the simulator."""

    def __init__(self, trader: Running, outside: LocalOutside, venue: Binance, market: str) -> None:
        super().__init__(trader, outside)
        self.venue, self.market = venue, market
        self.account = venue.accounts.of[market]

    def ticket(self, **fields: Any) -> orders.OrderTicket:
        """Return a ticket of the market's instrument."""
        return ticket(instrument_id=INSTRUMENTS[self.market], **fields)

    def move(self, bid: str, ask: str, size: str = "5") -> None:
        """Move the venue's market."""
        self.venue.quote(self.market, "BTCUSDT", bid, size, ask, size)

    def now_ns(self) -> int:
        """Return the time."""
        return time.time_ns()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something."""
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.01)

    async def ends(self, order: orders.OrderTicket, *statuses: str) -> None:
        """Wait until an order has one of these statuses."""
        await self.until(lambda: self.status(order.client_order_id) in statuses)

    @property
    def instrument_id(self) -> InstrumentId:
        """The instrument's id."""
        return InstrumentId.from_str(INSTRUMENTS[self.market])

    def closed(self, order: orders.OrderTicket) -> bool:
        """Say whether an order has come to its end."""
        found = self.cache.order(ClientOrderId(order.client_order_id))
        return found is not None and bool(found.is_closed)

    def status(self, client_order_id: str) -> str:
        """Return an order's status."""
        order = self.cache.order(ClientOrderId(client_order_id))
        return "" if order is None else str(order.status_string())

    async def same(self) -> None:
        """Compare orders, fills and positions with those of the venue, as soon as they agree."""
        await self.until(lambda: self.ours() == self.theirs())
        assert self.ours() == self.theirs()

    def ours(self) -> dict[str, Any]:
        """Return the trader's books: of orders that reached the venue, and positions."""
        known = {o.client_id for o in self.account.orders.values()}
        found = {
            str(o.client_order_id): (o.filled_qty.as_decimal(), _price(o), o.is_open)
            for o in self.cache.orders()
            if str(o.client_order_id) in known
        }
        net = sum((p.signed_decimal_qty() for p in self.cache.positions_open()), ZERO)
        return {"orders": found, "net": net}

    def theirs(self) -> dict[str, Any]:
        """Return the venue's books."""
        found = {o.client_id: (o.executed, o.price, o.open) for o in self.account.orders.values()}
        if self.market == "futures":
            held = self.account.positions.get("BTCUSDT")
            return {"orders": found, "net": ZERO if held is None else held.amount}
        return {"orders": found, "net": self.account.balances["BTC"] - 10}


def _price(order: Any) -> Decimal:
    return order.price.as_decimal() if order.has_price else ZERO


def spec_at(venue: Binance, market: str, **parts: Any) -> pb.TraderSpec:
    """Return the spec of a trader with orders and data at a market of the simulator."""

    def client(config: dict[str, Any]) -> dict[str, Any]:
        return {"adapter": "BINANCE", "configJson": json.dumps(config), "credentialId": "mine"}

    return spec_of(
        venues=[{"venue": "BINANCE", "live": client(venue.orders_client(market))}],
        data={
            "venue": {"clients": [client(venue.client(market))]},
            "instrumentIds": [INSTRUMENTS[market]],
        },
        **parts,
    )


def ticket_at(venue: Binance, market: str, **parts: Any) -> Ticket:
    """Return the ticket of a trader at a market of the simulator."""
    spec = spec_at(venue, market, **parts)
    return Ticket("p", TRADER, spec.SerializeToString(), (), "", "", "", "", "")


@asynccontextmanager
async def at_binance(journal: Path, venue: Binance, market: str, **parts: Any) -> AsyncIterator[At]:
    """Run a trader at the simulator, until the block ends."""
    outside = Outside(journal)
    told: asyncio.Future[Running] = asyncio.get_running_loop().create_future()

    def made(trader: Running) -> None:
        trader.pace = Pace(patience=0.5, first=0.2, look=0.1)
        told.set_result(trader)

    running = asyncio.ensure_future(main.live(ticket_at(venue, market, **parts), outside, made))
    both: list[asyncio.Future[Any]] = [running, told]
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    at = At(told.result(), outside, venue, market)
    try:
        await at.state(pb.TRADER_STATE_RUNNING)
        yield at
    finally:
        signal.raise_signal(signal.SIGTERM)
        assert await running == main.STOPPED
        outside.close()
