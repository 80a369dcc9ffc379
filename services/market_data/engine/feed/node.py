"""The Nautilus node of a feed: a data engine, a cache and one data client."""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

from nautilus_trader.cache.config import CacheConfig
from nautilus_trader.common.config import LoggingConfig
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.live.config import LiveExecEngineConfig, TradingNodeConfig
from nautilus_trader.live.data_client import LiveMarketDataClient
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.identifiers import TraderId

from meshkit.nautilus.venues.building import Built

log = logging.getLogger("market_data.feed")

KEPT = 16
"""Ticks and bars that the cache keeps of each instrument: readers have their own history."""

STOP = 5.0
"""Seconds for a client to disconnect."""


class FeedNode:
    """A node with one data client, which can be made anew.

    The node is never run as a whole: it has nothing to trade, its start fails in silence, and its
    waiting takes a core. The data engine is started, and the client connected by ``Connection``.
    """

    def __init__(self, built: Built, loop: asyncio.AbstractEventLoop) -> None:
        self.built = built
        self.loop = loop
        self._node = TradingNode(node_config(built), loop=loop)
        self._node.add_data_client_factory(built.name, built.factory)
        self.kernel = self._node.kernel
        self.engine = self.kernel.data_engine
        self.cache = self.kernel.cache
        self.msgbus = self.kernel.msgbus
        self.clock = self.kernel.clock
        self._takers: dict[UUID4, Callable[[Any], None]] = {}
        self.client = self._make()
        self.msgbus.deregister("DataEngine.response", self.engine.response)
        self.msgbus.register("DataEngine.response", self._respond)

    def start(self, after: Callable[[], None], on_error: Callable[[Exception], None]) -> None:
        """Start the engine; ``after`` is called after each piece of data."""
        go_direct(self.engine, self.msgbus, self.loop, after, on_error)
        self.engine.start()

    def _make(self) -> LiveMarketDataClient:
        self._node.kernel.logger.info("Making the data client")
        if not self._node._is_built:
            self._node.build()
        else:
            self._node._builder.build_data_clients({self.built.name: self.built.config})
        clients = list(self.engine._clients.values())
        if not clients:
            raise RuntimeError("the adapter made no data client")
        client: LiveMarketDataClient = clients[0]
        return client

    async def renew(self) -> LiveMarketDataClient:
        """Replace the client by a new one that is not connected."""
        await self.drop_client()
        self.engine.deregister_client(self.client)
        self.client = self._make()
        self.client.start()
        return self.client

    async def drop_client(self) -> None:
        """Disconnect the client, as far as it can in time."""
        client: Any = self.client
        try:
            async with asyncio.timeout(STOP):
                await client._disconnect()
        except Exception as error:  # of any adapter's kind: it is thrown away
            log.warning("the client did not disconnect: %r", error)
        await client.cancel_pending_tasks(STOP)
        client._set_connected(False)

    def take_response(self, request: UUID4, taker: Callable[[Any], None]) -> None:
        """Let the answer to a request go to ``taker`` instead of the engine."""
        self._takers[request] = taker

    def forget_response(self, request: UUID4) -> None:
        """End ``take_response``."""
        self._takers.pop(request, None)

    def _respond(self, response: Any) -> None:
        taker = self._takers.get(response.correlation_id)
        if taker is None:
            self.engine.response(response)
        else:
            taker(response)


def node_config(built: Built) -> TradingNodeConfig:
    """Return the config of a node that has one data client and nothing else."""
    return TradingNodeConfig(
        trader_id=TraderId("FEED-001"),
        logging=LoggingConfig(log_level="INFO", log_colors=False, print_config=False),
        cache=CacheConfig(tick_capacity=KEPT, bar_capacity=KEPT),
        exec_engine=LiveExecEngineConfig(reconciliation=False),
        data_clients={built.name: built.config},
        timeout_post_stop=0.0,
    )


def go_direct(
    engine: Any,
    msgbus: Any,
    loop: asyncio.AbstractEventLoop,
    after: Callable[[], None],
    on_error: Callable[[Exception], None],
) -> None:
    """Let the engine handle data where it is sent, without its queue.

    The queue costs a turn of the loop and a task's wake-up for each tick, and here nothing
    trades. What comes from another thread is handled on the loop's.
    """
    thread = threading.get_ident()
    handle = engine._handle_data

    def process(data: Any) -> None:
        if threading.get_ident() != thread:
            loop.call_soon_threadsafe(process, data)
            return
        try:
            handle(data)
        except Exception as error:  # the engine would end the process
            on_error(error)
        after()

    msgbus.deregister("DataEngine.process", engine.process)
    msgbus.register("DataEngine.process", process)
    engine._data_enqueuer = _Direct(process)


class _Direct:
    """In place of the engine's queue of data, for the bars that it makes itself."""

    def __init__(self, process: Callable[[Any], None]) -> None:
        self.enqueue = process

    def cancel_pending_tasks(self) -> None:
        """Do nothing: there are none."""
