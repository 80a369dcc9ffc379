"""ListVenues and GetVenue over a real channel, and checks of configs in a child process."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from integration.failures import failure
from integration.issuer import Signer
from mesh.marketdata.v1 import feed_service_pb2 as rpc
from mesh.marketdata.v1.feed_service_pb2_grpc import (
    FeedServiceServicer,
    FeedServiceStub,
    add_FeedServiceServicer_to_server,
)
from meshkit.channel import channel
from meshkit.errors import InvalidArgument
from meshkit.nautilus.venues.errors import VenueNotFound, VenueWithoutData
from meshkit.server import MeshServer
from services.market_data.live.venues import Venues
from services.market_data.venue_servicer import VenueMethods

SERVICE = "mesh.marketdata.v1.FeedService"


class VenuesOnly(VenueMethods, FeedServiceServicer):
    """The part of the feed service that tells of venues."""


@pytest.fixture
async def stub(tmp_path: Path) -> AsyncIterator[Any]:
    """Give a stub of a service that tells of venues."""
    feeds: Any = VenuesOnly  # mypy holds the methods of others for missing
    signer, listen = Signer(), f"unix:{tmp_path}/v.sock"
    async with MeshServer(name="market-data", listen=listen, keys=signer, grace=1.0) as server:
        add_FeedServiceServicer_to_server(feeds(Venues()), server.grpc)
        await server.start(SERVICE)
        async with channel(listen, SERVICE, token=signer.token("data.read")) as to:
            yield FeedServiceStub(to)


async def test_venues_are_listed_page_by_page(stub: Any) -> None:
    """MD-60: every venue comes once, by name, over pages."""
    names: list[str] = []
    token = ""
    while True:
        reply = await stub.ListVenues(rpc.ListVenuesRequest(page_size=7, page_token=token))
        names += [venue.venue for venue in reply.venues]
        token = reply.next_page_token
        if not token:
            break
    assert names == sorted(set(names))
    assert {"BINANCE", "BYBIT", "INTERACTIVE_BROKERS", "REPLAY", "SANDBOX"} <= set(names)


async def test_venues_with_data(stub: Any) -> None:
    """MD-60: the filter leaves those that can be a feed."""
    reply = await stub.ListVenues(rpc.ListVenuesRequest(data=True))
    assert all(venue.data for venue in reply.venues)
    assert "SANDBOX" not in {venue.venue for venue in reply.venues}


async def test_a_venue(stub: Any) -> None:
    """MD-60: a venue is told of with its form, credentials and addresses."""
    venue = (await stub.GetVenue(rpc.GetVenueRequest(venue="BINANCE"))).venue
    assert (venue.data, venue.execution, venue.available) == (True, True, True)
    assert {"base_url_http", "base_url_ws"} <= set(venue.url_fields)
    assert {c.field for c in venue.credentials} == {"api_key", "api_secret"}
    assert '"account_type"' in venue.config_schema
    replay = (await stub.GetVenue(rpc.GetVenueRequest(venue="REPLAY"))).venue
    assert '"speed"' in replay.config_schema


async def test_an_unknown_venue(stub: Any) -> None:
    """MD-53: the error lists the known."""
    told = await failure(stub.GetVenue(rpc.GetVenueRequest(venue="BYBITT")))
    assert (told.code, told.reason) == ("NOT_FOUND", "VENUE_NOT_FOUND")
    assert "Did you mean BYBIT?" in told.message
    assert "REPLAY" in told.metadata["known"].split(",")


async def test_configs_are_checked_in_a_child() -> None:
    """MD-51: good and bad configs come back from the child as they went, or typed."""
    venues = Venues()
    assert await venues.check("BINANCE", "") == {}
    assert await venues.check("REPLAY", '{"speed": 10}') == {"speed": 10}
    for text in ("{", "[]", "null", '{"speed": NaN}', "[" * 5_000):
        with pytest.raises(InvalidArgument) as caught:
            await venues.check("REPLAY", text)
        assert caught.value.violations[0].field == "config_json"
    with pytest.raises(InvalidArgument) as caught:
        await venues.check("BINANCE", '{"us": 1}')
    assert caught.value.violations[0].field == "config_json.us"
    with pytest.raises(VenueNotFound):
        await venues.check("NOWHERE", "{}")
    with pytest.raises(VenueWithoutData):
        await venues.check("SANDBOX", "{}")
