"""What both data clients share: the connection, instruments, and the commands of Nautilus."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pandas as pd
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import LiveClock, MessageBus
from nautilus_trader.common.providers import InstrumentProvider
from nautilus_trader.data import messages
from nautilus_trader.live.data_client import LiveMarketDataClient
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import BookType
from nautilus_trader.model.identifiers import ClientId, InstrumentId
from nautilus_trader.model.instruments import Instrument

from mesh.marketdata.v1 import marketdata_pb2 as pb
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from meshclient.client import MeshClient
from meshclient.errors import MeshClientError
from meshkit.nautilus.instruments import to_nautilus
from meshnautilus import history
from meshnautilus.channels import Channel
from meshnautilus.config import MeshDataClientConfig
from meshnautilus.seam import Seam

PASSING = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
"""Codes of errors that pass by themselves."""
RETRY_S = 1.0
LATE = 3
"""How often a venue is asked again whose history does not reach its own live data yet."""
OF_VENUES = {pb.DATA_KIND_TRADE_TICK, pb.DATA_KIND_BAR}
"""Kinds that venues have a history of."""


class MeshDataClient(LiveMarketDataClient):
    """Data of the mesh for one node; see ``MeshDataClientConfig``."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        name: str,
        config: MeshDataClientConfig,
        msgbus: MessageBus,
        cache: Cache,
        clock: LiveClock,
    ) -> None:
        super().__init__(
            loop=loop,
            client_id=ClientId(name),
            venue=None,  # it serves every venue
            msgbus=msgbus,
            cache=cache,
            clock=clock,
            instrument_provider=InstrumentProvider(),
        )
        self._config = config
        self._mesh: MeshClient | None = None
        self.also: set[str] = set()
        """Instruments that are wanted when it connects; one that there is not is no fault."""
        self.opener: Callable[[], MeshClient] = self._of_profile
        """Opens the connection; by default to what the config's profile says."""

    @property
    def mesh(self) -> MeshClient:
        """The connection to the mesh."""
        if self._mesh is None:
            self._mesh = self.opener()
        return self._mesh

    def _of_profile(self) -> MeshClient:
        return MeshClient.from_profile(self._config.profile, project=self._config.project)

    async def close(self) -> None:
        """Close the connection."""
        if self._mesh is not None:
            await self._mesh.close()
            self._mesh = None

    # -- instruments

    @abstractmethod
    async def find_instrument(self, instrument_id: str) -> InstrumentDefinition:
        """Return a definition; raises ``MeshClientError`` when there is none."""

    @abstractmethod
    async def all_instruments(self) -> list[InstrumentDefinition]:
        """Return every definition that there is."""

    async def need(self, instrument_id: InstrumentId) -> Instrument:
        """Have an instrument in the node's cache before data of it comes."""
        found = self._cache.instrument(instrument_id)
        if found is None:
            found = self.take(await self.find_instrument(str(instrument_id)))
        return found

    async def try_need(self, instrument_id: InstrumentId) -> None:
        """Have an instrument in the node's cache; say so where there is none."""
        try:
            await self.need(instrument_id)
        except MeshClientError as error:
            if error.code in PASSING:
                raise
            self._log.error(f"There is no instrument {instrument_id}: {error}")

    async def load(self) -> None:
        """Load the instruments of the config, and those of ``also`` that there are."""
        for instrument_id in self._config.instrument_ids:
            self.take(await self.find_instrument(instrument_id))
        for instrument_id in sorted(self.also):
            await self.try_need(InstrumentId.from_str(instrument_id))

    def take(self, definition: InstrumentDefinition) -> Instrument:
        """Hand an instrument to the node."""
        instrument = to_nautilus(definition)
        self._instrument_provider.add(instrument)
        self._handle_data(instrument)
        # The engine may be a queue away; who subscribes now must find it.
        if self._cache.instrument(instrument.id) is None:
            self._cache.add_instrument(instrument)
        return instrument

    # -- channels

    @abstractmethod
    async def want(self, channel: Channel) -> None:
        """Begin to get data of a channel."""

    @abstractmethod
    async def unwant(self, channel: Channel) -> None:
        """Stop getting it."""

    async def _want(self, kind: int, instrument_id: InstrumentId, bar_type: str = "") -> None:
        await self.need(instrument_id)
        await self.want(Channel(kind, str(instrument_id), bar_type))

    async def _unwant(self, kind: int, instrument_id: InstrumentId, bar_type: str = "") -> None:
        await self.unwant(Channel(kind, str(instrument_id), bar_type))

    # -- subscriptions of Nautilus

    async def _subscribe_instrument(self, command: messages.SubscribeInstrument) -> None:
        await self.need(command.instrument_id)

    async def _subscribe_instruments(self, command: messages.SubscribeInstruments) -> None:
        for definition in await self.all_instruments():
            self.take(definition)

    async def _subscribe_quote_ticks(self, command: messages.SubscribeQuoteTicks) -> None:
        await self._want(pb.DATA_KIND_QUOTE_TICK, command.instrument_id)

    async def _subscribe_trade_ticks(self, command: messages.SubscribeTradeTicks) -> None:
        await self._want(pb.DATA_KIND_TRADE_TICK, command.instrument_id)

    async def _subscribe_bars(self, command: messages.SubscribeBars) -> None:
        bar_type: BarType = command.bar_type
        await self._want(pb.DATA_KIND_BAR, bar_type.instrument_id, str(bar_type))

    async def _subscribe_order_book_deltas(self, command: messages.SubscribeOrderBook) -> None:
        if command.book_type == BookType.L3_MBO:
            self._log.warning(f"{command.instrument_id}: the book comes as the feed has it")
        await self._want(pb.DATA_KIND_ORDER_BOOK_DELTA, command.instrument_id)

    async def _subscribe_order_book_depth(self, command: messages.SubscribeOrderBook) -> None:
        await self._want(pb.DATA_KIND_ORDER_BOOK_DEPTH10, command.instrument_id)

    async def _subscribe_mark_prices(self, command: messages.SubscribeMarkPrices) -> None:
        await self._want(pb.DATA_KIND_MARK_PRICE, command.instrument_id)

    async def _subscribe_index_prices(self, command: messages.SubscribeIndexPrices) -> None:
        await self._want(pb.DATA_KIND_INDEX_PRICE, command.instrument_id)

    async def _subscribe_funding_rates(self, command: messages.SubscribeFundingRates) -> None:
        await self._want(pb.DATA_KIND_FUNDING_RATE, command.instrument_id)

    async def _unsubscribe_instrument(self, command: messages.UnsubscribeInstrument) -> None:
        """Do nothing: definitions do not stream."""

    async def _unsubscribe_instruments(self, command: messages.UnsubscribeInstruments) -> None:
        """Do nothing: definitions do not stream."""

    async def _unsubscribe_quote_ticks(self, command: messages.UnsubscribeQuoteTicks) -> None:
        await self._unwant(pb.DATA_KIND_QUOTE_TICK, command.instrument_id)

    async def _unsubscribe_trade_ticks(self, command: messages.UnsubscribeTradeTicks) -> None:
        await self._unwant(pb.DATA_KIND_TRADE_TICK, command.instrument_id)

    async def _unsubscribe_bars(self, command: messages.UnsubscribeBars) -> None:
        bar_type: BarType = command.bar_type
        await self._unwant(pb.DATA_KIND_BAR, bar_type.instrument_id, str(bar_type))

    async def _unsubscribe_order_book_deltas(self, command: messages.UnsubscribeOrderBook) -> None:
        await self._unwant(pb.DATA_KIND_ORDER_BOOK_DELTA, command.instrument_id)

    async def _unsubscribe_order_book_depth(self, command: messages.UnsubscribeOrderBook) -> None:
        await self._unwant(pb.DATA_KIND_ORDER_BOOK_DEPTH10, command.instrument_id)

    async def _unsubscribe_mark_prices(self, command: messages.UnsubscribeMarkPrices) -> None:
        await self._unwant(pb.DATA_KIND_MARK_PRICE, command.instrument_id)

    async def _unsubscribe_index_prices(self, command: messages.UnsubscribeIndexPrices) -> None:
        await self._unwant(pb.DATA_KIND_INDEX_PRICE, command.instrument_id)

    async def _unsubscribe_funding_rates(self, command: messages.UnsubscribeFundingRates) -> None:
        await self._unwant(pb.DATA_KIND_FUNDING_RATE, command.instrument_id)

    # -- requests of Nautilus

    async def _request_instrument(self, request: messages.RequestInstrument) -> None:
        instrument = self.take(await self.find_instrument(str(request.instrument_id)))
        self._handle_instrument(instrument, request.id, request.start, request.end, request.params)

    async def _request_instruments(self, request: messages.RequestInstruments) -> None:
        found = [self.take(definition) for definition in await self.all_instruments()]
        self._handle_instruments(
            request.venue, found, request.id, request.start, request.end, request.params
        )

    async def _request_quote_ticks(self, request: messages.RequestQuoteTicks) -> None:
        instrument_id = request.instrument_id
        channel = Channel(pb.DATA_KIND_QUOTE_TICK, str(instrument_id))
        await self._tell(channel, request, partial(self._handle_quote_ticks, instrument_id))

    async def _request_trade_ticks(self, request: messages.RequestTradeTicks) -> None:
        instrument_id = request.instrument_id
        channel = Channel(pb.DATA_KIND_TRADE_TICK, str(instrument_id))
        await self._tell(channel, request, partial(self._handle_trade_ticks, instrument_id))

    async def _request_bars(self, request: messages.RequestBars) -> None:
        bar_type: BarType = request.bar_type
        channel = Channel(pb.DATA_KIND_BAR, str(bar_type.instrument_id), str(bar_type))
        await self._tell(channel, request, partial(self._handle_bars, bar_type))

    async def _tell(self, channel: Channel, request: Any, handle: Callable[..., None]) -> None:
        """Tell the history that a request asks for."""
        await self.need(InstrumentId.from_str(channel.instrument_id))
        async with self.seam(channel, request) as seam:
            rows, seam.end = await self._history(channel, request, seam.end)
            for _ in range(LATE if channel.kind in OF_VENUES else 0):
                if seam.reached_by(rows):
                    break
                await asyncio.sleep(RETRY_S)
                rows, seam.end = await self._history(channel, request, refresh=True)
            seam.known += rows
            until = pd.Timestamp(seam.end, unit="ns", tz="UTC")  # Nautilus cuts what is later
            handle(rows, request.id, request.start, until, request.params)

    @asynccontextmanager
    async def seam(self, channel: Channel, request: Any) -> AsyncIterator[Seam]:
        """Hold live rows of a channel while its history is told."""
        yield Seam()  # nothing comes in between where data waits for requests

    async def _history(
        self, channel: Channel, request: Any, now: int = 0, refresh: bool = False
    ) -> tuple[list[Any], int]:
        """Return what there is, and up to when (unix ns): ``now`` when it is given.

        While the mesh is away it is waited for: a hole is not told.
        """
        config = self._config
        while True:
            wanted = history.Wanted.of(channel, request, now or self._clock.timestamp_ns())
            try:
                if config.fetch_history and config.feed_id and not config.replay:
                    await history.fetch(self.mesh, config.feed_id, wanted, self._log, refresh)
                return await history.read(self.mesh, wanted), wanted.end
            except MeshClientError as error:
                if error.code not in PASSING:
                    self._log.error(f"There is no history of {channel}: {error}")
                    return [], wanted.end
                self._log.warning(f"The history of {channel} is waited for: {error}")
                await asyncio.sleep(error.retry_after or RETRY_S)
