"""Nodes that meet something out of the ordinary; each function runs in a process of its own."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from math import inf
from typing import Any

from nautilus_trader.config import (
    ImportableControllerConfig,
    LiveDataEngineConfig,
    LoggingConfig,
    StrategyConfig,
)
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import TradeTick
from nautilus_trader.trading.controller import Controller
from nautilus_trader.trading.strategy import Strategy

from integration.nautilus.runs import (
    BOUND_S,
    Log,
    PlayingClient,
    PlayingFactory,
    batches,
    config,
    played,
    running,
)
from integration.nautilus.witness import BTC, ETH, Case, Witness
from meshkit.nautilus.data_time import DataTimeError, NodeNotStarted, Pace, driver_of

CASE = Case(5_000, bars=("1-MINUTE-LAST-INTERNAL",), ticks=True, timers=True)


class Latecomer(Strategy):
    """Sets a timer when it starts, and notes when it fires."""

    fired: list[tuple[int, int]] = []  # noqa: RUF012 - one for the process is meant

    def on_start(self) -> None:
        """Set the timer."""
        self.fired.append((0, self.clock.timestamp_ns()))
        self.clock.set_timer("late", timedelta(seconds=10), callback=self._on_timer)

    def _on_timer(self, event: Any) -> None:
        self.fired.append((event.ts_event, self.clock.timestamp_ns()))


class AddingController(Controller):
    """Adds a strategy in the fifth minute and removes it in the sixth."""

    def on_start(self) -> None:
        """Set the alerts."""
        now = self.clock.utc_now()
        self.clock.set_time_alert("add", now + timedelta(minutes=5), self._add)
        self.clock.set_time_alert("remove", now + timedelta(minutes=6), self._remove)

    def _add(self, event: Any) -> None:
        self.added = Latecomer(StrategyConfig(order_id_tag="LATE"))
        self.create_strategy(self.added)

    def _remove(self, event: Any) -> None:
        self.remove_strategy(self.added)


def with_a_controller() -> list[tuple[int, int]]:
    """Return start and firings of a strategy that is added while data is played."""
    here = AddingController.__module__
    controller = ImportableControllerConfig(
        controller_path=f"{here}:AddingController",
        config_path="nautilus_trader.common.config:ActorConfig",
        config={},
    )
    asyncio.run(played(CASE, controller=controller))
    return Latecomer.fired


class Failing(Strategy):
    """Raises at its hundredth tick or in a timer's handler, or asks for a shutdown."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where
        self.ticks = 0

    def on_start(self) -> None:
        """Subscribe."""
        self.subscribe_trade_ticks(BTC.id)
        if self.where == "timer":
            self.clock.set_timer("bad", timedelta(minutes=1), callback=self._fail)

    def on_trade_tick(self, tick: TradeTick) -> None:
        """Count."""
        self.ticks += 1
        if self.ticks == 100 and self.where == "shutdown":
            self.shutdown_system("enough")
        if self.ticks == 100 and self.where == "tick":
            self._fail(tick)

    def _fail(self, _: Any) -> None:
        raise ValueError("a fault of the strategy's own")


def with_a_failure(where: str, graceful: bool) -> tuple[int, int]:
    """Return the ticks delivered and those seen; does not return when the node ends itself."""
    failing = Failing(where)
    engine = LiveDataEngineConfig(graceful_shutdown_on_exception=graceful)
    quiet = LoggingConfig(log_level="OFF")
    node = asyncio.run(played(CASE, failing, data_engine=engine, logging=quiet))
    return node.driver.delivered, failing.ticks


class Pausing(Witness):
    """Pauses the pace at its thousandth tick."""

    pace: Pace

    def on_trade_tick(self, tick: TradeTick) -> None:
        """Note the tick, and pause."""
        super().on_trade_tick(tick)
        if tick.trade_id.value == "999":
            self.pace.pause()


def paused_and_resumed() -> tuple[int, int, bool, Log]:
    """Return what was delivered by the pause and in all, whether time stood still, and the log."""
    return asyncio.run(_paused_and_resumed())


async def _paused_and_resumed() -> tuple[int, int, bool, Log]:
    witness, pace = Pausing(CASE), Pace(inf)
    witness.pace = PlayingClient.pace = pace
    async with running(CASE, witness) as (node, ended):
        await until(lambda: pace.paused)
        now_ns, delivered = node.driver.now_ns, node.driver.delivered
        await turns(1_000)
        stood = (now_ns, delivered) == (node.driver.now_ns, node.driver.delivered)
        pace.resume()
        await asyncio.wait_for(ended.wait(), BOUND_S)
    return delivered, node.driver.delivered, stood, witness.log_book


def sought_back() -> tuple[Log, Log]:
    """Return the logs of a node that was stopped half way and of the one made in its place."""
    return asyncio.run(_sought_back())


async def _sought_back() -> tuple[Log, Log]:
    first, second = Pausing(CASE), Witness(CASE)
    first.pace = PlayingClient.pace = Pace(inf)
    async with running(CASE, first):
        await until(lambda: first.pace.paused)
    PlayingClient.pace = None
    await played(CASE, second)
    return first.log_book, second.log_book


class Subscriber(Witness):
    """Subscribes to a second instrument at its hundredth tick."""

    def on_trade_tick(self, tick: TradeTick) -> None:
        """Note the tick, and subscribe."""
        super().on_trade_tick(tick)
        if tick.trade_id.value == "99":
            self.subscribe_quote_ticks(ETH.id)


class SlowClient(PlayingClient):
    """Needs some turns of the event loop to subscribe, as over a network."""

    subscribed_at: list[int] = []  # noqa: RUF012 - one for the process is meant

    async def _subscribe_quote_ticks(self, command: Any) -> None:
        await turns(100)
        self.subscribed_at.append(driver_of(self._clock).delivered)


def subscribing_while_played() -> tuple[list[int], int]:
    """Return how much was delivered when the subscription was made, and in all."""
    PlayingFactory.client = SlowClient
    node = asyncio.run(played(CASE, Subscriber(CASE)))
    return SlowClient.subscribed_at, node.driver.delivered


class NeverConnecting(PlayingClient):
    """Plays, but is never connected."""

    refusal = ""

    async def _connect(self) -> None:
        await super()._connect()
        await asyncio.Event().wait()

    async def _play(self) -> None:
        try:
            await super()._play()
        except NodeNotStarted as error:
            type(self).refusal = str(error)
            self.on_end()


def that_does_not_start() -> str:
    """Return what the player of a node is told whose client does not connect."""
    PlayingFactory.client = NeverConnecting
    quiet = LoggingConfig(log_level="OFF")
    changes = {"timeout_connection": 0.1, "timeout_disconnection": 0.1, "logging": quiet}
    asyncio.run(played(CASE, Witness(CASE), **changes))
    return NeverConnecting.refusal


def on_the_walls_time() -> str:
    """Return what a client in a stock node is told."""
    return asyncio.run(_on_the_walls_time())


async def _on_the_walls_time() -> str:
    node = TradingNode(config(CASE), asyncio.get_running_loop())
    try:
        driver_of(node.kernel.clock)
    except DataTimeError as error:
        return str(error)
    return ""


def played_twice() -> str:
    """Return what a second player is told."""
    return asyncio.run(_played_twice())


async def _played_twice() -> str:
    refusal = ""
    PlayingClient.pace = pace = Pace(paused=True)
    async with running(CASE, Witness(CASE)) as (node, ended):
        await node.driver.ready()
        try:
            await node.driver.play(batches([]), print)
        except DataTimeError as error:
            refusal = str(error)
        pace.speed = inf
        pace.resume()
        await asyncio.wait_for(ended.wait(), BOUND_S)
    return refusal


class Threads(Witness):
    """Notes the threads on which ticks come."""

    def on_trade_tick(self, tick: TradeTick) -> None:
        """Note the thread."""
        self.log_book.append((threading.get_ident(),))


def told_by_another_thread() -> bool:
    """Return whether what another thread sends is handled on the loop's."""
    return asyncio.run(_told_by_another_thread())


async def _told_by_another_thread() -> bool:
    witness = Threads(CASE)
    PlayingClient.pace = Pace(paused=True)
    async with running(CASE, witness) as (node, _):
        await node.driver.ready()
        tick = CASE.data()[0]
        await asyncio.to_thread(node.kernel.data_engine.process, tick)
        await until(lambda: bool(witness.log_book))
    return witness.log_book == [(threading.get_ident(),)]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(BOUND_S):
        while not condition():
            await turns(1)


async def turns(count: int) -> None:
    """Give the event loop some turns."""
    for _ in range(count):
        await asyncio.sleep(0)
