"""Starts a node and says why it did not start: Nautilus itself returns as if it had."""

from typing import Any

from nautilus_trader.live.node import TradingNode
from nautilus_trader.system.kernel import NautilusKernel

from services.live_execution.engine.states import Trouble
from services.live_execution.engine.waiting import until


async def start(node: TradingNode) -> Trouble | None:
    """Start a built node; return why it did not, None when it runs."""
    kernel = node.kernel
    if kernel.clock.__class__.__name__ == "LiveClock":
        _be_patient(kernel)
    await kernel.start_async()
    return None if kernel.trader.is_running else _why(kernel)


def unconnected(kernel: NautilusKernel) -> list[str]:
    """Return the clients that have no connection, as people know them."""
    data, execution = kernel.data_engine, kernel.exec_engine
    found = [f"{client.id} (data)" for client in _clients(data) if not client.is_connected]
    return found + [f"{c.id} (orders)" for c in _clients(execution) if not c.is_connected]


def _clients(engine: Any) -> list[Any]:
    return list(engine._clients.values())


def _why(kernel: NautilusKernel) -> Trouble:
    lacking = unconnected(kernel)
    if lacking:
        names = ", ".join(lacking)
        data = all(name.endswith("(data)") for name in lacking)
        reason = "DATA_UNAVAILABLE" if data else "VENUE_UNREACHABLE"
        return Trouble(reason, f"No connection in time: {names}. The trader's log says more.")
    if not kernel.portfolio.initialized:
        text = "The portfolio could not be made from the positions: a price or rate is missing."
        return Trouble("RECONCILIATION_FAILED", text)
    text = "What a venue reports does not fit what the trader knows. The trader's log says more."
    return Trouble("RECONCILIATION_FAILED", text)


def _be_patient(kernel: Any) -> None:
    """Let a kernel sleep while it waits for its clients; Nautilus' own waits take a whole core."""
    config, data, execution = kernel._config, kernel.data_engine, kernel.exec_engine
    engines = (data, execution)

    async def connected() -> bool:
        done = lambda: all(engine.check_connected() for engine in engines)  # noqa: E731 # short
        return await until(done, config.timeout_connection)

    async def disconnected() -> bool:
        done = lambda: all(engine.check_disconnected() for engine in engines)  # noqa: E731 # short
        return await until(done, config.timeout_disconnection)

    async def initialized() -> bool:
        return await until(lambda: kernel.portfolio.initialized, config.timeout_portfolio)

    kernel._check_engines_connected = connected
    kernel._check_engines_disconnected = disconnected
    kernel._check_portfolio_initialized = initialized
