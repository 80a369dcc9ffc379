"""Starts a node and says why it did not start: Nautilus itself returns as if it had."""

from collections.abc import Callable, Coroutine
from typing import Any

from nautilus_trader.live.node import TradingNode
from nautilus_trader.system.kernel import NautilusKernel

from meshclient.errors import MeshClientError
from services.live_execution.engine.states import Trouble
from services.live_execution.engine.waiting import until

LASTING = {"NOT_FOUND", "INVALID_ARGUMENT", "PERMISSION_DENIED"}
"""Codes of the mesh that do not pass by themselves."""

type Connect = Callable[[], Coroutine[Any, Any, None]]


async def start(node: TradingNode) -> Trouble | None:
    """Start a built node; return why it did not, None when it runs."""
    kernel = node.kernel
    refusals = Refusals(kernel)
    _be_patient(kernel, refusals)
    await kernel.start_async()
    return None if kernel.trader.is_running else _why(kernel, refusals)


class Refusals:
    """Why clients did not connect: their adapters log it, and nobody is told."""

    def __init__(self, kernel: Any) -> None:
        self.errors: dict[str, BaseException] = {}
        for engine in (kernel.data_engine, kernel.exec_engine):
            for client in _clients(engine):
                connect = getattr(client, "_connect", None)
                if connect is not None:
                    client._connect = self._noting(str(client.id), connect)

    def _noting(self, name: str, connect: Connect) -> Connect:
        async def noting() -> None:
            try:
                await connect()
            except Exception as error:
                self.errors[name] = error
                raise

        return noting

    @property
    def said(self) -> str:
        """What those say that the mesh itself has refused; adapters' words are in the log."""
        ours = (e for e in self.errors.values() if isinstance(e, MeshClientError))
        return " ".join(str(each) for each in ours)

    @property
    def lasting(self) -> bool:
        """Whether a later start would meet the same."""
        ours = [e for e in self.errors.values() if isinstance(e, MeshClientError)]
        return any(each.code in LASTING for each in ours)


def unconnected(kernel: NautilusKernel) -> list[str]:
    """Return the clients that have no connection, as people know them."""
    data, execution = kernel.data_engine, kernel.exec_engine
    found = [f"{client.id} (data)" for client in _clients(data) if not client.is_connected]
    return found + [f"{c.id} (orders)" for c in _clients(execution) if not c.is_connected]


def _clients(engine: Any) -> list[Any]:
    return list(engine._clients.values())


def _why(kernel: NautilusKernel, refusals: Refusals) -> Trouble:
    lacking = unconnected(kernel)
    if lacking:
        names = ", ".join(lacking)
        data = all(name.endswith("(data)") for name in lacking)
        reason = "DATA_UNAVAILABLE" if data else "VENUE_UNREACHABLE"
        why = refusals.said or "The trader's log says more."
        return Trouble(reason, f"No connection: {names}. {why}", lasting=refusals.lasting)
    if not kernel.portfolio.initialized:
        text = "The portfolio could not be made from the positions: a price or rate is missing."
        return Trouble("RECONCILIATION_FAILED", text)
    text = "What a venue reports does not fit what the trader knows. The trader's log says more."
    return Trouble("RECONCILIATION_FAILED", text)


def _be_patient(kernel: Any, refusals: Refusals) -> None:
    """Let a kernel sleep while it waits for its clients; Nautilus' own waits take a whole core.

    A client that has failed to connect never tries again: it is not waited for.
    """
    config, data, execution = kernel._config, kernel.data_engine, kernel.exec_engine
    engines = (data, execution)

    def are_connected() -> bool:
        return all(engine.check_connected() for engine in engines)

    async def connected() -> bool:
        await until(lambda: are_connected() or bool(refusals.errors), config.timeout_connection)
        return are_connected()

    async def disconnected() -> bool:
        done = lambda: all(engine.check_disconnected() for engine in engines)  # noqa: E731 # short
        return await until(done, config.timeout_disconnection)

    async def initialized() -> bool:
        return await until(lambda: kernel.portfolio.initialized, config.timeout_portfolio)

    kernel._check_engines_connected = connected
    kernel._check_engines_disconnected = disconnected
    kernel._check_portfolio_initialized = initialized
