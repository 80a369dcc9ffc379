"""Runs a trader's engine on a local outside and looks at what it records."""

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from google.protobuf import json_format
from nautilus_trader.model.data import QuoteTick, TradeTick
from nautilus_trader.model.enums import AggressorSide
from nautilus_trader.model.identifiers import TradeId
from nautilus_trader.test_kit.providers import TestInstrumentProvider

from integration.live_execution.engine.local import LocalOutside
from mesh.common.v1 import enums_pb2 as enums
from mesh.execution.v1 import events_pb2 as ev
from mesh.execution.v1 import order_pb2 as orders
from mesh.execution.v1 import trader_pb2 as pb
from mesh.execution.v1.order_service_pb2 import PreviewOrderRequest, PreviewOrderResponse
from meshkit.nautilus.definitions import definition
from services.live_execution.engine import main
from services.live_execution.engine.running import Running
from services.live_execution.trader.ports import Ticket

BTC = "BTCUSDT.BINANCE"
TRADER = "T-001"
_numbers = itertools.count(1)


def spec_of(*, account: str = "MARGIN", balance: str = "100000", **parts: Any) -> pb.TraderSpec:
    """Return a spec with one sandbox venue; ``parts`` are in the JSON of the contract."""
    balances = [
        {"amount": balance, "currency": "USDT"},
        {"amount": "10", "currency": "BTC"},
    ]
    sandbox = {"startingBalances": balances, "accountType": f"ACCOUNT_TYPE_{account}"}
    body = {
        "venues": [{"venue": "BINANCE", "sandbox": sandbox}],
        "data": {"mesh": {"feedId": "none"}},
        **parts,
    }
    return json_format.ParseDict(body, pb.TraderSpec())


def ticket(**fields: Any) -> orders.OrderTicket:
    """Return a ticket: a market buy of 1 BTC, but for the fields given by their bare names."""
    values: dict[str, Any] = {
        "client_order_id": f"O-{next(_numbers)}",
        "instrument_id": BTC,
        "side": "BUY",
        "type": "MARKET",
        "quantity": "1",
        **fields,
    }
    for name, kind in _ENUMS.items():
        if name in values:
            values[name] = kind.Value(f"{_prefix(kind)}{values[name]}")
    return orders.OrderTicket(**values)


_ENUMS: dict[str, Any] = {
    "side": enums.OrderSide,
    "type": enums.OrderType,
    "time_in_force": enums.TimeInForce,
    "trigger_type": enums.TriggerType,
    "emulation_trigger": enums.TriggerType,
    "trailing_offset_type": enums.TrailingOffsetType,
    "contingency_type": enums.ContingencyType,
}


def _prefix(kind: Any) -> str:
    first: str = kind.keys()[0]
    return first.removesuffix("UNSPECIFIED")


class Bench:
    """A trader at work, its outside and its market."""

    def __init__(self, trader: Running, outside: LocalOutside) -> None:
        self.trader = trader
        self.outside = outside
        self.cache = trader.kernel.cache
        self.instrument: Any = next(iter(self.cache.instruments()), None)

    # -- the market

    async def quote(self, bid: float, ask: float, size: float = 10.0) -> Self:
        """Move the market, and wait until all that this causes has happened."""
        make, now = self.instrument, time.time_ns()
        prices = make.make_price(bid), make.make_price(ask)
        sizes = make.make_qty(size), make.make_qty(size)
        self.trader.kernel.data_engine.process(QuoteTick(make.id, *prices, *sizes, now, now))
        await self.quiet()
        return self

    async def trade(self, price: float, size: float = 1.0) -> Self:
        """Print a trade."""
        make, now = self.instrument, time.time_ns()
        trade = TradeTick(
            make.id,
            make.make_price(price),
            make.make_qty(size),
            AggressorSide.BUYER,
            TradeId(str(next(_numbers))),
            now,
            now,
        )
        self.trader.kernel.data_engine.process(trade)
        await self.quiet()
        return self

    async def quiet(self) -> None:
        """Wait until the engines' queues have been empty for some turns of the loop."""
        kernel = self.trader.kernel
        queues = (
            kernel.data_engine.data_qsize,
            kernel.risk_engine.cmd_qsize,
            kernel.exec_engine.cmd_qsize,
            kernel.exec_engine.evt_qsize,
        )
        calm = 0
        while calm < 5:
            await asyncio.sleep(0)
            calm = 0 if any(size() for size in queues) else calm + 1

    # -- commands

    async def command(self, command: orders.TraderCommand) -> ev.CommandTaken:
        """Send a command and return what is recorded of it."""
        command.command_id = command.command_id or str(uuid4())
        command.submitter = command.submitter or "tester"
        self.outside.send(command)
        found = await self.outside.until(
            lambda facts: next(
                (f.command for f in facts if f.command.command_id == command.command_id), None
            )
        )
        await self.quiet()
        return found

    async def submit(self, *tickets: orders.OrderTicket, list_id: str = "") -> ev.CommandTaken:
        """Submit tickets, as a list when ``list_id`` is given."""
        made = orders.SubmitCommand(orders=tickets, order_list_id=list_id)
        return await self.command(orders.TraderCommand(submit=made))

    async def modify(self, client_order_id: str, **changes: str) -> ev.CommandTaken:
        """Modify an order."""
        made = orders.ModifyCommand(client_order_id=client_order_id, **changes)
        return await self.command(orders.TraderCommand(modify=made))

    async def cancel(self, *client_order_ids: str) -> ev.CommandTaken:
        """Cancel orders."""
        made = orders.CancelCommand(client_order_ids=client_order_ids)
        return await self.command(orders.TraderCommand(cancel=made))

    async def preview(self, order: orders.OrderTicket) -> PreviewOrderResponse:
        """Ask for a preview."""
        request = PreviewOrderRequest(trader_id=TRADER, order=order)
        answer = await self.outside.answerers["preview"](request.SerializeToString())
        return PreviewOrderResponse.FromString(answer)

    # -- what is recorded

    def events(self, client_order_id: str) -> list[str]:
        """Return the bare types of an order's events, in order."""
        found = (f.order for f in self.outside.facts if f.HasField("order"))
        kind = ev.OrderEventType
        return [
            kind.Name(e.type).removeprefix("ORDER_EVENT_TYPE_")
            for e in found
            if e.client_order_id == client_order_id
        ]

    def reason(self, client_order_id: str) -> str:
        """Return the reason of an order's last event."""
        found = [f.order for f in self.outside.facts if f.HasField("order")]
        return [e.reason for e in found if e.client_order_id == client_order_id][-1]

    def net(self) -> str:
        """Return the net position."""
        found = self.cache.positions_open()
        return f"{sum((p.signed_decimal_qty() for p in found), start=0):f}"

    async def state(self, wanted: "pb.TraderState.ValueType") -> pb.Trader:
        """Return the trader as it is told when it has come to a state."""
        return await self.outside.until(
            lambda facts: next(
                (
                    f.trader.trader
                    for f in reversed(facts[self.outside.earlier :])
                    if f.HasField("trader") and f.trader.trader.state == wanted
                ),
                None,
            )
        )


@asynccontextmanager
async def trading(
    journal: Path,
    spec: pb.TraderSpec,
    made: Callable[[Running], None] = lambda trader: None,
    *,
    market: bool = True,
) -> AsyncIterator[Bench]:
    """Run a trader as its process does, until the block ends: then it drains and stops.

    ``made`` may add to it before it starts. ``market``: there is one, of 50000 to 50001.
    """
    outside = LocalOutside(journal)
    if not outside.facts:
        instrument = definition(TestInstrumentProvider.btcusdt_binance())
        outside.begin(ev.TraderFact(instrument=instrument))
    # Without data clients: the test is the market.
    wanted = Ticket("p", TRADER, spec.SerializeToString(), (), "", "", "", "", "", safety_mode=True)
    told: asyncio.Future[Running] = asyncio.get_running_loop().create_future()

    def tell(trader: Running) -> None:
        made(trader)
        told.set_result(trader)

    running = asyncio.ensure_future(main.live(wanted, outside, tell))
    both: list[asyncio.Future[Any]] = [running, told]
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    bench = Bench(told.result(), outside)
    try:
        await bench.state(pb.TRADER_STATE_RUNNING)
        if market:
            await bench.quote(50000, 50001)
        yield bench
    finally:
        signal.raise_signal(signal.SIGTERM)
        assert await running == main.STOPPED
        outside.close()
