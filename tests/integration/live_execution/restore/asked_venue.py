"""A real venue as a trader's node sees it: a client that answers as a case says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from nautilus_trader.common.providers import InstrumentProvider
from nautilus_trader.config import LoggingConfig
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import GenerateOrderStatusReport, QueryAccount, SubmitOrder
from nautilus_trader.execution.reports import (
    FillReport,
    OrderStatusReport,
    PositionStatusReport,
)
from nautilus_trader.live.config import (
    LiveExecClientConfig,
    LiveExecEngineConfig,
    TradingNodeConfig,
)
from nautilus_trader.live.execution_client import LiveExecutionClient
from nautilus_trader.live.factories import LiveExecClientFactory
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.enums import (
    AccountType,
    LiquiditySide,
    OmsType,
    OrderSide,
    OrderStatus,
    OrderType,
    TimeInForce,
)
from nautilus_trader.model.identifiers import (
    AccountId,
    ClientId,
    ClientOrderId,
    TradeId,
    VenueOrderId,
)
from nautilus_trader.model.objects import AccountBalance, Money

from integration.live_execution.restore.busy import BINANCE, SPOT, TRADER, Kept
from services.live_execution.engine.capture import Capture
from services.live_execution.engine.intents import settle_unsent
from services.live_execution.engine.intents_forgotten import pass_over_forgotten
from services.live_execution.engine.intents_resolving import Pace, Resolver
from services.live_execution.engine.remembering import Remembering
from services.live_execution.engine.restoring import restore

ACCOUNT = AccountId("BINANCE-001")
PACE = Pace(patience=0.0, first=0.01, most=0.02, look=0.01)
BOUND_S = 20.0

Answers = Callable[[Any, GenerateOrderStatusReport], OrderStatusReport | None]


class AskedVenue(LiveExecutionClient):
    """Counts what it is asked and sent; ``answers`` says what it says."""

    answers: Answers
    account_answers = True
    mesh_tells_absence = True
    listed: tuple[str, ...] = ()
    """Client order ids of the filled orders that it reports at a start."""

    def __init__(self, loop: asyncio.AbstractEventLoop, msgbus: Any, cache: Any, clock: Any):
        super().__init__(
            loop=loop,
            client_id=ClientId("BINANCE"),
            venue=BINANCE,
            oms_type=OmsType.NETTING,
            account_type=AccountType.CASH,
            base_currency=None,
            instrument_provider=InstrumentProvider(),
            msgbus=msgbus,
            cache=cache,
            clock=clock,
        )
        self._set_account_id(ACCOUNT)
        self.asked = 0
        self.submitted = 0
        self.fills: list[FillReport] = []

    async def _connect(self) -> None:
        million = Money(1_000_000, USDT)
        self.generate_account_state([AccountBalance(million, Money(0, USDT), million)], [], True, 0)

    async def _disconnect(self) -> None:
        """Hold nothing."""

    async def _submit_order(self, command: SubmitOrder) -> None:
        self.submitted += 1

    async def _query_account(self, command: QueryAccount) -> None:
        if not self.account_answers:
            raise ConnectionError

    async def generate_order_status_report(
        self, command: GenerateOrderStatusReport
    ) -> OrderStatusReport | None:
        """Answer about one order."""
        self.asked += 1
        return type(self).answers(self, command)

    async def generate_order_status_reports(self, command: Any) -> list[OrderStatusReport]:
        """Report filled orders that the node may know, when it starts."""
        ids = [ClientOrderId(each) for each in self.listed]
        return [self.report(_Asked(each), OrderStatus.FILLED, "1") for each in ids]

    async def generate_fill_reports(self, command: Any) -> list[FillReport]:
        """Give the fills."""
        return self.fills

    async def generate_position_status_reports(self, command: Any) -> list[PositionStatusReport]:
        """Say nothing of positions."""
        return []

    def report(
        self, command: "GenerateOrderStatusReport | _Asked", status: OrderStatus, filled: str = "0"
    ) -> OrderStatusReport:
        """Return what the venue has of an order to buy 1 at 40,000."""
        self.fills = [self._fill(command, filled)] if filled != "0" else []
        return OrderStatusReport(
            account_id=ACCOUNT,
            instrument_id=SPOT.id,
            venue_order_id=VenueOrderId("V-1"),
            order_side=OrderSide.BUY,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            order_status=status,
            quantity=SPOT.make_qty(1),
            filled_qty=SPOT.make_qty(filled),
            report_id=UUID4(),
            ts_accepted=1,
            ts_last=2,
            ts_init=3,
            client_order_id=command.client_order_id,
            price=SPOT.make_price(40_000),
            avg_px=SPOT.make_price(40_000).as_decimal(),
        )

    def _fill(self, command: "GenerateOrderStatusReport | _Asked", filled: str) -> FillReport:
        return FillReport(
            account_id=ACCOUNT,
            instrument_id=SPOT.id,
            venue_order_id=VenueOrderId("V-1"),
            trade_id=TradeId("T-1"),
            order_side=OrderSide.BUY,
            last_qty=SPOT.make_qty(filled),
            last_px=SPOT.make_price(40_000),
            commission=Money(0, USDT),
            liquidity_side=LiquiditySide.MAKER,
            report_id=UUID4(),
            ts_event=2,
            ts_init=3,
            client_order_id=command.client_order_id,
        )


class _Asked(NamedTuple):
    """A question about an order."""

    client_order_id: ClientOrderId


class _Factory(LiveExecClientFactory):
    @classmethod
    def create(
        cls, loop: Any, name: str, config: Any, msgbus: Any, cache: Any, clock: Any
    ) -> AskedVenue:
        return AskedVenue(loop, msgbus, cache, clock)


class Successor:
    """A node that was restored, and its resolver at work."""

    def __init__(self, node: TradingNode, outside: Remembering) -> None:
        self.node = node
        self.cache = node.kernel.cache
        self.outside = outside
        self.venue: AskedVenue = node.kernel.exec_engine._clients[ClientId("BINANCE")]


@asynccontextmanager
async def restored_node(
    kept: Kept,
    answers: Answers,
    real: frozenset[str] = frozenset({"BINANCE"}),
    *,
    listed: tuple[str, ...] = (),
    forgotten: tuple[str, ...] = (),
) -> AsyncIterator[Successor]:
    """Restore a node from facts, start it, and let it ask; ``real`` are the venues that live on."""
    AskedVenue.answers = answers
    AskedVenue.account_answers, AskedVenue.listed = True, listed
    loop = asyncio.get_running_loop()
    config = TradingNodeConfig(
        trader_id=TRADER,
        logging=LoggingConfig(log_level="OFF"),
        exec_engine=LiveExecEngineConfig(inflight_check_interval_ms=0),
        exec_clients={"BINANCE": LiveExecClientConfig()},
        timeout_post_stop=0.0,
    )
    node = TradingNode(config, loop)
    outside = Remembering(kept)  # type: ignore[arg-type]  # records, and that is all
    capture = Capture(node.kernel, outside)
    node.add_exec_client_factory("BINANCE", _Factory)
    node.build()
    memory = restore(node.kernel, kept.restored())
    outside.remember(memory, len(kept.facts))
    capture.begin(memory)
    memory.forgotten.update(dict.fromkeys(forgotten))
    settle_unsent(node.kernel, memory, real)
    pass_over_forgotten(node.kernel, memory)
    run = asyncio.create_task(node.run_async())
    await until(lambda: node.trader.is_running)
    asking = asyncio.create_task(Resolver(node.kernel, outside, real, PACE).run())
    try:
        yield Successor(node, outside)
    finally:
        asking.cancel()
        await node.stop_async()
        await run
        node.kernel.dispose()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, within a bound."""
    async with asyncio.timeout(BOUND_S):
        while not condition():
            await asyncio.sleep(0.005)
