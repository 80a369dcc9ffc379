"""The live data client of nodes against a scripted service."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import pytest
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import LiveClock, MessageBus
from nautilus_trader.model.identifiers import TraderId

from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1 import market_data_service_pb2 as rpc
from mesh.marketdata.v1 import market_data_service_pb2_grpc as stubs
from mesh.marketdata.v1.marketdata_pb2 import DATA_KIND_QUOTE_TICK
from meshclient.connection import Connection, open_channel
from meshclient.market_data import MarketData
from meshclient.tokens import Token, TokenKeeper
from meshnautilus.channels import Channel
from meshnautilus.config import MeshDataClientConfig
from meshnautilus.live import TOPIC_GAP, LiveMeshDataClient

FIRST, SECOND = (Channel(DATA_KIND_QUOTE_TICK, f"{name}.SIM") for name in "AB")
NAME = "mesh.marketdata.v1.MarketDataService"


_Base: Any = stubs.MarketDataServiceServicer  # its stub is abstract; three methods are enough here


class Service(_Base):
    """Notes what is subscribed to; answers when ``answer`` is set; ``script`` ends watches."""

    def __init__(self) -> None:
        self.asked, self.answer = asyncio.Event(), asyncio.Event()
        self.names: list[str] = []
        self.cursors: asyncio.Queue[str] = asyncio.Queue()
        self.script: list[Any] = []

    async def CreateSubscription(self, request: Any, context: Any) -> Any:  # noqa: N802 # the contract's
        """Note its channels."""
        self.names += [channel.instrument_id for channel in request.channels]
        self.asked.set()
        await self.answer.wait()
        made = pb.Subscription(subscription_id="11111111-1111-4111-8111-111111111111")
        return rpc.CreateSubscriptionResponse(subscription=made)

    async def UpdateSubscription(self, request: Any, context: Any) -> Any:  # noqa: N802 # the contract's
        """Note the channels added."""
        self.names += [channel.instrument_id for channel in request.add_channels]
        return rpc.UpdateSubscriptionResponse()

    async def WatchMarketData(self, request: Any, context: Any) -> Any:  # noqa: N802 # the contract's
        """Send a gap; end with the next code of the script, or stay."""
        await self.cursors.put(request.after_cursor)
        gap = rpc.WatchMarketDataItem(gap=pb.FeedGap(message="a hole"))
        yield rpc.WatchMarketDataResponse(items=[gap], cursor="c1")
        if self.script:
            await context.abort(self.script.pop(0), "No.")
        await asyncio.Event().wait()


@pytest.fixture
async def service() -> Service:
    """Give a scripted service."""
    return Service()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[LiveMeshDataClient]:
    """Give a client of the service; it has no node."""
    server = grpc.aio.server()
    stubs.add_MarketDataServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = open_channel(f"127.0.0.1:{port}", NAME)

    async def exchange() -> Token:
        return Token("token", expires_at=2e12)

    clock = LiveClock()
    bus = MessageBus(TraderId("T-1"), clock)
    config = MeshDataClientConfig(feed_id="sim")
    made = LiveMeshDataClient(asyncio.get_running_loop(), "MESH", config, bus, Cache(), clock)
    calls = MarketData(Connection(TokenKeeper(exchange)), channel, "")
    made._mesh = SimpleNamespace(market_data=calls)  # type: ignore[assignment]  # no profile here
    yield made
    if made._watching is not None:
        made._watching.cancel()
    await made.cancel_pending_tasks()
    await channel.close()
    await server.stop(None)


async def test_what_is_wanted_during_a_call_is_subscribed_to_after_it(
    client: LiveMeshDataClient, service: Service
) -> None:
    """A channel that is wanted while another is being subscribed to is not forgotten."""
    async with asyncio.timeout(20):
        first = asyncio.create_task(client.want(FIRST))
        await service.asked.wait()
        second = asyncio.create_task(client.want(SECOND))
        await asyncio.sleep(0)
        service.answer.set()
        await asyncio.gather(first, second)
    assert service.names == ["A.SIM", "B.SIM"]


async def test_a_broken_stream_goes_on_from_its_cursor(
    client: LiveMeshDataClient, service: Service
) -> None:
    """After a fault that the client of the mesh gives up on, the watch goes on where it was, and
    a handler that fails does not end it.
    """
    told: list[Any] = []

    def fail(gap: Any) -> None:
        told.append(gap)
        raise ValueError("a handler's fault")

    client._msgbus.subscribe(TOPIC_GAP, fail)
    service.script = [grpc.StatusCode.INTERNAL]
    service.answer.set()
    async with asyncio.timeout(20):
        await client.want(FIRST)
        assert await service.cursors.get() == ""
        assert await service.cursors.get() == "c1"
    assert told
