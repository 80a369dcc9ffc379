"""Composition root of the live-execution service."""

import os
from contextlib import AsyncExitStack
from pathlib import Path

from mesh.execution.v1.trader_service_pb2_grpc import add_TraderServiceServicer_to_server
from mesh.marketdata.v1.feed_service_pb2_grpc import FeedServiceStub
from mesh.strategy.v1.strategy_service_pb2_grpc import StrategyServiceStub
from meshkit.channel import channel
from meshkit.database import Database
from meshkit.publisher import Publisher
from meshkit.redis_client import open_redis
from meshkit.server import MeshServer, run
from meshkit.watch import WatchHub
from services.live_execution.config import Config
from services.live_execution.logs import TraderLogs
from services.live_execution.lookups import Lookups
from services.live_execution.names import AREA
from services.live_execution.store import TraderStore
from services.live_execution.trader_servicer import TraderServicer
from services.live_execution.watching import Watching

MIGRATIONS = Path(__file__).parent / "migrations"
TRADERS = "mesh.execution.v1.TraderService"
STRATEGY = "mesh.strategy.v1.StrategyService"
FEEDS = "mesh.marketdata.v1.FeedService"


def main() -> None:
    """Run the service until it is told to stop."""
    run("live-execution", serve, level=os.environ.get("MESH_LOG_LEVEL", "INFO"))


async def serve() -> None:
    """Open everything, serve, close in the opposite order."""
    config = Config.read(os.environ)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database.open(config.database_url, schema="live_execution", migrations=MIGRATIONS)
        )
        client = await stack.enter_async_context(open_redis(config.redis_url))
        await stack.enter_async_context(Publisher(database, client, retention=config.retention))
        server = await stack.enter_async_context(
            MeshServer(
                name="live-execution",
                listen=config.listen,
                keys=config.jwks_url,
                http_listen=config.http_listen,
            )
        )
        hub = await stack.enter_async_context(
            WatchHub(database, client, [AREA], draining=server.draining)
        )
        to_strategy = await stack.enter_async_context(channel(config.strategy_address, STRATEGY))
        to_feeds = await stack.enter_async_context(channel(config.market_data_address, FEEDS))
        feeds = FeedServiceStub(to_feeds)
        watching = Watching(hub)
        logs = TraderLogs(config.launching.folder, config.launching.host, server.draining)
        traders = TraderServicer(
            database,
            TraderStore(),
            Lookups(StrategyServiceStub(to_strategy), feeds),
            watching,
            logs,
            config.launching.settle_s,
        )
        add_TraderServiceServicer_to_server(traders, server.grpc)
        await server.start(TRADERS)
        await server.wait()
