"""RPC methods of the feed service that tell of venues."""

from typing import Any

from mesh.marketdata.v1 import feed_service_pb2 as rpc
from meshkit.paging import page
from services.market_data.live import convert_venues as convert
from services.market_data.live.venues import Venues


class VenueMethods:
    """Unpack, call, pack; a part of ``FeedServicer``."""

    def __init__(self, venues: Venues) -> None:
        self._venues = venues

    async def ListVenues(self, request: rpc.ListVenuesRequest, _: Any) -> Any:
        """Return venues by name."""
        wanted = page(request)
        after = wanted.after[0] if wanted.after else ""
        told = [
            each
            for each in await self._venues.list()
            if each.venue > after and (each.data or not request.data)
        ]
        rows, token = wanted.cut(told, key=lambda each: (each.venue,))
        return rpc.ListVenuesResponse(
            venues=[convert.venue(each) for each in rows], next_page_token=token
        )

    async def GetVenue(self, request: rpc.GetVenueRequest, _: Any) -> Any:
        """Return a venue."""
        told = await self._venues.get(request.venue)
        return rpc.GetVenueResponse(venue=convert.venue(told))
