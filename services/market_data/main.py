"""Composition root of the market-data service."""

import os
from contextlib import AsyncExitStack
from pathlib import Path

import redis.asyncio

from mesh.marketdata.v1.feed_service_pb2_grpc import add_FeedServiceServicer_to_server
from mesh.marketdata.v1.history_job_service_pb2_grpc import (
    add_HistoryJobServiceServicer_to_server,
)
from mesh.marketdata.v1.history_service_pb2_grpc import add_HistoryServiceServicer_to_server
from mesh.marketdata.v1.instrument_service_pb2_grpc import add_InstrumentServiceServicer_to_server
from meshkit.database import Database
from meshkit.publisher import Publisher
from meshkit.redis_client import open_redis
from meshkit.server import MeshServer, run
from meshkit.watch import WatchHub
from services.market_data import events
from services.market_data.config import Config
from services.market_data.feed_servicer import FeedServicer
from services.market_data.file_store import FileStore
from services.market_data.finding import Finder
from services.market_data.history_job_servicer import HistoryJobServicer
from services.market_data.history_servicer import HistoryServicer
from services.market_data.importing import Importing
from services.market_data.instrument_servicer import InstrumentServicer
from services.market_data.live.hub import LiveHub
from services.market_data.live.ports import Starter
from services.market_data.live.recording.serving import kept
from services.market_data.live.recording.store import RecordingStore
from services.market_data.live.serving import (
    FEEDS,
    MARKET_DATA,
    add_market_data,
    open_hub,
    starter,
)
from services.market_data.live.venues import Venues
from services.market_data.market_data_servicer import MarketDataServicer
from services.market_data.ranges import RangeStore
from services.market_data.store import InstrumentStore, JobStore
from services.market_data.uploads import Uploads
from services.market_data.writing import Writer

MIGRATIONS = Path(__file__).parent / "migrations"
HISTORY = "mesh.marketdata.v1.HistoryService"
HISTORY_JOBS = "mesh.marketdata.v1.HistoryJobService"
INSTRUMENTS = "mesh.marketdata.v1.InstrumentService"


def main() -> None:
    """Run the service until it is told to stop."""
    run("market-data", serve, level=os.environ.get("MESH_LOG_LEVEL", "INFO"))


async def serve() -> None:
    """Open everything, serve, close in the opposite order."""
    config = Config.read(os.environ)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database.open(config.database_url, schema="market_data", migrations=MIGRATIONS)
        )
        client = await stack.enter_async_context(open_redis(config.redis_url))
        await stack.enter_async_context(Publisher(database, client))
        server = await stack.enter_async_context(
            MeshServer(
                name="market-data",
                listen=config.listen,
                keys=config.jwks_url,
                http_listen=config.http_listen,
            )
        )
        hub = await stack.enter_async_context(
            WatchHub(database, client, [events.FACTS], draining=server.draining)
        )
        finder = await add_services(stack, server, database, hub, config)
        venues = Venues()
        start = starter(venues, config.logs, os.environ)
        await add_live(stack, server, database, client, hub, config, finder, venues, start)
        await server.start(HISTORY, INSTRUMENTS, FEEDS, MARKET_DATA, HISTORY_JOBS)
        await server.wait()


async def add_services(
    stack: AsyncExitStack, server: MeshServer, database: Database, hub: WatchHub, config: Config
) -> Finder:
    """Register the services of stored data, after what an earlier life left is mended."""
    files, jobs, instruments = FileStore(), JobStore(), InstrumentStore()
    ranges, recordings = RangeStore(), RecordingStore()
    writer = Writer(database, files, config.catalog)
    await writer.recover()
    uploads = Uploads(config.uploads, config.max_upload)
    importing = Importing(
        database, jobs, instruments, files, writer, uploads, config.imports, ranges
    )
    await stack.enter_async_context(importing.running())
    finder = Finder(database, files, instruments, writer)
    about_data = files, writer, finder, ranges, recordings
    about_imports = database, jobs, instruments, importing, uploads, hub
    history = HistoryServicer(*about_data, *about_imports)
    add_HistoryServiceServicer_to_server(history, server.grpc)
    add_InstrumentServiceServicer_to_server(
        InstrumentServicer(database, instruments, writer), server.grpc
    )
    return finder


async def add_live(
    stack: AsyncExitStack,
    server: MeshServer,
    database: Database,
    client: redis.asyncio.Redis,
    watches: WatchHub,
    config: Config,
    finder: Finder,
    venues: Venues,
    start: Starter,
) -> LiveHub:
    """Register the services of live data; the feeds that subscriptions want begin to connect."""
    made = kept(
        database, FileStore(), InstrumentStore(), config.catalog, config.journal, config.recording
    )
    await stack.enter_async_context(made.recorder.running())
    finder.use(made.recorder.flush)
    hub = await stack.enter_async_context(
        open_hub(database, client, server, config, start, made.recorder)
    )
    made.feeds.use(hub)
    await stack.enter_async_context(made.jobs.running())
    add_HistoryJobServiceServicer_to_server(
        HistoryJobServicer(database, made.job_store, made.jobs, hub, watches), server.grpc
    )
    feeds = FeedServicer(database, hub, watches, venues, finder)
    add_FeedServiceServicer_to_server(feeds, server.grpc)
    add_market_data(MarketDataServicer(database, hub, server.draining.is_set), server)
    return hub
