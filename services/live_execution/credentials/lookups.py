"""The one look-up in another service: which secrets an adapter takes, with the caller's token."""

from typing import Any

from mesh.marketdata.v1.feed_service_pb2 import GetVenueRequest
from mesh.marketdata.v1.feed_service_pb2_grpc import FeedServiceStub
from services.live_execution.credentials.domain import SecretFields


class AdapterLookup:
    """Asks market-data about adapters."""

    def __init__(self, feeds: FeedServiceStub) -> None:
        self._feeds: Any = feeds  # typed for blocking calls, and these are asyncio's

    async def secrets(self, adapter: str) -> SecretFields:
        """Return the secrets of an adapter; raises ``VENUE_NOT_FOUND`` as market-data does.

        Of the adapters that Nautilus brings an account needs all of them. A plug-in may know ones
        that can be left out: it says which market data, and so surely orders, cannot do without.
        """
        venue = (await self._feeds.GetVenue(GetVenueRequest(venue=adapter))).venue
        whole = venue.execution and not venue.plugin
        return SecretFields(
            venue.venue,
            {each.field for each in venue.credentials},
            {each.field for each in venue.credentials if each.required or whole},
        )
