"""Composition root of the strategy service."""

import os
from contextlib import AsyncExitStack
from pathlib import Path

from mesh.strategy.v1.strategy_service_pb2 import DESCRIPTOR
from mesh.strategy.v1.strategy_service_pb2_grpc import add_StrategyServiceServicer_to_server
from meshkit.database import Database
from meshkit.publisher import Publisher
from meshkit.redis_client import open_redis
from meshkit.server import MeshServer, run
from services.strategy import events
from services.strategy.config import Config
from services.strategy.domain import Registry
from services.strategy.engine.loading import Loading
from services.strategy.servicer import Servicer
from services.strategy.store import StrategyStore

MIGRATIONS = Path(__file__).parent / "migrations"


def main() -> None:
    """Run the service until it is told to stop."""
    run("strategy", serve, level=os.environ.get("MESH_LOG_LEVEL", "INFO"))


async def serve() -> None:
    """Open everything, serve, close in the opposite order."""
    config = Config.read(os.environ)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database.open(config.database_url, schema="strategy", migrations=MIGRATIONS)
        )
        redis = await stack.enter_async_context(open_redis(config.redis_url))
        await stack.enter_async_context(Publisher(database, redis))
        server = await stack.enter_async_context(
            MeshServer(
                name="strategy",
                listen=config.listen,
                keys=config.jwks_url,
                http_listen=config.http_listen,
            )
        )
        loading = Loading(config.load_seconds, config.load_memory_mb, config.loads)
        registry = Registry(StrategyStore(), events.tell)
        servicer = Servicer(database, registry, loading, config.importable)
        add_StrategyServiceServicer_to_server(servicer, server.grpc)
        await server.start(DESCRIPTOR.services_by_name["StrategyService"].full_name)
        await server.wait()
