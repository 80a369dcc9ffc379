"""The instruments of a feed's venue: those that its adapter has loaded, and later ones."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from nautilus_trader.cache.cache import Cache
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.data.messages import RequestInstrument
from nautilus_trader.model.identifiers import InstrumentId

from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from meshkit.nautilus.definitions import definition
from services.market_data.engine.feed.troubles import Trouble

NOT_THERE = "INSTRUMENT_NOT_AT_VENUE"
MOST = 500
"""Instruments in an answer."""

type Ask = Callable[[str, Any], Awaitable[tuple[list[Any], Trouble | None]]]


class Instruments:
    """Finds and lists instruments; one that is not loaded is asked of the venue."""

    def __init__(self, cache: Cache, ask: Ask | None = None) -> None:
        self._cache = cache
        self._ask = ask
        self._asked: dict[str, asyncio.Task[Trouble | None]] = {}

    def cached(self, instrument_id: str) -> Any:
        """Return a loaded instrument, or None."""
        try:
            return self._cache.instrument(InstrumentId.from_str(instrument_id))
        except ValueError:
            return None

    def add(self, instruments: Iterable[Any]) -> None:
        """Take instruments as loaded."""
        for instrument in instruments:
            self._cache.add_instrument(instrument)

    async def find(self, instrument_id: str) -> tuple[Any, Trouble | None]:
        """Return an instrument, asking the venue when it is not loaded; or why there is none."""
        found = self.cached(instrument_id)
        if found is not None:
            return found, None
        failed = await self._load(instrument_id)
        found = self.cached(instrument_id)
        if found is not None:
            return found, None
        if failed is not None and failed.reason in ("VENUE_RATE_LIMITED", "VENUE_UNREACHABLE"):
            return None, failed
        text = f"The venue has no instrument {instrument_id}. Look at ListFeedInstruments."
        return None, Trouble(NOT_THERE, text)

    async def _load(self, instrument_id: str) -> Trouble | None:
        """Ask the venue once, for however many wait for it."""
        task = self._asked.get(instrument_id)
        if task is None:
            task = asyncio.create_task(self._request(instrument_id))
            self._asked[instrument_id] = task
            task.add_done_callback(lambda _: self._asked.pop(instrument_id, None))
        return await asyncio.shield(task)

    async def _request(self, instrument_id: str) -> Trouble | None:
        if self._ask is None:
            return None
        try:
            wanted = InstrumentId.from_str(instrument_id)
        except ValueError:
            return None
        request = RequestInstrument(wanted, None, None, None, wanted.venue, None, UUID4(), 0, {})
        found, failed = await self._ask("_request_instrument", request)
        self.add(found)
        return failed

    def listed(self, text: str, after: str, limit: int) -> tuple[list[InstrumentDefinition], bool]:
        """Return definitions above ``after`` by id, and whether there are more."""
        part = text.upper()
        ids = sorted(str(each) for each in self._cache.instrument_ids())
        found = [each for each in ids if each > after and part in each.upper()]
        most = min(limit or MOST, MOST)
        page = [self.cached(each) for each in found[:most]]
        return [definition(each) for each in page], len(found) > most
