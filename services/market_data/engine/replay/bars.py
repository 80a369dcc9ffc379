"""Internal bars of a replay: Nautilus' data engine on data time, fed with what they are made of."""

import asyncio
from collections.abc import Sequence
from typing import Any

from nautilus_trader.cache.config import CacheConfig
from nautilus_trader.common.config import LoggingConfig
from nautilus_trader.config import LiveDataClientConfig
from nautilus_trader.core.data import Data
from nautilus_trader.live.config import LiveExecEngineConfig, TradingNodeConfig
from nautilus_trader.live.data_client import LiveMarketDataClient
from nautilus_trader.live.factories import LiveDataClientFactory
from nautilus_trader.model.data import BarType
from nautilus_trader.model.identifiers import ClientId, TraderId

from meshkit.nautilus.data_time import DataTimeNode, timeline_of
from services.market_data.engine.feed.bar_guard import BarGuards, OnRefused
from services.market_data.engine.feed.capture import Buffer
from services.market_data.engine.feed.main import own_signals
from services.market_data.engine.feed.node import KEPT
from services.market_data.engine.feed.subscribing import (
    BARS,
    needed,
    subscribe,
    topic,
    unsubscribe,
)
from services.market_data.engine.feed.troubles import Trouble
from services.market_data.engine.replay.client import ReplayDataClient
from services.market_data.engine.replay.track import NEVER

NAME = "REPLAY"


class ReplayFactory(LiveDataClientFactory):
    """Makes the data client."""

    @staticmethod
    def create(
        loop: asyncio.AbstractEventLoop,
        name: str,
        config: LiveDataClientConfig,
        msgbus: Any,
        cache: Any,
        clock: Any,
    ) -> LiveMarketDataClient:
        """Return a new client."""
        return ReplayDataClient(loop, ClientId(name), msgbus, cache, clock)


class Bars:
    """Makes the bars of the types that are open.

    The node is there while a type is open. As in a feed of a venue it is not run as a whole: its
    engine is started, and moved by the time of the rows. Its clocks cannot go back, so another
    time needs another node (``restart``).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._node: DataTimeNode | None = None
        self._client: Any = None
        self._timeline: Any = None
        self._open: dict[BarType, tuple[Buffer, Any]] = {}
        self._counts: dict[BarType, int] = {}
        self._guards: BarGuards | None = None
        self.on_refused: OnRefused = lambda _, __: None
        """Called when a type has so small a step that no more of its bars are made."""

    @property
    def next_ns(self) -> int:
        """The time (unix ns) at which the next bar is closed by its clock."""
        return NEVER if self._timeline is None else int(self._timeline.next_event_ns)

    def open(self, bar_type: BarType, buffer: Buffer, instrument: Any, now_ns: int) -> None:
        """Put the bars of a type into a buffer, of what is played from ``now_ns`` on."""
        self._open[bar_type] = buffer, instrument
        if self._node is None:
            self._start(now_ns)
        else:
            self._begin(bar_type, buffer, instrument)

    def close(self, bar_type: BarType) -> None:
        """Make no more bars of a type."""
        buffer, _ = self._open.pop(bar_type)
        kernel: Any = self._kernel
        kernel.msgbus.unsubscribe(topic(BARS, bar_type), buffer.rows.append)
        for each in needed(bar_type):
            self._counts[each] -= 1
            if not self._counts[each]:
                self._execute(unsubscribe(BARS, each, self._client.id, kernel.clock.timestamp_ns()))
        assert self._guards is not None  # as the node is there
        self._guards.settle()
        if not self._open:
            self._stop()

    def restart(self, now_ns: int) -> None:
        """Begin all bars anew at another time."""
        if self._node is not None:
            self._stop()
            self._start(now_ns)

    def play(self, rows: Sequence[Data], until: int) -> None:
        """Take rows in the order of time, and all time before ``until``."""
        if self._node is None:
            return
        timeline, deliver = self._timeline, self._client.deliver
        for row in rows:
            timeline.advance(row.ts_init)
            deliver(row)
        timeline.advance(until - 1)
        timeline.finish_instant()

    # -- the node

    @property
    def _kernel(self) -> Any:
        assert self._node is not None  # only asked while a type is open
        return self._node.kernel

    def _start(self, now_ns: int) -> None:
        node = self._node = DataTimeNode(_config(), now_ns, self._loop)
        own_signals(self._loop)
        node.add_data_client_factory(NAME, ReplayFactory)
        node.build()
        engine: Any = node.kernel.data_engine
        engine.start()
        (self._client,) = engine._clients.values()
        self._guards = BarGuards(engine, node.kernel.msgbus, self._loop, self._refused)
        self._timeline = timeline_of(node.kernel.clock)
        for bar_type, (buffer, instrument) in self._open.items():
            self._begin(bar_type, buffer, instrument)

    def _begin(self, bar_type: BarType, buffer: Buffer, instrument: Any) -> None:
        kernel: Any = self._kernel
        kernel.cache.add_instrument(instrument)
        kernel.msgbus.subscribe(topic(BARS, bar_type), buffer.rows.append)
        guards = self._guards
        assert guards is not None  # as the node is there
        for each in reversed(list(needed(bar_type))):
            self._counts[each] = self._counts.get(each, 0) + 1
            if self._counts[each] == 1:
                self._execute(subscribe(BARS, each, self._client.id, kernel.clock.timestamp_ns()))
                guards.guard(each, instrument)

    def _refused(self, bar_type: BarType, failed: Trouble) -> None:
        self.on_refused(bar_type, failed)

    def _execute(self, command: Any) -> None:
        self._kernel.data_engine._execute_command(command)

    def _stop(self) -> None:
        kernel: Any = self._kernel
        kernel.data_engine.stop()
        kernel.dispose()
        self._node = self._client = self._timeline = self._guards = None
        self._counts.clear()


def _config() -> TradingNodeConfig:
    return TradingNodeConfig(
        trader_id=TraderId("REPLAY-001"),
        logging=LoggingConfig(log_level="ERROR", log_colors=False, print_config=False),
        cache=CacheConfig(tick_capacity=KEPT, bar_capacity=KEPT),
        exec_engine=LiveExecEngineConfig(reconciliation=False),
        data_clients={NAME: LiveDataClientConfig()},
        timeout_post_stop=0.0,
    )
