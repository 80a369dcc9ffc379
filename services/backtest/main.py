"""Composition root of the backtest API; the workers' is in ``worker``."""

import os
from contextlib import AsyncExitStack
from pathlib import Path

from mesh.backtest.v1.backtest_service_pb2 import DESCRIPTOR
from mesh.backtest.v1.backtest_service_pb2_grpc import add_BacktestServiceServicer_to_server
from mesh.marketdata.v1.history_service_pb2_grpc import HistoryServiceStub
from mesh.strategy.v1.strategy_service_pb2_grpc import StrategyServiceStub
from meshkit.channel import channel
from meshkit.database import Database
from meshkit.publisher import Publisher
from meshkit.redis_client import open_redis
from meshkit.server import MeshServer, run
from meshkit.watch import WatchHub
from services.backtest.archive import Archive
from services.backtest.config import ApiConfig
from services.backtest.domain import FACTS
from services.backtest.lookups import Lookups
from services.backtest.servicer import Servicer
from services.backtest.store import RunStore
from services.backtest.watching import Watching

MIGRATIONS = Path(__file__).parent / "migrations"
SERVICE = DESCRIPTOR.services_by_name["BacktestService"].full_name
STRATEGY = "mesh.strategy.v1.StrategyService"
HISTORY = "mesh.marketdata.v1.HistoryService"


def main() -> None:
    """Run the API until it is told to stop."""
    run("backtest", serve, level=os.environ.get("MESH_LOG_LEVEL", "INFO"))


async def serve() -> None:
    """Open everything, serve, close in the opposite order."""
    config = ApiConfig.read(os.environ)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database.open(config.database_url, schema="backtest", migrations=MIGRATIONS)
        )
        client = await stack.enter_async_context(open_redis(config.redis_url))
        await stack.enter_async_context(Publisher(database, client))
        server = await stack.enter_async_context(
            MeshServer(
                name="backtest",
                listen=config.listen,
                keys=config.jwks_url,
                http_listen=config.http_listen,
            )
        )
        hub = await stack.enter_async_context(
            WatchHub(database, client, [FACTS], draining=server.draining)
        )
        to_strategy = await stack.enter_async_context(channel(config.strategy_address, STRATEGY))
        to_history = await stack.enter_async_context(channel(config.market_data_address, HISTORY))
        servicer = Servicer(
            database,
            RunStore(),
            Lookups(StrategyServiceStub(to_strategy), HistoryServiceStub(to_history)),
            Archive(config.archive),
            Watching(hub, client),
        )
        add_BacktestServiceServicer_to_server(servicer, server.grpc)
        await server.start(SERVICE)
        await server.wait()
