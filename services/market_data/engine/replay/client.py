"""The Nautilus data client of a replay."""

import asyncio
from typing import Any

from nautilus_trader.common.providers import InstrumentProvider
from nautilus_trader.core.data import Data
from nautilus_trader.live.data_client import LiveMarketDataClient
from nautilus_trader.model.identifiers import ClientId


class ReplayDataClient(LiveMarketDataClient):
    """Hands stored data to the data engine.

    Which series are played is decided by who opens a bar type (``Channels``), so that the engine's
    wishes are met already.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client_id: ClientId,
        msgbus: Any,
        cache: Any,
        clock: Any,
    ) -> None:
        super().__init__(
            loop=loop,
            client_id=client_id,
            venue=None,
            msgbus=msgbus,
            cache=cache,
            clock=clock,
            instrument_provider=InstrumentProvider(),
        )

    def deliver(self, data: Data) -> None:
        """Hand a row to the engine, which is done with it when this returns."""
        self._handle_data(data)

    async def _connect(self) -> None:
        """Do nothing: there is nothing to connect to."""

    async def _disconnect(self) -> None:
        """Do nothing."""

    async def _subscribe_quote_ticks(self, command: Any) -> None:
        """Do nothing: they are played."""

    async def _subscribe_trade_ticks(self, command: Any) -> None:
        """Do nothing: they are played."""

    async def _subscribe_bars(self, command: Any) -> None:
        """Do nothing: they are played."""

    async def _unsubscribe_quote_ticks(self, command: Any) -> None:
        """Do nothing."""

    async def _unsubscribe_trade_ticks(self, command: Any) -> None:
        """Do nothing."""

    async def _unsubscribe_bars(self, command: Any) -> None:
        """Do nothing."""
