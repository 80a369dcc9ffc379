"""A strategy service of the tests' own, with real stores."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from integration.issuer import Signer
from mesh.strategy.v1.strategy_service_pb2_grpc import (
    StrategyServiceStub,
    add_StrategyServiceServicer_to_server,
)
from meshkit.channel import channel
from meshkit.database import Database
from meshkit.server import MeshServer
from services.strategy import events
from services.strategy.domain import Registry
from services.strategy.engine.loading import Loading
from services.strategy.main import MIGRATIONS
from services.strategy.servicer import Servicer
from services.strategy.store import StrategyStore

SERVICE = "mesh.strategy.v1.StrategyService"
SCOPES = ("strategy.read", "strategy.write")


@dataclass(frozen=True)
class Served:
    """A serving service: its address, its issuer and its database."""

    address: str
    signer: Signer
    database: Database
    stack: AsyncExitStack

    async def stub(self, *scopes: str, **claims: Any) -> Any:
        """Return a stub for a caller with these scopes and claims."""
        token = self.signer.token(*(scopes or SCOPES), **claims)
        to = await self.stack.enter_async_context(channel(self.address, SERVICE, token=token))
        return StrategyServiceStub(to)


def opened(database_url: str) -> AbstractAsyncContextManager[Database]:
    """Return a database of the service, to be entered."""
    return Database.open(database_url, schema="strategy", migrations=MIGRATIONS)


def servicer(database: Database) -> Servicer:
    """Return the service with small limits."""
    return Servicer(
        database,
        Registry(StrategyStore(), events.tell),
        Loading(seconds=6.0, memory_mb=256, at_once=2),
        ("services.strategy.examples",),
    )


@pytest.fixture
async def served(database_url: str, tmp_path: Path) -> AsyncIterator[Served]:
    """Give a serving strategy service."""
    signer = Signer()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(opened(database_url))
        server = await stack.enter_async_context(
            MeshServer(name="strategy", listen=f"unix:{tmp_path}/s.sock", keys=signer, grace=1.0)
        )
        add_StrategyServiceServicer_to_server(servicer(database), server.grpc)
        await server.start(SERVICE)
        yield Served(server.listen, signer, database, stack)


@pytest.fixture
async def stub(served: Served) -> Any:
    """Give a stub with both scopes."""
    return await served.stub()
