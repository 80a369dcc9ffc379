"""A node on data time with a sandbox, strategies as a trader has them, and data of any kind.

Run each function that starts nodes in a process of its own (``integration.nautilus.runs.apart``).
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nautilus_trader.adapters.sandbox.factory import SandboxLiveExecClientFactory
from nautilus_trader.config import LoggingConfig
from nautilus_trader.core.data import Data
from nautilus_trader.live.data_client import LiveMarketDataClient
from nautilus_trader.live.node import TradingNode

from integration.live_execution.engine.local import LocalOutside
from integration.nautilus.runs import PlayingClient, PlayingFactory, batches, config
from integration.nautilus.witness import BTC, START, Case
from mesh.execution.v1.events_pb2 import StrategyFailed, TraderFact
from mesh.execution.v1.trader_pb2 import TraderStrategyStatus
from meshkit.nautilus.data_time import DataTimeNode, driver_of
from services.live_execution.engine.desk import SAFETY, Desk
from services.live_execution.engine.strategies import DeskSweep, Strategies
from services.live_execution.trader.ports import Component

CASE = Case(0, orders=True)
FAULTY = (Path(__file__).parent / "faulty.py").read_text()
VERSION = "ab" * 32
BOUND_S = 20.0


def component(tag: str, class_name: str = "Faulty", **changes: Any) -> Component:
    """Return a component of ``faulty.py``, or what ``changes`` make of it."""
    fields: dict[str, Any] = {
        "order_id_tag": tag,
        "strategy_id": class_name.lower(),
        "version": VERSION,
        "kind": "STRATEGY",
        "files": (("main.py", FAULTY),),
        "importable_path": "",
        "class_name": class_name,
        "config": {"instrument_id": str(BTC.id)},
        "on_failure": "CANCEL_ORDERS",
        "stopped": False,
        "claims": (),
    }
    return Component(**(fields | changes))


def faulty(tag: str, where: str, **config: Any) -> Component:
    """Return a strategy that raises at ``where``."""
    on_failure = config.pop("on_failure", "CANCEL_ORDERS")
    values = {"instrument_id": str(BTC.id), "where": where, **config}
    return component(tag, config=values, on_failure=on_failure)


@dataclass
class Memory:
    """What earlier processes have left."""

    strategy_states: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    strategy_failures: Mapping[str, StrategyFailed] = field(default_factory=dict)
    order_counts: Mapping[str, int] = field(default_factory=dict)
    list_counts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: Sequence[TraderFact]) -> "Memory":
        """Return what the facts of an earlier process say."""
        kinds = [(fact.WhichOneof("fact"), fact) for fact in facts]
        return cls(
            {f.saved.instance_id: dict(f.saved.state) for kind, f in kinds if kind == "saved"},
            {f.failed.instance_id: f.failed for kind, f in kinds if kind == "failed"},
        )


class Client(PlayingClient):
    """Plays what tests give it, and answers requests for bars with a history."""

    data: list[Data]
    history: Sequence[Any] = ()
    asked: list[Any]
    gate: asyncio.Event | None = None

    async def _connect(self) -> None:
        type(self).asked = []

    async def _request_bars(self, request: Any) -> None:
        if self.gate is not None:
            await self.gate.wait()
        rows, about = self._answer(request)
        self._handle_bars(request.bar_type, rows, *about)

    async def _request_trade_ticks(self, request: Any) -> None:
        rows, about = self._answer(request)
        self._handle_trade_ticks(request.instrument_id, rows, *about)

    def _answer(self, request: Any) -> tuple[list[Any], tuple[Any, ...]]:
        self.asked.append(request)
        start, end = request.start.value, max(request.end.value, self._clock.timestamp_ns())
        rows = [row for row in self.history if start <= row.ts_init <= end]
        return rows, (request.id, request.start, request.end, request.params)

    async def play(self, data: Sequence[Data]) -> None:
        """Play data now."""
        await driver_of(self._clock).play(batches(data), self._handle_data)


async def _nothing(*_: Any) -> None:
    """Play what there is."""


for name in dir(LiveMarketDataClient):
    if name.startswith(("_subscribe_", "_unsubscribe_")):
        setattr(Client, name, _nothing)


class Scene:
    """A running trader."""

    def __init__(self, node: TradingNode, strategies: Strategies, outside: LocalOutside) -> None:
        self.node = node
        self.strategies = strategies
        self.outside = outside

    @property
    def client(self) -> Client:
        """The client of data."""
        found: Client = next(iter(self.node.kernel.data_engine._clients.values()))
        return found

    async def play(self, *data: Data) -> None:
        """Play data, and all that it causes."""
        await asyncio.wait_for(self.client.play(data), BOUND_S)

    def made(self, tag: str) -> Any:
        """Return the instance of a tag."""
        return self.strategies._entries[tag].made

    def statuses(self) -> dict[str, TraderStrategyStatus]:
        """Return how each does, by tag."""
        return {status.order_id_tag: status for status in self.strategies.statuses()}

    def failures(self) -> dict[str, StrategyFailed]:
        """Return the failures on record, by tag."""
        found = [f.failed for f in self.outside.facts if f.HasField("failed")]
        return {f.instance_id.rpartition("-")[2]: f for f in found}


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(BOUND_S):
        while not condition():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def running(
    *components: Component,
    memory: Memory | None = None,
    start_ns: int = START,
    history: Sequence[Data] = (),
    wall: bool = False,
) -> AsyncIterator[Scene]:
    """Run a trader on data time, or the wall's."""
    Client.history = history
    PlayingFactory.client = Client
    loop, changes = asyncio.get_running_loop(), config(CASE, logging=LoggingConfig(log_level="OFF"))
    node = TradingNode(changes, loop) if wall else DataTimeNode(changes, start_ns, loop)
    node.add_data_client_factory("PLAY", PlayingFactory)
    node.add_exec_client_factory("BINANCE", SandboxLiveExecClientFactory)
    node.build()
    node.kernel.cache.add_instrument(BTC)
    desk = Desk(SAFETY)
    node.trader.add_strategy(desk)
    with tempfile.TemporaryDirectory() as folder:
        outside = LocalOutside(Path(folder) / "journal")
        strategies = Strategies(
            node, components, outside, memory or Memory(), lambda: None, DeskSweep(desk)
        )
        strategies.add_all()
        run = asyncio.create_task(node.run_async())
        await until(lambda: node.trader.is_running)
        yield Scene(node, strategies, outside)
        await node.stop_async()
        await run
        node.kernel.dispose()
        outside.close()
