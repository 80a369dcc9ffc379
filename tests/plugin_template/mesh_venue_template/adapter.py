"""Config, instruments, data client and factory of the template venue, which counts."""

import asyncio
import os
from typing import Any

from nautilus_trader.common.config import InstrumentProviderConfig, PositiveInt
from nautilus_trader.common.providers import InstrumentProvider
from nautilus_trader.config import LiveDataClientConfig
from nautilus_trader.live.data_client import LiveMarketDataClient
from nautilus_trader.live.factories import LiveDataClientFactory
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.identifiers import ClientId, InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import Equity
from nautilus_trader.model.objects import Currency, Price, Quantity

VENUE = Venue("TEMPLATE")


class TemplateDataClientConfig(LiveDataClientConfig, frozen=True):
    """
    Configuration for ``TemplateDataClient`` instances.

    Parameters
    ----------
    api_key : str, optional
        The key. If ``None`` then will source the `TEMPLATE_API_KEY` environment variable.
    symbols : tuple[str, ...], default ('AAA', 'BBB')
        The symbols that the venue offers.
    interval_ms : PositiveInt, default 10
        The time between two quotes of an instrument.

    """

    api_key: str | None = None
    symbols: tuple[str, ...] = ("AAA", "BBB")
    interval_ms: PositiveInt = 10


class TemplateInstrumentProvider(InstrumentProvider):
    """Gives the definitions of the instruments; a real one asks the venue."""

    def __init__(self, symbols: tuple[str, ...], config: InstrumentProviderConfig) -> None:
        super().__init__(config=config)
        self._symbols = symbols

    async def load_all_async(self, filters: dict[str, Any] | None = None) -> None:
        """Load every instrument of the venue."""
        for symbol in self._symbols:
            self.add(_instrument(symbol))


class TemplateDataClient(LiveMarketDataClient):
    """Counts for each quote that is subscribed to; a real one reads a socket of the venue."""

    def __init__(
        self, config: TemplateDataClientConfig, name: str | None, api_key: str | None, **parts: Any
    ) -> None:
        provider = TemplateInstrumentProvider(config.symbols, config.instrument_provider)
        super().__init__(
            client_id=ClientId(name or VENUE.value),
            venue=VENUE,
            instrument_provider=provider,
            **parts,
        )
        self._provider = provider
        self._api_key = api_key  # a real client signs its requests with it
        self._interval = config.interval_ms / 1000
        self._counting: dict[InstrumentId, asyncio.Task[Any]] = {}

    async def _connect(self) -> None:
        await self._provider.initialize()
        for instrument in self._provider.list_all():
            self._handle_data(instrument)

    async def _disconnect(self) -> None:
        while self._counting:
            self._counting.popitem()[1].cancel()

    async def _subscribe_quote_ticks(self, command: Any) -> None:
        instrument = self._provider.find(command.instrument_id)
        if instrument is None:
            self._log.error(f"The venue has no {command.instrument_id}")
            return
        if task := self.create_task(self._count(instrument.id)):
            self._counting[instrument.id] = task

    async def _unsubscribe_quote_ticks(self, command: Any) -> None:
        if task := self._counting.pop(command.instrument_id, None):
            task.cancel()

    async def _count(self, instrument_id: InstrumentId) -> None:
        count = 0
        while True:
            count += 1
            now = self._clock.timestamp_ns()
            bid, ask = Price(count, 2), Price(count + 1, 2)
            one = Quantity(1, 0)
            self._handle_data(QuoteTick(instrument_id, bid, ask, one, one, now, now))
            await asyncio.sleep(self._interval)

    async def _subscribe_instruments(self, command: Any) -> None:
        """Nothing to do: all are sent when it connects."""

    async def _unsubscribe_instruments(self, command: Any) -> None:
        """Nothing to do."""


class TemplateDataClientFactory(LiveDataClientFactory):
    """Makes the client; the one place that reads the secret."""

    @staticmethod
    def create(  # type: ignore[override] # Nautilus calls it with the config of the adapter
        loop: Any, name: str, config: TemplateDataClientConfig, msgbus: Any, cache: Any, clock: Any
    ) -> TemplateDataClient:
        """Return a new client."""
        api_key = config.api_key or os.environ.get("TEMPLATE_API_KEY")
        parts = {"loop": loop, "msgbus": msgbus, "cache": cache, "clock": clock}
        return TemplateDataClient(config, name, api_key, **parts)


def _instrument(symbol: str) -> Equity:
    return Equity(
        instrument_id=InstrumentId(Symbol(symbol), VENUE),
        raw_symbol=Symbol(symbol),
        currency=Currency.from_str("USD"),
        price_precision=2,
        price_increment=Price.from_str("0.01"),
        lot_size=Quantity(1, 0),
        ts_event=0,
        ts_init=0,
    )
