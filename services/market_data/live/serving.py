"""The live half put together: what ``main`` opens and closes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import redis.asyncio

from mesh.marketdata.v1 import market_data_service_pb2 as rpc
from mesh.marketdata.v1.market_data_service_pb2_grpc import (
    MarketDataServiceServicer,
    add_MarketDataServiceServicer_to_server,
)
from meshkit.database import Database
from meshkit.server import MeshServer
from services.market_data.config import Config
from services.market_data.live import wire
from services.market_data.live.hub import LiveHub
from services.market_data.live.keeping import Keeper
from services.market_data.live.metrics import FeedMetrics
from services.market_data.live.ports import FeedSpec, Process, Recorder, Starter
from services.market_data.live.process import Processes
from services.market_data.live.taps import Taps
from services.market_data.live.ticks import TickStreams
from services.market_data.live.venues import Venues

MARKET_DATA = "mesh.marketdata.v1.MarketDataService"
FEEDS = "mesh.marketdata.v1.FeedService"


@asynccontextmanager
async def open_hub(
    database: Database,
    client: redis.asyncio.Redis,
    server: MeshServer,
    config: Config,
    start: Starter,
    recorder: Recorder,
) -> AsyncIterator[LiveHub]:
    """Give the hub of all feeds, with what goes on beside it, until the block ends."""
    async with AsyncExitStack() as stack:
        taps = Taps(recorder)
        if config.ticks:
            ticks = await stack.enter_async_context(TickStreams(client, config.ticks))
            taps = Taps(recorder, [ticks])
        hub = LiveHub(database, start, config.catalog, config.live, recorder, taps)
        metrics = FeedMetrics(lambda: [feed.live for feed in hub.feeds.values()])
        stack.enter_context(metrics.registered())
        await stack.enter_async_context(Keeper(database, hub, server.draining))
        yield await stack.enter_async_context(hub)


def starter(venues: Venues, logs: Path, environ: Mapping[str, str]) -> Starter:
    """Return what starts the processes of feeds; each gets the credentials of its own venue."""

    async def start(
        spec: FeedSpec,
    ) -> tuple[Process, asyncio.StreamReader, asyncio.StreamWriter]:
        info = await venues.get(spec.venue)
        names = frozenset(name for each in info.credentials for name in each.environment)
        return await Processes(logs, environ, names)(spec)

    return start


def add_market_data(servicer: MarketDataServiceServicer, server: MeshServer) -> None:
    """Register the market-data service; the responses of a watch are serialized already."""
    add_MarketDataServiceServicer_to_server(servicer, server.grpc)
    watch = grpc.unary_stream_rpc_method_handler(
        servicer.WatchMarketData,
        request_deserializer=rpc.WatchMarketDataRequest.FromString,
        response_serializer=wire.serialize,
    )
    server.grpc.add_registered_method_handlers(MARKET_DATA, {"WatchMarketData": watch})
