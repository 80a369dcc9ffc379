"""Watches of live data over a real gRPC server: they go on where they were."""

from collections.abc import AsyncIterator

import grpc
import pytest

from mesh.marketdata.v1 import live_pb2 as pb
from meshclient.batches import Batch
from meshclient.errors import MeshClientError
from meshclient.market_data import MarketData
from meshclient.watching import Watch
from unit.meshclient.live_server import ID, Service, item, message, quote, quotes, serve

EXPIRED = (grpc.StatusCode.UNAUTHENTICATED, "Jwt is expired")
AWAY = (grpc.StatusCode.UNAVAILABLE, "no healthy upstream")
GONE = (grpc.StatusCode.NOT_FOUND, "no such subscription")


@pytest.fixture
async def server() -> AsyncIterator[tuple[Service, MarketData]]:
    """Give a scripted service and the calls to it."""
    async for each in serve():
        yield each


async def _names(watch: Watch, seen: list[str]) -> None:
    async for each in watch:
        seen.append(type(each).__name__)


async def test_mc_14_a_watch_survives_expiry_loss_and_drain(
    server: tuple[Service, MarketData],
) -> None:
    """MC-14: each break resumes after the last cursor, and is told to who asks."""
    service, data = server
    service.script = [
        [message("a", pb.MarketDataSnapshot(item=item(pb.ITEM_STATE_LIVE))), EXPIRED],
        [message("a"), message("b", quote("1.1", "1.2")), AWAY],
        [message("c", quote("1.3", "1.4"))],
        [message("d", pb.FeedGap(cause=pb.GAP_CAUSE_FEED_RESTARTED)), GONE],
    ]
    breaks: list[MeshClientError] = []
    watch = data.watch(ID, broken=breaks.append)
    seen: list[str] = []
    with pytest.raises(MeshClientError, match="no such subscription"):
        await _names(watch, seen)
    assert seen == ["MarketDataSnapshot", "MarketDataUpdate", "MarketDataUpdate", "FeedGap"]
    assert service.cursors == ["", "a", "b", "c"]
    assert [fault.reason for fault in breaks] == [
        *("TOKEN_EXPIRED", "SERVICE_UNAVAILABLE", "DRAINING")
    ]
    assert watch.cursor == "d"


async def test_mc_14_a_watch_is_left_and_taken_up_again(
    server: tuple[Service, MarketData],
) -> None:
    """MC-14: the cursor of a watch that was closed is where another one goes on."""
    service, data = server
    service.script = [
        [message("a", quote("1.1", "1.2")), message("b", quote("1.3", "1.4"))],
        [message("c"), GONE],
    ]
    async with data.watch(ID) as watch:
        first = await anext(watch)
        assert watch.cursor == ""  # all of the message must have been taken
        await anext(watch)
        assert watch.cursor == "a"
    assert isinstance(first, pb.MarketDataUpdate)
    again = data.watch(ID, cursor=watch.cursor)
    with pytest.raises(MeshClientError):
        await anext(again)
    assert service.cursors == ["", "a"]


async def test_mc_14_columns_are_batches(server: tuple[Service, MarketData]) -> None:
    """MC-14: what came as columns is decoded when it is looked at."""
    service, data = server
    service.script = [[message("a", quotes((1, 2))), GONE]]
    async with data.watch(ID, columns=True) as watch:
        batch = await anext(watch)
    assert isinstance(batch, Batch)
    assert batch.column("ask_price").to_pylist() == [2]
