"""What a sandbox's matching knows of its market, taken from one node to another."""

import asyncio
import random
from typing import Any

from nautilus_trader.config import LoggingConfig
from nautilus_trader.core.data import Data
from nautilus_trader.live.config import TradingNodeConfig
from nautilus_trader.model.data import (
    BookOrder,
    OrderBookDelta,
    OrderBookDeltas,
    QuoteTick,
    TradeTick,
)
from nautilus_trader.model.enums import AggressorSide, BookAction, OrderSide
from nautilus_trader.model.identifiers import TradeId

from integration.nautilus.witness import BTC, START
from mesh.common.v1 import enums_pb2 as enums
from mesh.common.v1.types_pb2 import Money
from mesh.execution.v1.trader_pb2 import SandboxVenue
from meshkit.nautilus.data_time import DataTimeNode
from services.live_execution.engine.sandbox import (
    SandboxFactory,
    market,
    mend,
    revive,
    sandbox_config,
    sandboxes,
)

P, Q = BTC.make_price, BTC.make_qty
TRIALS = 12


def ticks(seed: int) -> list[Data]:
    """Return a mixture of quotes and trades; of some seeds trades alone, or quotes alone."""
    draw = random.Random(seed)
    found: list[Data] = []
    for number in range(40):
        ts, price, size = START + number, 30_000 + draw.randint(-50, 50), Q(draw.randint(1, 9))
        if seed % 3 == 0 or (seed % 3 == 1 and draw.random() < 0.5):
            side = draw.choice([AggressorSide.BUYER, AggressorSide.SELLER])
            found.append(TradeTick(BTC.id, P(price), size, side, TradeId(str(number)), ts, ts))
        else:
            found.append(QuoteTick(BTC.id, P(price), P(price + 1), size, size, ts, ts))
    return found


def levels() -> list[Data]:
    """Return a book of some levels, then a trade."""
    deltas = [OrderBookDelta.clear(BTC.id, 0, START, START)]
    for number in range(5):
        for side, price in ((OrderSide.BUY, 30_000 - number), (OrderSide.SELL, 30_001 + number)):
            order = BookOrder(side, P(price), Q(number + 1), 0)
            deltas.append(OrderBookDelta(BTC.id, BookAction.ADD, order, 0, 0, START, START))
    trade = TradeTick(BTC.id, P(30_001), Q(1), AggressorSide.BUYER, TradeId("1"), START, START)
    return [OrderBookDeltas(BTC.id, deltas), trade]


def carried() -> list[tuple[Any, Any]]:
    """Return for each trial what one node knew, and what the next one knows."""
    return asyncio.run(_carried())


async def _carried() -> list[tuple[Any, Any]]:
    found = [_trial(ticks(seed), enums.BOOK_TYPE_L1_MBP) for seed in range(TRIALS)]
    return [*found, _trial(levels(), enums.BOOK_TYPE_L2_MBP)]


def _trial(data: list[Data], book_type: Any) -> tuple[Any, Any]:
    first, second = (_node(book_type) for _ in range(2))
    (client,) = sandboxes(first)
    for number, each in enumerate(data, 1):
        client.on_data(each)
        if number % 20 == 0:
            client.exchange.iterate(START + number)  # as after a command
    revive(second, market(first))
    pair = _known(first), _known(second)
    for node in (first, second):
        node.kernel.dispose()
    return pair


def _node(book_type: Any) -> DataTimeNode:
    spec = SandboxVenue(
        starting_balances=[Money(amount="1000", currency="USDT")], book_type=book_type
    )
    config = TradingNodeConfig(
        logging=LoggingConfig(log_level="ERROR"),
        exec_clients={"BINANCE": sandbox_config("BINANCE", spec)},
    )
    node = DataTimeNode(config, START, asyncio.get_running_loop())
    node.add_exec_client_factory("BINANCE", SandboxFactory)
    node.build()
    node.cache.add_instrument(BTC)
    mend(node)
    return node


def _known(node: DataTimeNode) -> tuple[Any, ...]:
    (client,) = sandboxes(node)
    core, book = client.exchange.core(BTC.id), client.exchange.get_book(BTC.id)
    sides = [
        [(str(level.price), level.size()) for level in side] for side in (book.bids(), book.asks())
    ]
    return (str(core.bid), str(core.ask), str(core.last), sides)
