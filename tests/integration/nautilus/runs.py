"""The same data and strategy in a stock BacktestEngine and in a node on data time.

``in_backtest`` and ``in_node`` give what the strategy saw and did, in its order. Run each in a
process of its own (``apart``): nodes are one to a process.
"""

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pandas as pd
from nautilus_trader.adapters.sandbox.config import SandboxExecutionClientConfig
from nautilus_trader.adapters.sandbox.factory import SandboxLiveExecClientFactory
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.common.config import InstrumentProviderConfig
from nautilus_trader.common.providers import InstrumentProvider
from nautilus_trader.config import LoggingConfig
from nautilus_trader.core.data import Data
from nautilus_trader.live.config import LiveDataClientConfig, TradingNodeConfig
from nautilus_trader.live.data_client import LiveMarketDataClient
from nautilus_trader.live.factories import LiveDataClientFactory
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_trader.model.identifiers import ClientId, TraderId, Venue
from nautilus_trader.model.objects import Money
from nautilus_trader.trading.strategy import Strategy

from integration.nautilus.witness import BTC, ETH, START, Case, Witness
from meshkit.nautilus.data_time import DataTimeNode, Pace, driver_of

BINANCE = Venue("BINANCE")
BATCH = 500
BOUND_S = 120.0
Log = list[tuple[Any, ...]]


def in_backtest(case: Case) -> Log:
    """Return the log of a stock BacktestEngine."""
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(log_level="ERROR")))
    engine.add_venue(BINANCE, OmsType.NETTING, AccountType.MARGIN, [Money(10_000_000, USDT)])
    for instrument in (BTC, ETH)[: case.instruments]:
        engine.add_instrument(instrument)
    witness = Witness(case)
    engine.add_strategy(witness)
    engine.add_data(case.data())
    end = max(d.ts_init for d in engine.data) + case.then_ns
    engine.run(start=pd.Timestamp(START, tz="UTC"), end=pd.Timestamp(end, tz="UTC"))
    return witness.log_book


class PlayingClient(LiveMarketDataClient):
    """Plays a case's data when its node has started."""

    case: Case
    pace: Pace | None = None
    on_end: Callable[[], None]

    async def _connect(self) -> None:
        for instrument in (BTC, ETH)[: self.case.instruments]:
            self._cache.add_instrument(instrument)
        self.data = self.case.data()
        self.create_task(self._play())

    async def _disconnect(self) -> None:
        """Hold nothing."""

    async def _subscribe_trade_ticks(self, command: Any) -> None:
        """Play what there is."""

    async def _subscribe_quote_ticks(self, command: Any) -> None:
        """Play what there is."""

    async def _subscribe_bars(self, command: Any) -> None:
        """Play what there is."""

    async def _play(self) -> None:
        driver = driver_of(self._clock)
        await driver.play(batches(self.data), self._handle_data, self.pace)
        driver.advance_to(driver.now_ns + self.case.then_ns)
        self.on_end()


async def batches(data: Sequence[Data]) -> AsyncIterator[Sequence[Data]]:
    """Give data in lists, as a stream would."""
    for start in range(0, len(data), BATCH):
        yield data[start : start + BATCH]


class PlayingFactory(LiveDataClientFactory):
    """Makes clients of the class that it is given."""

    client: type[PlayingClient] = PlayingClient

    @classmethod
    def create(
        cls,
        loop: asyncio.AbstractEventLoop,
        name: str,
        config: LiveDataClientConfig,
        msgbus: Any,
        cache: Any,
        clock: Any,
    ) -> PlayingClient:
        """Make the client."""
        return cls.client(
            loop=loop,
            client_id=ClientId(name),
            venue=BINANCE,
            msgbus=msgbus,
            cache=cache,
            clock=clock,
            instrument_provider=InstrumentProvider(InstrumentProviderConfig()),
        )


def in_node(case: Case, speed: float = 0.0) -> Log:
    """Return the log of a node on data time, in lockstep or at ``speed``."""
    PlayingClient.pace = Pace(speed) if speed else None
    witness = Witness(case)
    asyncio.run(played(case, witness))
    return witness.log_book


async def played(case: Case, *strategies: Strategy, **changes: Any) -> DataTimeNode:
    """Return a node that has played a case from its start, and has stopped."""
    async with running(case, *strategies, **changes) as (node, ended):
        await asyncio.wait_for(ended.wait(), BOUND_S)
    return node


@asynccontextmanager
async def running(
    case: Case, *strategies: Strategy, **changes: Any
) -> AsyncIterator[tuple[DataTimeNode, asyncio.Event]]:
    """Run a node with the playing client; give the event of the end of its data as well."""
    node = DataTimeNode(config(case, **changes), START, asyncio.get_running_loop())
    ended = asyncio.Event()
    PlayingFactory.client.case, PlayingFactory.client.on_end = case, staticmethod(ended.set)
    node.add_data_client_factory("PLAY", PlayingFactory)
    node.add_exec_client_factory("BINANCE", SandboxLiveExecClientFactory)
    for strategy in strategies:
        node.trader.add_strategy(strategy)
    node.build()
    run = asyncio.create_task(node.run_async())
    yield node, ended
    await node.stop_async()
    await run
    node.kernel.dispose()


def config(case: Case, **changes: Any) -> TradingNodeConfig:
    """Return the config of a node with the playing client and, for orders, a sandbox."""
    sandbox = SandboxExecutionClientConfig(
        venue="BINANCE",
        starting_balances=["10_000_000 USDT"],
        account_type="MARGIN",
        default_leverage=Decimal(10),
    )
    fields: dict[str, Any] = {
        "trader_id": TraderId("BACKTESTER-001"),
        "logging": LoggingConfig(log_level="ERROR"),
        "data_clients": {"PLAY": LiveDataClientConfig()},
        "exec_clients": {"BINANCE": sandbox} if case.orders else {},
        "timeout_post_stop": 0.0,
    }
    return TradingNodeConfig(**(fields | changes))


def apart[**P, T](function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a function gives in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *args, **kwargs).result()
