"""The API of orders and halts on real stores, and traders without an engine at the other end.

What such a trader makes of an order is said by the order's first tag: ``accept`` (the usual),
``fill``, ``deny``, ``refuse`` (the command), ``take`` (the command, and no more), ``ignore``.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from integration.issuer import Signer
from mesh.common.v1 import enums_pb2 as enums
from mesh.common.v1.types_pb2 import Money
from mesh.execution.v1 import books_pb2, trader_pb2
from mesh.execution.v1 import events_pb2 as events
from mesh.execution.v1 import order_pb2 as pb
from mesh.execution.v1 import order_service_pb2 as rpc
from mesh.execution.v1.events_pb2 import TraderFact
from mesh.execution.v1.order_service_pb2_grpc import (
    OrderServiceStub,
    add_OrderServiceServicer_to_server,
)
from mesh.execution.v1.safety_service_pb2_grpc import (
    SafetyServiceStub,
    add_SafetyServiceServicer_to_server,
)
from mesh.marketdata.v1 import instrument_pb2
from meshkit.channel import channel
from meshkit.database import Database
from meshkit.publisher import Publisher
from meshkit.redis_client import open_redis
from meshkit.server import MeshServer
from meshkit.watch import WatchHub
from services.live_execution.main import MIGRATIONS, ORDERS, SAFETY
from services.live_execution.names import AREA, DESK_MANUAL, TraderKey
from services.live_execution.order_serving import open_orders
from services.live_execution.safety.flattens import Settings
from services.live_execution.safety.serving import Safety, open_safety
from services.live_execution.safety_servicer import SafetyServicer
from services.live_execution.trader.errors import StaleFence
from services.live_execution.trader.outside import TraderOutside, open_outside
from services.live_execution.trader.ports import HaltNotice, Ticket
from services.live_execution.watching import Watching

BOUND = 20.0
SCOPES = ("order.read", "order.write", "trader.read", "safety.halt", "safety.reset")
BTC, ETH = "BTCUSDT.SIM", "ETHUSDT.SIM"
QUICK = Settings(flatten_s=8.0, answer_s=1.0, dead_s=0.2, look_s=0.1)


def new_id() -> str:
    """Return a new id."""
    return str(uuid.uuid4())


async def until[T](look: Callable[[], Awaitable[T]], bound: float = BOUND) -> T:
    """Await a look that returns something true, within a bound."""
    async with asyncio.timeout(bound):
        while not (found := await look()):
            await asyncio.sleep(0.01)
        return found


@dataclass
class Api:
    """The served API with stubs of a caller who may do everything."""

    database: Database
    database_url: str
    redis_url: str
    redis: Any
    folder: Path
    signer: Signer
    address: str
    stack: AsyncExitStack
    safety_parts: Safety
    orders: Any = None
    safety: Any = None
    traders: list["SmallTrader"] = field(default_factory=list)

    async def stub(self, kind: Any, *scopes: str, **claims: Any) -> Any:
        """Return a stub of another caller."""
        token = self.signer.token(*(scopes or SCOPES), lifetime=600.0, **claims)
        to = channel(self.address, token=token)  # without names of services: it tries once
        return kind(await self.stack.enter_async_context(to))

    async def sql(self, query: str, *values: Any) -> list[Any]:
        """Run a statement."""
        async with self.database.connection() as tx:
            return list(await tx.fetch(query, *values))

    async def add(
        self, trader_id: str = "T-001", *, project: str = "default", **columns: Any
    ) -> TraderKey:
        """Store a trader that is wanted and runs, without a process."""
        spec = trader_pb2.TraderSpec(venues=[trader_pb2.TraderVenue(venue="SIM")])
        spec.venues[0].sandbox.starting_balances.add(amount="1000000", currency="USDT")
        values = {
            "project": project,
            "trader_id": trader_id,
            "owner": "somebody",
            "spec": spec.SerializeToString(),
            "inputs": '{"components": [{"order_id_tag": "001"}]}',
            "real": False,
            "venues": ["SIM"],
            "wanted": True,
            "state": "RUNNING",
            **columns,
        }
        places = ", ".join(f"${at}" for at in range(1, len(values) + 1))
        await self.sql(
            f"INSERT INTO traders ({', '.join(values)}) VALUES ({places})", *values.values()
        )
        return TraderKey(project, trader_id)

    @asynccontextmanager
    async def trader(self, key: TraderKey, **ticket: Any) -> AsyncIterator["SmallTrader"]:
        """Give a trader at work, with a lease and a journal of its own."""
        made = Ticket(
            **{
                "project": key.project,
                "trader_id": key.trader_id,
                "spec": b"",
                "components": (),
                "journal": str(self.folder / key.project / key.trader_id),
                "database_url": self.database_url,
                "redis_url": self.redis_url,
                "mesh_address": "",
                "mesh_token": "",
                "lease_s": 5.0,
                "margin_s": 0.2,
                **ticket,
            }
        )
        async with open_outside(made, None, asyncio.get_running_loop()) as outside:
            trader = SmallTrader(key, outside)
            task = asyncio.create_task(trader.work())
            try:
                yield trader
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def submit(
        self, ticket: pb.OrderTicket, trader_id: str = "T-001", **more: Any
    ) -> rpc.SubmitOrderResponse:
        """Submit an order."""
        request = rpc.SubmitOrderRequest(
            **{"request_id": new_id(), "trader_id": trader_id, "order": ticket, **more}
        )
        response: rpc.SubmitOrderResponse = await self.orders.SubmitOrder(request)
        return response

    async def order(self, client_order_id: str, trader_id: str = "T-001") -> pb.Order:
        """Return an order."""
        wanted = rpc.GetOrderRequest(trader_id=trader_id, client_order_id=client_order_id)
        found: pb.Order = (await self.orders.GetOrder(wanted)).order
        return found

    async def command(self, command_id: str) -> pb.Command:
        """Return a command that its trader has taken."""

        async def look() -> pb.Command | None:
            wanted = books_pb2.GetCommandRequest(command_id=command_id)
            found: pb.Command = (await self.orders.GetCommand(wanted)).command
            return None if found.state == pb.COMMAND_STATE_ACCEPTED else found

        found = await until(look)
        assert found is not None
        return found


@asynccontextmanager
async def opened_api(
    database_url: str, redis_url: str, folder: Path, settings: Settings = QUICK
) -> AsyncIterator[Api]:
    """Give the API on empty stores."""
    signer, address = Signer(), f"unix:{folder}/api.sock"
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database.open(database_url, schema="live_execution", migrations=MIGRATIONS)
        )
        client = await stack.enter_async_context(open_redis(redis_url))
        await stack.enter_async_context(Publisher(database, client, poll=0.2))
        server = await stack.enter_async_context(
            MeshServer(name="live-execution", listen=address, keys=signer, grace=0.5)
        )
        hub = await stack.enter_async_context(
            WatchHub(database, client, [AREA], draining=server.draining, prompt=True)
        )
        safety = await stack.enter_async_context(open_safety(database, redis_url, settings))
        orders = await stack.enter_async_context(
            open_orders(database, client, safety.latch, Watching(hub))
        )
        add_SafetyServiceServicer_to_server(SafetyServicer(database, safety, hub), server.grpc)
        add_OrderServiceServicer_to_server(orders, server.grpc)
        await server.start(ORDERS, SAFETY)
        api = Api(
            database,
            database_url,
            redis_url,
            client,
            folder,
            signer,
            address,
            stack,
            safety,
        )
        api.orders = await api.stub(OrderServiceStub)
        api.safety = await api.stub(SafetyServiceStub)
        yield api


def ticket(client_order_id: str = "", *tags: str, **values: Any) -> pb.OrderTicket:
    """Return a limit order."""
    return pb.OrderTicket(
        **{
            "client_order_id": client_order_id or f"o-{uuid.uuid4().hex[:20]}",
            "instrument_id": BTC,
            "side": enums.ORDER_SIDE_BUY,
            "type": enums.ORDER_TYPE_LIMIT,
            "quantity": "1",
            "price": "100",
            "tags": tags,
            **values,
        }
    )


def definition(instrument_id: str = BTC, **values: Any) -> instrument_pb2.InstrumentDefinition:
    """Return an instrument with a tick of 0.01 and lots of 0.001."""
    return instrument_pb2.InstrumentDefinition(
        **{
            "instrument_id": instrument_id,
            "type": instrument_pb2.INSTRUMENT_TYPE_CURRENCY_PAIR,
            "base_currency": instrument_id[:3],
            "quote_currency": "USDT",
            "price_precision": 2,
            "size_precision": 3,
            "price_increment": "0.01",
            "size_increment": "0.001",
            **values,
        }
    )


def position(
    position_id: str, signed: str, price: float = 100.0, instrument_id: str = BTC, **values: Any
) -> TraderFact:
    """Return the fact of a position."""
    return TraderFact(
        position=events.PositionEvent(
            type=events.POSITION_EVENT_TYPE_OPENED
            if float(signed)
            else events.POSITION_EVENT_TYPE_CLOSED,
            position=events.Position(
                **{
                    "position_id": position_id,
                    "instrument_id": instrument_id,
                    "strategy_id": "EMACross-001",
                    "account_id": "SIM-001",
                    "side": _side(float(signed)),
                    "quantity": signed.removeprefix("-"),
                    "signed_qty": signed,
                    "avg_px_open": price,
                    "currency": "USDT",
                    "realized_pnl": Money(amount="0.00", currency="USDT"),
                    "ts_opened": now(),
                    **values,
                }
            ),
        )
    )


def _side(signed: float) -> enums.PositionSide.ValueType:
    if not signed:
        return enums.POSITION_SIDE_FLAT
    return enums.POSITION_SIDE_LONG if signed > 0 else enums.POSITION_SIDE_SHORT


def account(total: str, currency: str = "USDT") -> TraderFact:
    """Return the fact of a margin account."""
    return TraderFact(
        account=events.AccountState(
            account_id="SIM-001",
            account_type=enums.ACCOUNT_TYPE_MARGIN,
            balances=[events.AccountBalance(currency=currency, total=total, free=total)],
        )
    )


def marks(**prices: str) -> TraderFact:
    """Return the fact of last prices by symbol, all at the venue SIM."""
    each = [events.Mark(instrument_id=f"{k}.SIM", last=v, ts=now()) for k, v in prices.items()]
    return TraderFact(marks=events.MarkSnapshot(marks=each))


def now() -> Timestamp:
    """Return the present time."""
    made = Timestamp()
    made.GetCurrentTime()
    return made


class SmallTrader:
    """Takes commands of the real stream, and records what an engine would."""

    def __init__(self, key: TraderKey, outside: TraderOutside) -> None:
        self.key = key
        self.outside = outside
        self.taken: list[pb.TraderCommand] = []
        self.flat = True
        self.deaf = False
        self.flattens = True
        self.orders: dict[str, pb.OrderTicket] = {}
        outside.on_halt(self._heed)
        outside.answer("preview", self._preview)

    async def work(self) -> None:
        """Take commands until the lease is another's."""
        try:
            async for command in self.outside.commands():
                if self.deaf:
                    await asyncio.Event().wait()
                self.taken.append(command)
                self.outside.record(*self._facts(command))
        except StaleFence:
            return

    def _facts(self, command: pb.TraderCommand) -> list[TraderFact]:
        taken = TraderFact(command=events.CommandTaken(command_id=command.command_id))
        match command.WhichOneof("command"):
            case "submit":
                made = [fact for each in command.submit.orders for fact in self._submit(each)]
                tags = {tag for each in command.submit.orders for tag in each.tags}
                if "refuse" in tags:
                    taken.command.reason = "ORDER_INVALID"
                    taken.command.message = "The trader knows better."
                return [] if "ignore" in tags else [taken, *made]
            case "cancel":
                ids = command.cancel.client_order_ids
                return [taken, *(self._event(each, "CANCELED") for each in ids)]
            case "modify":
                fact = self._event(command.modify.client_order_id, "UPDATED")
                fact.order.updated.price = command.modify.price
                fact.order.updated.quantity = command.modify.quantity or "1"
                return [taken, fact]
            case "flatten":
                done = [self.flat_fact(command.flatten.flatten_id)] if self.flattens else []
                return [taken, *done]
            case _:
                return [taken]

    def flat_fact(self, flatten_id: str) -> TraderFact:
        """Return what is reported at the end of a flatten."""
        left = "0" if self.flat else "2"
        result = events.FlattenResult(
            venue="SIM",
            instrument_id=BTC,
            left_qty=left,
            reason="" if self.flat else "MARKET_CLOSED",
        )
        done = events.FlattenDone(flatten_id=flatten_id, flat=self.flat, results=[result])
        return TraderFact(flatten=done)

    def _submit(self, each: pb.OrderTicket) -> list[TraderFact]:
        what = each.tags[0] if each.tags else "accept"
        self.orders[each.client_order_id] = each
        first = self._event(each.client_order_id, "INITIALIZED")
        first.order.initialized.order_side = each.side
        first.order.initialized.order_type = each.type
        first.order.initialized.quantity = each.quantity
        follow = {
            "accept": ("SUBMITTED", "ACCEPTED"),
            "fill": ("SUBMITTED", "ACCEPTED", "FILLED"),
            "deny": ("DENIED",),
        }.get(what)
        if follow is None:
            return []
        return [first, *(self._event(each.client_order_id, kind) for kind in follow)]

    def _event(self, client_order_id: str, kind: str) -> TraderFact:
        ticket = self.orders.get(client_order_id, pb.OrderTicket(instrument_id=BTC))
        fact = TraderFact(
            order=events.OrderEvent(
                type=events.OrderEventType.Value(f"ORDER_EVENT_TYPE_{kind}"),
                trader_id=self.key.trader_id,
                strategy_id=DESK_MANUAL,
                instrument_id=ticket.instrument_id,
                client_order_id=client_order_id,
                venue_order_id="V-1",
                account_id="SIM-001",
                event_id=new_id(),
                ts_event=now(),
                ts_init=now(),
                reason="too much" if kind == "DENIED" else "",
            )
        )
        if kind == "FILLED":
            fact.order.filled.CopyFrom(
                events.OrderFilled(
                    trade_id=new_id(),
                    position_id="P-1",
                    order_side=ticket.side,
                    order_type=ticket.type,
                    last_qty=ticket.quantity,
                    last_px="100",
                    currency="USDT",
                    commission=Money(amount="0", currency="USDT"),
                )
            )
        return fact

    def _heed(self, halts: Any) -> None:
        found: list[HaltNotice] = list(halts)
        state = "TRADER_STATE_HALTED" if found else "TRADER_STATE_RUNNING"
        self.say(state, halt_ids=[each.halt_id for each in found])

    def say(self, state: str = "TRADER_STATE_RUNNING", **values: Any) -> None:
        """Record a state of the trader."""
        trader = trader_pb2.Trader(
            trader_id=self.key.trader_id,
            state=trader_pb2.TraderState.Value(state),
            state_time=now(),
            **values,
        )
        self.outside.record(TraderFact(trader=trader_pb2.TraderChanged(trader=trader)))

    async def _preview(self, request: bytes) -> bytes:
        wanted = rpc.PreviewOrderRequest.FromString(request)
        if "ignore" in wanted.order.tags:
            await asyncio.Event().wait()
        return rpc.PreviewOrderResponse(passes=True, price=wanted.order.price).SerializeToString()
