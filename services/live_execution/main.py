"""Composition root of the live-execution service."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc.aio

from mesh.execution.v1.credential_service_pb2_grpc import (
    add_CredentialServiceServicer_to_server,
)
from mesh.execution.v1.order_service_pb2_grpc import add_OrderServiceServicer_to_server
from mesh.execution.v1.safety_service_pb2_grpc import add_SafetyServiceServicer_to_server
from mesh.execution.v1.trader_service_pb2_grpc import add_TraderServiceServicer_to_server
from mesh.marketdata.v1.feed_service_pb2_grpc import FeedServiceStub
from mesh.strategy.v1.strategy_service_pb2_grpc import StrategyServiceStub
from meshkit.bell import Bell
from meshkit.channel import channel
from meshkit.database import Database
from meshkit.publisher import Publisher
from meshkit.redis_client import open_redis
from meshkit.server import MeshServer, run
from meshkit.tokens import Keys
from meshkit.watch import WatchHub
from services.live_execution import events
from services.live_execution.config import Config
from services.live_execution.credential_servicer import CredentialServicer
from services.live_execution.credentials import Vault
from services.live_execution.grants import grant
from services.live_execution.launching.keeper import Means
from services.live_execution.launching.local import PROGRAM, LocalLauncher
from services.live_execution.launching.reconciler import Reconciler
from services.live_execution.launching.redis_users import RedisUsers
from services.live_execution.launching.secrets import HandOver
from services.live_execution.launching.store import KeepingStore
from services.live_execution.launching.tickets import Tickets
from services.live_execution.logs import TraderLogs
from services.live_execution.lookups import Lookups
from services.live_execution.names import AREA
from services.live_execution.order_serving import open_orders
from services.live_execution.safety.serving import open_safety
from services.live_execution.safety_servicer import SafetyServicer
from services.live_execution.store import TraderStore
from services.live_execution.trader_keys import AUTH, TraderKeys
from services.live_execution.trader_servicer import TraderServicer
from services.live_execution.watching import Watching

MIGRATIONS = Path(__file__).parent / "migrations"
TRADERS = "mesh.execution.v1.TraderService"
ORDERS = "mesh.execution.v1.OrderService"
SAFETY = "mesh.execution.v1.SafetyService"
CREDENTIALS = "mesh.execution.v1.CredentialService"
STRATEGY = "mesh.strategy.v1.StrategyService"
FEEDS = "mesh.marketdata.v1.FeedService"


def main() -> None:
    """Run the service until it is told to stop."""
    run("live-execution", serve, level=os.environ.get("MESH_LOG_LEVEL", "INFO"))


async def serve() -> None:
    """Serve as the environment says."""
    async with opened(Config.read(os.environ)) as server:
        await server.wait()


@asynccontextmanager
async def opened(
    config: Config, keys: Keys | str = "", program: Sequence[str] = PROGRAM
) -> AsyncIterator[MeshServer]:
    """Open everything and serve, close in the opposite order.

    ``keys`` are those of tokens, in place of the auth service's; ``program`` runs a trader.
    """
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database.open(config.database_url, schema="live_execution", migrations=MIGRATIONS)
        )
        await grant(database, config.trader_database_url)
        client = await stack.enter_async_context(open_redis(config.redis_url))
        await stack.enter_async_context(Publisher(database, client, retention=config.retention))
        server = await stack.enter_async_context(
            MeshServer(
                name="live-execution",
                listen=config.listen,
                keys=keys or config.jwks_url,
                http_listen=config.http_listen,
            )
        )
        hub = await stack.enter_async_context(
            WatchHub(database, client, [AREA], draining=server.draining, prompt=True)
        )
        to_strategy = await stack.enter_async_context(channel(config.strategy_address, STRATEGY))
        to_feeds = await stack.enter_async_context(channel(config.market_data_address, FEEDS))
        feeds = FeedServiceStub(to_feeds)
        watching, store = Watching(hub), TraderStore()
        logs = TraderLogs(config.launching.folder, config.launching.host, server.draining)
        vault = Vault(database, config.credential_keys)
        await vault.verify()
        lookups = Lookups(StrategyServiceStub(to_strategy), feeds)
        users = await stack.enter_async_context(
            RedisUsers(
                database,
                client,
                config.trader_redis_url,
                config.credential_keys.current,
                KeepingStore(),
            )
        )
        traders = TraderServicer(
            database, store, lookups, watching, logs, users, config.launching.settle_s
        )
        add_TraderServiceServicer_to_server(traders, server.grpc)
        add_CredentialServiceServicer_to_server(
            CredentialServicer(database, vault, feeds), server.grpc
        )
        safety = await stack.enter_async_context(
            open_safety(database, config.latch_redis_url, config.safety)
        )
        add_SafetyServiceServicer_to_server(SafetyServicer(database, safety, hub), server.grpc)
        orders = await stack.enter_async_context(
            open_orders(database, client, safety.latch, watching)
        )
        add_OrderServiceServicer_to_server(orders, server.grpc)
        await server.start(TRADERS, ORDERS, SAFETY, CREDENTIALS)
        await stack.enter_async_context(
            launching(config, database, store, logs, users, vault.hand_over, program)
        )
        yield server


@asynccontextmanager
async def launching(
    config: Config,
    database: Database,
    store: TraderStore,
    logs: TraderLogs,
    users: RedisUsers,
    hand_over: HandOver,
    program: Sequence[str],
) -> AsyncIterator[Reconciler]:
    """Keep the processes of traders while the block lasts."""
    keeping = KeepingStore()
    async with Bell(database.dsn, events.WAKE) as bell:
        means = Means(
            database=database,
            store=keeping,
            launcher=LocalLauncher(
                config.launching, logs, hand_over, bell.ring, os.environ, program
            ),
            tickets=Tickets(config, database, keeping, store, logs, _keys(config), users),
            logs=logs,
            config=config.launching,
        )
        async with Reconciler(means, bell) as reconciler:
            yield reconciler


def _keys(config: Config) -> TraderKeys | None:
    """Return what makes a key for each trader, None when all share one."""
    if config.trader_token:
        return None

    def to_auth(token: str) -> grpc.aio.Channel:
        return channel(config.auth_address, AUTH, token=token or None)

    return TraderKeys(to_auth, config.service_key_file)
