"""A TradingNode whose clocks are moved by its data."""

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from nautilus_trader.adapters.sandbox import factory as sandbox_factory
from nautilus_trader.common.messages import ShutdownSystem
from nautilus_trader.live import node as stock_node
from nautilus_trader.live.config import TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.system import kernel as stock_kernel
from nautilus_trader.system.kernel import NautilusKernel

from meshkit.nautilus.data_time.clock import Timeline
from meshkit.nautilus.data_time.driver import DataTimeDriver
from meshkit.nautilus.data_time.engines import make_direct
from meshkit.nautilus.data_time.sandbox import DataTimeSandbox
from meshkit.nautilus.data_time.substitute import substituted

POLL_S = 0.001


class DataTimeKernel(NautilusKernel):
    """A live kernel on a timeline. Its waits are bounded by the wall: data time stands still."""

    def __init__(self, *, timeline: Timeline, **kwargs: Any) -> None:
        with substituted(stock_kernel, LiveClock=timeline.clock_class):
            super().__init__(**kwargs)
        _stop_wall_checks(self.exec_engine)
        self._calls = make_direct(self)
        self.driver = DataTimeDriver(self, timeline, self._calls)
        timeline.driver = self.driver

    async def start_async(self) -> None:
        """Start, and tell the driver when it is over."""
        self._calls.thread = threading.get_ident()
        self._calls.stopped = False
        try:
            await super().start_async()
        finally:
            self.driver.node_started()

    async def stop_async(self) -> None:
        """Stop; no more data is taken."""
        self._calls.stopped = True
        await super().stop_async()

    def _on_shutdown_system(self, command: ShutdownSystem) -> None:
        """Stop at the very object at which a component asks for it, as a backtest does."""
        if command.trader_id == self.trader_id:
            self._calls.stopped = True
        super()._on_shutdown_system(command)

    async def _check_engines_connected(self) -> bool:
        engines = (self.data_engine, self.exec_engine)
        return await _wait(
            lambda: all(e.check_connected() for e in engines), self._config.timeout_connection
        )

    async def _check_engines_disconnected(self) -> bool:
        engines = (self.data_engine, self.exec_engine)
        return await _wait(
            lambda: all(e.check_disconnected() for e in engines),
            self._config.timeout_disconnection,
        )

    async def _check_portfolio_initialized(self) -> bool:
        return await _wait(lambda: self.portfolio.initialized, self._config.timeout_portfolio)


class DataTimeNode(TradingNode):
    """A TradingNode on data time; use it as a TradingNode, and play data with its ``driver``.

    ``start_ns`` is what its clocks show until the first tick (UNIX ns): the start of the replay,
    as ``start`` of a backtest. Nautilus' sandbox clients settle orders as the venues of a
    backtest do. Clocks never go back: to play from an earlier time, stop this node
    and make another (a few milliseconds and the start of its clients).
    """

    def __init__(
        self,
        config: TradingNodeConfig,
        start_ns: int,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        kernel_class = partial(DataTimeKernel, timeline=Timeline(start_ns))
        with substituted(stock_node, NautilusKernel=kernel_class):
            super().__init__(config, loop)

    @property
    def driver(self) -> DataTimeDriver:
        """What plays data into this node and moves its time."""
        kernel = self.kernel
        assert isinstance(kernel, DataTimeKernel)  # as it was made above
        return kernel.driver

    def build(self) -> None:
        """Build the clients; sandboxes are ours, whichever way their factory was given."""
        with substituted(sandbox_factory, SandboxExecutionClient=DataTimeSandbox):
            super().build()
        clients = self.kernel.exec_engine._clients.values()
        sandboxes = [client for client in clients if isinstance(client, DataTimeSandbox)]
        if sandboxes:
            self.driver.use_sandboxes(sandboxes)

    def dispose(self) -> None:
        """Dispose of the node; stock waits for a stop by a clock that stands still here."""
        stopped_by = time.monotonic() + self._config.timeout_disconnection
        while self.kernel.is_running() and time.monotonic() < stopped_by:
            time.sleep(0.1)
        self.kernel._is_running = False
        super().dispose()


def _stop_wall_checks(engine: Any) -> None:
    """Switch off checks that sleep by the wall and measure ages in data time."""
    engine.inflight_check_interval_ms = 0
    engine.open_check_interval_secs = None
    engine.position_check_interval_secs = None


async def _wait(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Wait for a condition by the wall; say whether it came true."""
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= until:
            return False
        await asyncio.sleep(POLL_S)
    return True
