"""A node on the wall's time with one sandbox venue, its orders by a strategy of ours.

Run each function that starts nodes in a process of its own (``integration.nautilus.runs.apart``).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from nautilus_trader.config import LiveExecEngineConfig, LoggingConfig, StrategyConfig
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import SubmitOrder
from nautilus_trader.live.config import TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import QuoteTick, TradeTick
from nautilus_trader.model.enums import AggressorSide, OrderSide, OrderType
from nautilus_trader.model.events import OrderEvent
from nautilus_trader.model.identifiers import ClientOrderId, TradeId, TraderId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.orders import Order
from nautilus_trader.trading.strategy import Strategy

from integration.nautilus.witness import BTC
from mesh.common.v1.types_pb2 import Money
from mesh.execution.v1.events_pb2 import TraderFact
from mesh.execution.v1.trader_pb2 import SandboxVenue
from services.live_execution.engine.capture import Capture
from services.live_execution.engine.memory import Memory
from services.live_execution.engine.remembering import Remembering
from services.live_execution.engine.restoring import continue_ids, restore
from services.live_execution.engine.sandbox import SandboxFactory, mend, revive, sandbox_config
from services.live_execution.trader.ports import Restored

BOUND_S = 20.0
SPEC = SandboxVenue(
    starting_balances=[Money(amount="1000000", currency="USDT")], default_leverage="10"
)


class Hand(Strategy):
    """Sends what it is told to, and keeps the events of its orders."""

    def __init__(self, tag: str = "H") -> None:
        super().__init__(StrategyConfig(order_id_tag=tag))
        self.seen: list[OrderEvent] = []
        self.memory = Memory()

    def on_start(self) -> None:
        """Go on counting orders."""
        continue_ids(self, self.memory)

    def on_order_event(self, event: OrderEvent) -> None:
        """Keep an event."""
        self.seen.append(event)


class Kept:
    """The outside of a trader's engine as far as it records: facts, kept for the next life."""

    def __init__(self, facts: Sequence[bytes] = ()) -> None:
        self.facts = list(facts)

    def record(self, *facts: TraderFact) -> int:
        """Keep facts."""
        self.facts += [fact.SerializeToString() for fact in facts]
        return len(self.facts)

    def restored(self) -> Restored:
        """Return them as to a new process."""
        return Restored(len(self.facts), b"", 0, list(enumerate(self.facts, 1)))


class Scene:
    """A running node, and what can be done to it."""

    def __init__(self, node: TradingNode, hand: Hand, facts: list[bytes], memory: Memory) -> None:
        self.node = node
        self.hand = hand
        self.facts = facts
        self.memory = memory
        self.started_ns = self.now_ns()
        self.make = hand.order_factory
        self.told: list[Any] = []
        self.raised: list[Exception] = []
        for engine in (node.kernel.data_engine, node.kernel.risk_engine, node.kernel.exec_engine):
            # Nautilus' own ends the process at an exception.
            engine._handle_queue_exception = lambda error, queue: self.raised.append(error)
        node.kernel.msgbus.subscribe("events.*", self.told.append)

    @property
    def client(self) -> Any:
        """The sandbox."""
        return next(iter(self.node.kernel.exec_engine._clients.values()))

    def now_ns(self) -> int:
        """Return the node's time."""
        return int(self.node.kernel.clock.timestamp_ns())

    async def quote(self, bid: str, ask: str, size: str = "1.000000") -> None:
        """Move the market and let the node have done with it."""
        price, quantity = BTC.make_price, BTC.make_qty
        now = self.now_ns()
        sizes = (quantity(float(size)), quantity(float(size)))
        self.node.kernel.data_engine.process(
            QuoteTick(BTC.id, price(float(bid)), price(float(ask)), *sizes, now, now)
        )
        await self.settled()

    async def trade(self, price: str, size: str, side: AggressorSide) -> None:
        """Make a trade at the venue."""
        now = self.now_ns()
        px, qty = BTC.make_price(float(price)), BTC.make_qty(float(size))
        tick = TradeTick(BTC.id, px, qty, side, TradeId(str(now)), now, now)
        self.node.kernel.data_engine.process(tick)
        await self.settled()

    async def submit(self, *orders: Order, list_of: Any = None) -> None:
        """Submit orders and let the node have done with them."""
        for order in orders:
            self.hand.submit_order(order)
        if list_of is not None:
            self.hand.submit_order_list(list_of)
        await self.settled()

    def order(self, order: Order | ClientOrderId) -> Order:
        """Return an order as the cache has it."""
        client_order_id = order if isinstance(order, ClientOrderId) else order.client_order_id
        return self.node.cache.order(client_order_id)

    def status(self, order: Order | ClientOrderId) -> str:
        """Return the status of an order."""
        return str(self.order(order).status_string())

    def events(self, order: Order) -> list[str]:
        """Return the names of an order's events, as its strategy has seen them."""
        mine = (e for e in self.hand.seen if e.client_order_id == order.client_order_id)
        return [type(event).__name__.removeprefix("Order") for event in mine]

    def reason(self, order: Order) -> str:
        """Return why an order was rejected."""
        return str(self.order(order).last_event.reason)

    def direct(self, order: Order) -> None:
        """Hand an order to the sandbox past strategy and risk engine."""
        self.client.submit_order(
            SubmitOrder(order.trader_id, order.strategy_id, order, UUID4(), self.now_ns())
        )

    def bracket(self, price: float) -> Any:
        """Return a bracket whose entry is a limit."""
        return self.make.bracket(
            BTC.id,
            OrderSide.BUY,
            BTC.make_qty(1),
            entry_order_type=OrderType.LIMIT,
            entry_price=BTC.make_price(price),
            sl_trigger_price=BTC.make_price(price - 500),
            tp_price=BTC.make_price(price + 2000),
        )

    async def settled(self) -> None:
        """Wait until the engines have nothing to do."""
        await settled(self.node)


async def settled(node: TradingNode) -> None:
    """Wait until the queues of a node's engines stay empty."""
    data, risk, execution = (getattr(node.kernel, f"{n}_engine") for n in ("data", "risk", "exec"))
    quiet = 0
    while quiet < 4:
        await asyncio.sleep(0)
        sizes = (data.data_qsize(), risk.cmd_qsize(), execution.cmd_qsize(), execution.evt_qsize())
        quiet = 0 if any(sizes) else quiet + 1


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(BOUND_S):
        while not condition():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def scene(
    facts: Sequence[bytes] = (),
    life: int = 1,
    spec: SandboxVenue = SPEC,
    instruments: Sequence[Instrument] = (BTC,),
    more: Sequence[Strategy] = (),
    marks: bool = False,
) -> AsyncIterator[Scene]:
    """Run a node that goes on where the facts end; ``marks``: at the prices in them."""
    node = TradingNode(_config(spec, life), asyncio.get_running_loop())
    node.add_exec_client_factory("BINANCE", SandboxFactory)
    kept = Kept(facts)
    outside: Any = Remembering(kept)  # type: ignore[arg-type] # no more of it is used here
    capture = Capture(node.kernel, outside)
    hand = Hand()
    node.trader.add_strategies([hand, *more])
    node.build()
    for instrument in instruments:
        node.cache.add_instrument(instrument)
    mend(node)
    hand.memory = memory = restore(node.kernel, kept.restored())
    outside.remember(memory, len(kept.facts))
    capture.begin(memory)
    made = Scene(node, hand, kept.facts, memory)
    revive(node, marks=memory.marks if marks else {})
    assert kept.facts == list(facts)
    run = asyncio.create_task(node.run_async())
    try:
        await until(lambda: node.trader.is_running)
        yield made
        if made.raised:
            raise made.raised[0]
    finally:
        await node.stop_async()
        await run
        node.kernel.dispose()


def _config(spec: SandboxVenue, life: int) -> TradingNodeConfig:
    return TradingNodeConfig(
        trader_id=TraderId("SCENE-001"),
        logging=LoggingConfig(log_level="ERROR"),
        exec_engine=LiveExecEngineConfig(reconciliation=True),
        exec_clients={"BINANCE": sandbox_config("BINANCE", spec, life)},
        timeout_post_stop=0.0,
    )
