"""The same data and strategy in a stock BacktestEngine and in a node on data time.

``Case`` says what; ``in_backtest`` and ``in_node`` give what the strategy saw and did, in its
order. Run each in a process of its own (``apart``): nodes are one to a process.
"""

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
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
from nautilus_trader.model.data import Bar, BarType, QuoteTick, TradeTick
from nautilus_trader.model.enums import (
    AccountType,
    AggressorSide,
    OmsType,
    OrderSide,
    TimeInForce,
)
from nautilus_trader.model.events import OrderEvent
from nautilus_trader.model.identifiers import ClientId, TradeId, TraderId, Venue
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy

from meshkit.nautilus.data_time import DataTimeNode, driver_of

START = 1_704_067_200_000_000_000 + 12_345_678_901
"""2024-01-01, some seconds into its first minute."""
MINUTE = 60_000_000_000
BINANCE = Venue("BINANCE")
BTC = TestInstrumentProvider.btcusdt_binance()
ETH = TestInstrumentProvider.ethusdt_binance()
BATCH = 500


@dataclass(frozen=True)
class Case:
    """What to play, and what the strategy does. ``step_ns`` is the mean time between ticks."""

    count: int
    kind: str = "trades"
    step_ns: int = 200_000_000
    instruments: int = 1
    bars: tuple[str, ...] = ()
    ticks: bool = False
    timers: bool = False
    orders: bool = False

    def data(self) -> list[Data]:
        """Return the ticks, in order of ``ts_init``; a third of them share it with another."""
        random = np.random.default_rng(7)
        gaps = random.integers(0, 2 * self.step_ns, self.count) * random.integers(0, 3, self.count)
        times = START + np.cumsum(gaps)
        # some ticks on the very nanosecond at which minute bars close and timers fire
        times[::50] -= times[::50] % 1_000_000_000
        times = np.maximum.accumulate(np.maximum(times, START))
        walk = np.cumsum(random.normal(0, 0.5, self.count))
        sizes = random.integers(1, 2_000_000, self.count)
        which = random.integers(0, self.instruments, self.count)
        make = _trade if self.kind == "trades" else _quote
        return [
            make((BTC, ETH)[w], float(p), int(s), int(t), i)
            for i, (w, p, s, t) in enumerate(zip(which, walk, sizes, times, strict=True))
        ]


def _trade(instrument: Any, move: float, size: int, ts: int, number: int) -> TradeTick:
    price = Price(30_000 + move, instrument.price_precision)
    quantity = Quantity(size / 1e6, instrument.size_precision)
    side = AggressorSide.BUYER if size % 2 else AggressorSide.SELLER
    return TradeTick(instrument.id, price, quantity, side, TradeId(str(number)), ts, ts)


def _quote(instrument: Any, move: float, size: int, ts: int, number: int) -> QuoteTick:
    bid = Price(30_000 + move, instrument.price_precision)
    ask = Price(30_001 + move, instrument.price_precision)
    quantity = Quantity(size / 1e6, instrument.size_precision)
    return QuoteTick(instrument.id, bid, ask, quantity, quantity, ts, ts)


class Witness(Strategy):
    """Writes down all that reaches it, with what its clock shows."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.case = case
        self.log_book: list[tuple[Any, ...]] = []

    def on_start(self) -> None:
        """Subscribe and set timers."""
        for instrument in (BTC, ETH)[: self.case.instruments]:
            self._subscribe(instrument)
        if self.case.timers:
            self._set_timers()

    def _subscribe(self, instrument: Any) -> None:
        for spec in self.case.bars:
            self.subscribe_bars(BarType.from_str(f"{instrument.id}-{spec}"))
        if self.case.kind == "trades":
            self.subscribe_trade_ticks(instrument.id)
        else:
            self.subscribe_quote_ticks(instrument.id)

    def _set_timers(self) -> None:
        self.clock.set_timer("seconds-7", timedelta(seconds=7), callback=self._on_timer)
        self.clock.set_timer("minute", timedelta(minutes=1), callback=self._on_timer)
        start = pd.Timestamp(START + 30 * MINUTE, tz="UTC").floor("1min")
        self.clock.set_timer("late", timedelta(minutes=3), start_time=start)
        self.clock.set_time_alert("alert", start + timedelta(seconds=1), callback=self._on_alert)

    def _on_timer(self, event: Any) -> None:
        self._note("timer", event.name, event.ts_event, event.ts_init)

    def _on_alert(self, event: Any) -> None:
        self._note("alert", event.name, event.ts_event, event.ts_init)
        if event.name.startswith("chained"):
            return
        soon = self.clock.utc_now() + timedelta(milliseconds=1)
        self.clock.set_time_alert("chained", soon, callback=self._on_alert)
        past = self.clock.utc_now() - timedelta(hours=1)
        self.clock.set_time_alert("chained-past", past, callback=self._on_alert)

    def on_event(self, event: Any) -> None:
        """Note order events and the timer without a callback of its own."""
        if isinstance(event, OrderEvent):
            order = self.cache.order(event.client_order_id)
            status = order and order.status_string()  # none yet when it is made
            number = event.client_order_id.value
            self._note(type(event).__name__, number, event.ts_event, event.ts_init, status)
        elif hasattr(event, "name"):
            self._note("event", event.name, event.ts_event)

    def on_bar(self, bar: Bar) -> None:
        """Note a bar."""
        prices = (str(bar.open), str(bar.high), str(bar.low), str(bar.close), str(bar.volume))
        self._note("bar", str(bar.bar_type), bar.ts_event, bar.ts_init, *prices)

    def on_trade_tick(self, tick: TradeTick) -> None:
        """Note a tick, and trade now and then."""
        if self.case.ticks:
            self._note("trade", str(tick.instrument_id), tick.ts_init, str(tick.trade_id))

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Note a tick, and trade now and then."""
        if self.case.ticks:
            self._note("quote", str(tick.instrument_id), tick.ts_init, str(tick.bid_size))
        if self.case.orders and self.cache.quote_tick_count(tick.instrument_id) % 40 == 0:
            self._trade(tick)

    def _trade(self, tick: QuoteTick) -> None:
        """Send a market order, a resting limit order that expires, and cancel one at once."""
        ids, size = tick.instrument_id, Quantity.from_str("0.010000")
        number = len(self.cache.orders())
        side = OrderSide.BUY if number % 6 else OrderSide.SELL
        self.submit_order(self.order_factory.market(ids, side, size))
        limit = self.order_factory.limit(
            ids,
            OrderSide.BUY,
            size,
            Price(tick.bid_price.as_double() - 50, tick.bid_price.precision),
            time_in_force=TimeInForce.GTD,
            expire_time=self.clock.utc_now() + timedelta(seconds=20),
        )
        self.submit_order(limit)
        price = Price(tick.bid_price.as_double() - 90, tick.bid_price.precision)
        resting = self.order_factory.limit(ids, OrderSide.BUY, size, price)
        self.submit_order(resting)
        self.cancel_order(resting)

    def _note(self, *what: Any) -> None:
        self.log_book.append((*what, self.clock.timestamp_ns()))


def in_backtest(case: Case) -> list[tuple[Any, ...]]:
    """Return the log of a stock BacktestEngine."""
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(log_level="ERROR")))
    engine.add_venue(
        BINANCE, OmsType.NETTING, AccountType.CASH, [Money(10_000_000, USDT)], base_currency=None
    )
    for instrument in (BTC, ETH)[: case.instruments]:
        engine.add_instrument(instrument)
    witness = Witness(case)
    engine.add_strategy(witness)
    engine.add_data(case.data())
    engine.run(start=pd.Timestamp(START, tz="UTC"))
    return witness.log_book


class PlayingClient(LiveMarketDataClient):
    """Plays a case's data when its node has started, then stops the node."""

    case: Case
    on_end: Callable[[], None]
    instruments: Sequence[Any] = (BTC, ETH)

    async def _connect(self) -> None:
        for instrument in self.instruments[: self.case.instruments]:
            self._cache.add_instrument(instrument)
        self.create_task(self._play())

    async def _disconnect(self) -> None:
        """Hold nothing."""

    async def _subscribe_trade_ticks(self, command: Any) -> None:
        """Play what there is."""

    async def _subscribe_quote_ticks(self, command: Any) -> None:
        """Play what there is."""

    async def _play(self) -> None:
        await driver_of(self._clock).play(self._batches(), self._handle_data)
        self.on_end()

    async def _batches(self) -> AsyncIterator[Sequence[Data]]:
        data = self.case.data()
        for start in range(0, len(data), BATCH):
            yield data[start : start + BATCH]


class PlayingFactory(LiveDataClientFactory):
    """Makes the client."""

    @staticmethod
    def create(
        loop: asyncio.AbstractEventLoop,
        name: str,
        config: LiveDataClientConfig,
        msgbus: Any,
        cache: Any,
        clock: Any,
    ) -> PlayingClient:
        """Make the client."""
        return PlayingClient(
            loop=loop,
            client_id=ClientId(name),
            venue=BINANCE,
            msgbus=msgbus,
            cache=cache,
            clock=clock,
            instrument_provider=InstrumentProvider(InstrumentProviderConfig()),
        )


def in_node(case: Case) -> list[tuple[Any, ...]]:
    """Return the log of a node on data time."""
    witness = Witness(case)
    asyncio.run(_run_node(case, witness))
    return witness.log_book


def config(case: Case) -> TradingNodeConfig:
    """Return the config of a node with the playing client and, for orders, a sandbox."""
    sandbox = SandboxExecutionClientConfig(
        venue="BINANCE", starting_balances=["10_000_000 USDT"], account_type="CASH"
    )
    return TradingNodeConfig(
        trader_id=TraderId("BACKTESTER-001"),
        logging=LoggingConfig(log_level="ERROR"),
        data_clients={"PLAY": LiveDataClientConfig()},
        exec_clients={"BINANCE": sandbox} if case.orders else {},
        timeout_post_stop=0.0,
    )


async def _run_node(case: Case, witness: Witness) -> None:
    node = DataTimeNode(config(case), START, asyncio.get_running_loop())
    ended = asyncio.Event()
    PlayingClient.case, PlayingClient.on_end = case, staticmethod(ended.set)
    node.add_data_client_factory("PLAY", PlayingFactory)
    if case.orders:
        node.add_exec_client_factory("BINANCE", SandboxLiveExecClientFactory)
    node.trader.add_strategy(witness)
    node.build()
    run = asyncio.create_task(node.run_async())
    await ended.wait()
    await node.stop_async()
    await run
    node.kernel.dispose()


def apart[**P, T](function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a function gives in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *args, **kwargs).result()
