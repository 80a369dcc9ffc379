"""One strategy and one set of data: in a stock BacktestEngine, and in a node on data time.

``in_lives`` ends the node's process in the middle, as often as it is told to, and goes on from the
facts and the market that were recorded.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pandas as pd
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import LoggingConfig
from nautilus_trader.core.data import Data
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import Bar, TradeTick
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_trader.model.identifiers import TraderId
from nautilus_trader.model.objects import Money

from integration.live_execution.sandbox.scenes import Kept
from integration.nautilus.runs import BINANCE, BOUND_S, PlayingClient, PlayingFactory, config
from integration.nautilus.witness import BTC, START, Case, Witness
from mesh.common.v1.types_pb2 import Money as MoneyMessage
from mesh.execution.v1.trader_pb2 import SandboxVenue
from meshkit.nautilus.data_time import DataTimeNode
from services.live_execution.engine.capture import Capture
from services.live_execution.engine.memory import Memory
from services.live_execution.engine.remembering import Remembering
from services.live_execution.engine.restoring import continue_ids, restore
from services.live_execution.engine.sandbox import (
    SandboxFactory,
    market,
    mend,
    revive,
    sandbox_config,
)

SPEC = SandboxVenue(
    starting_balances=[MoneyMessage(amount="10000000", currency="USDT")], default_leverage="10"
)
TRADER = TraderId("BACKTESTER-001")
Outcome = dict[str, Any]


@dataclass(frozen=True)
class Part(Case):
    """A part of a case's data. ``thick``: at every price there is enough for any order but IOC."""

    first: int = 0
    last: int | None = None
    thick: bool = True

    def data(self) -> list[Data]:
        """Return the part."""
        ticks = super().data()[self.first : self.last]
        return [_thick(tick) for tick in ticks] if self.thick else ticks


def _thick(tick: Any) -> Data:
    if isinstance(tick, Bar):
        return tick
    values = type(tick).to_dict(tick)
    sizes = {name: f"{float(values[name]) + 1:.6f}" for name in values if name.endswith("size")}
    made: Data = type(tick).from_dict(values | sizes)
    return made


class Trader(Witness):
    """Trades on quotes, trades and bars; it goes on where another left off."""

    def __init__(self, case: Case, before: "Trader | None" = None) -> None:
        super().__init__(case)
        self.memory = Memory()
        if before is not None:
            self.prices, self.log_book = before.prices, before.log_book

    def on_start(self) -> None:
        """Go on counting."""
        continue_ids(self, self.memory)
        super().on_start()

    def on_trade_tick(self, tick: TradeTick) -> None:
        """Trade, where there are no bars to trade on."""
        if not self.case.bars:
            self._trade_now_and_then(tick.instrument_id, tick.price)

    def on_bar(self, bar: Bar) -> None:
        """Note a bar, and trade on those of the node's own making too."""
        super().on_bar(bar)
        if self.case.kind != "bars":
            self.prices += 39  # so that it trades on every bar
            self._trade_now_and_then(bar.bar_type.instrument_id, bar.close)


def in_backtest(case: Case) -> Outcome:
    """Return what comes of it in a stock BacktestEngine."""
    engine = BacktestEngine(
        BacktestEngineConfig(trader_id=TRADER, logging=LoggingConfig(log_level="ERROR"))
    )
    engine.add_venue(
        BINANCE,
        OmsType.NETTING,
        AccountType.MARGIN,
        [Money(10_000_000, USDT)],
        default_leverage=Decimal(10),
    )
    engine.add_instrument(BTC)
    trader = Trader(case)
    engine.add_strategy(trader)
    engine.add_data(case.data())
    engine.run(start=pd.Timestamp(START, tz="UTC"))
    return outcome(engine.kernel.cache, trader)


def in_lives(case: Part, cuts: Sequence[int] = ()) -> Outcome:
    """Return what comes of it in a node that ends at these places of the data and goes on."""
    return asyncio.run(_in_lives(case, cuts))


async def _in_lives(case: Part, cuts: Sequence[int]) -> Outcome:
    kept, known, clock_ns = Kept(), b"", START
    trader: Trader | None = None
    ends: list[int | None] = [*cuts, None]
    for life, (first, last) in enumerate(zip([0, *cuts], ends, strict=True), 1):
        part = replace(case, first=first, last=last)
        trader = Trader(part, trader)
        node = _node(part, clock_ns, life)
        _go_on(node, kept, known, trader)
        run = asyncio.create_task(node.run_async())
        await asyncio.wait_for(PlayingFactory.ended.wait(), BOUND_S)  # type: ignore[attr-defined] # set in _node
        known, clock_ns = market(node), node.driver.now_ns
        told = outcome(node.kernel.cache, trader)
        await node.stop_async()
        await run
        node.kernel.dispose()
    return told


def _node(part: Part, clock_ns: int, life: int) -> DataTimeNode:
    ended = asyncio.Event()
    PlayingFactory.ended = ended  # type: ignore[attr-defined] # of this test alone
    PlayingFactory.client.case = part
    PlayingClient.on_end = staticmethod(ended.set)
    sandbox = {"BINANCE": sandbox_config("BINANCE", SPEC, life)}
    node = DataTimeNode(config(part, exec_clients=sandbox), clock_ns, asyncio.get_running_loop())
    node.add_data_client_factory("PLAY", PlayingFactory)
    node.add_exec_client_factory("BINANCE", SandboxFactory)
    return node


def _go_on(node: DataTimeNode, kept: Kept, known: bytes, trader: Trader) -> None:
    outside: Any = Remembering(kept)  # type: ignore[arg-type] # no more of it is used here
    capture = Capture(node.kernel, outside)
    node.build()
    node.kernel.cache.add_instrument(BTC)
    mend(node)
    trader.memory = memory = restore(node.kernel, kept.restored())
    outside.remember(memory, len(kept.facts))
    capture.begin(memory)
    node.trader.add_strategy(trader)
    revive(node, known)


def outcome(cache: Any, trader: Trader) -> Outcome:
    """Return what can be compared: orders, positions, balances, and what the strategy saw."""
    account = cache.account_for_venue(BINANCE)
    return {
        "orders": sorted(_order(order) for order in cache.orders()),
        "positions": sorted(_position(position) for position in cache.positions()),
        "balance": str(account.balance_total(USDT)),
        "seen": list(trader.log_book),
    }


def _order(order: Any) -> tuple[str, ...]:
    return (
        order.client_order_id.value,
        order.status_string(),
        order.side_string(),
        order.type_string(),
        str(order.quantity),
        str(order.filled_qty),
        str(order.avg_px),
        str(order.price if order.has_price else None),
        str(order.trigger_price if order.has_trigger_price else None),
        str([(e.ts_event, type(e).__name__) for e in order.events]),
    )


def _position(position: Any) -> tuple[str, ...]:
    fields = (position.id, position.quantity, position.avg_px_open, position.realized_pnl)
    return tuple(str(each) for each in fields)


def parity() -> tuple[Outcome, Outcome]:
    """Return what comes of internal minute bars, GTD orders and brackets: backtest and node."""
    case = Part(4_000, "trades", bars=("1-MINUTE-LAST-INTERNAL",), orders=True)
    return in_backtest(case), in_lives(case)


def thin() -> tuple[Outcome, Outcome]:
    """Return what comes of it where the entries of brackets are filled in parts."""
    case = Part(700, "quotes", orders=True, thick=False)
    return in_backtest(case), in_lives(case)


def lives() -> dict[str, tuple[Outcome, Outcome]]:
    """Return what comes of each kind of data in one life, and in several."""
    found = {}
    for kind, bars in (("quotes", ()), ("trades", ()), ("bars", ("1-MINUTE-LAST-EXTERNAL",))):
        case = Part(360, kind, bars=bars, orders=True, thick=kind == "trades")
        found[kind] = in_lives(case), in_lives(case, (101, 247))
    return found


def everything() -> tuple[Any, ...]:
    """Return all of the above."""
    return parity(), thin(), lives()
