"""The same case at different venues; each gives what was told of the case's orders.

Run them in a process of their own (``integration.nautilus.runs.apart``).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any

from nautilus_trader.adapters.sandbox.config import SandboxExecutionClientConfig
from nautilus_trader.adapters.sandbox.factory import SandboxLiveExecClientFactory
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import LiveExecEngineConfig, LoggingConfig
from nautilus_trader.live.config import TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Money

from integration.live_execution.sandbox.cases import CASES
from integration.live_execution.sandbox.scenes import SPEC, Kept, settled, until
from integration.live_execution.sandbox.scripted import Case, Scripted, Told
from integration.nautilus.witness import BTC, START
from services.live_execution.engine.capture import Capture
from services.live_execution.engine.remembering import Remembering
from services.live_execution.engine.restoring import restore
from services.live_execution.engine.sandbox import SandboxFactory, mend, revive, sandbox_config


def all_cases() -> list[tuple[str, Told, Told, Told]]:
    """Return for each case what a backtest tells, our sandbox, and our sandbox in several lives."""
    return [(case.name, by_backtest(case), by_sandbox(case), by_lives(case)) for case in CASES]


def by_backtest(case: Case) -> Told:
    """Return what a stock BacktestEngine tells."""
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(log_level="OFF")))
    engine.add_venue(
        Venue("BINANCE"),
        OmsType.NETTING,
        AccountType.MARGIN,
        [Money(1_000_000, USDT)],
        default_leverage=Decimal(10),
    )
    engine.add_instrument(BTC)
    strategy = Scripted(case)
    engine.add_strategy(strategy)
    engine.add_data(case.ticks(START))
    engine.run()
    engine.dispose()
    return strategy.told


def by_sandbox(case: Case) -> Told:
    """Return what our sandbox tells."""
    config = sandbox_config("BINANCE", SPEC)
    return asyncio.run(_in_node(case, config, SandboxFactory, mend))


def by_stock_sandbox(case: Case) -> Told:
    """Return what Nautilus' sandbox tells."""
    config = SandboxExecutionClientConfig(
        venue="BINANCE", starting_balances=["1_000_000 USDT"], default_leverage=Decimal(10)
    )
    return asyncio.run(_in_node(case, config, SandboxLiveExecClientFactory, lambda node: None))


async def _in_node(
    case: Case, config: Any, factory: Any, after_build: Callable[[TradingNode], None]
) -> Told:
    strategy = Scripted(case)
    async with _node(config, factory, strategy, after_build) as node:
        for tick in case.ticks(node.kernel.clock.timestamp_ns()):
            node.kernel.data_engine.process(tick)
            await settled(node)
        return {name: list(texts) for name, texts in strategy.told.items()}


def by_lives(case: Case) -> Told:
    """Return what our sandbox tells when its process ends after the second quote, and the fifth."""
    return asyncio.run(_by_lives(case))


async def _by_lives(case: Case) -> Told:
    before = Scripted(case)
    kept = Kept()
    for life, (first, last) in enumerate(((0, 2), (2, 5), (5, 99)), 1):
        ticks = case.ticks(time.time_ns())[first:last]
        if not ticks:
            break
        strategy, factory = Scripted(case, before), SandboxFactory
        config = sandbox_config("BINANCE", SPEC, life)
        go_on = partial(_go_on, kept, strategy)
        async with _node(config, factory, strategy, go_on) as node:
            for tick in ticks:
                node.kernel.data_engine.process(tick)
                await settled(node)
            before = strategy
    return before.told


def _go_on(kept: Kept, strategy: Scripted, node: TradingNode) -> None:
    outside: Any = Remembering(kept)  # type: ignore[arg-type] # no more of it is used here
    capture = Capture(node.kernel, outside)
    mend(node)
    strategy.memory = memory = restore(node.kernel, kept.restored())
    outside.remember(memory, len(kept.facts))
    capture.begin(memory)
    before = list(kept.facts)
    revive(node)
    assert kept.facts == before


@asynccontextmanager
async def _node(
    config: Any, factory: Any, strategy: Scripted, after_build: Callable[[TradingNode], None]
) -> AsyncIterator[TradingNode]:
    node = TradingNode(
        TradingNodeConfig(
            logging=LoggingConfig(log_level="OFF"),
            exec_engine=LiveExecEngineConfig(reconciliation=False),
            exec_clients={"BINANCE": config},
            timeout_post_stop=0.0,
        ),
        asyncio.get_running_loop(),
    )
    node.add_exec_client_factory("BINANCE", factory)
    node.trader.add_strategy(strategy)
    node.build()
    node.cache.add_instrument(BTC)
    after_build(node)
    run = asyncio.create_task(node.run_async())
    await until(lambda: node.trader.is_running)
    await settled(node)
    yield node
    strategy.noting = False  # of what the stop brings
    await node.stop_async()
    await run
    node.kernel.dispose()
