"""A credential service of the tests' own, with real stores and a market-data that knows venues."""

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from integration.issuer import Signer
from mesh.execution.v1 import credential_service_pb2 as rpc
from mesh.execution.v1.credential_service_pb2_grpc import (
    CredentialServiceStub,
    add_CredentialServiceServicer_to_server,
)
from mesh.execution.v1.trader_pb2 import LiveVenue, TraderSpec, TraderVenue
from mesh.marketdata.v1 import feed_service_pb2 as feeds
from mesh.marketdata.v1 import feed_service_pb2_grpc as feed_stubs
from meshkit.channel import channel
from meshkit.database import Database
from meshkit.errors import NotFound
from meshkit.server import MeshServer
from services.live_execution.credential_servicer import CredentialServicer
from services.live_execution.credentials import KeySource, Vault
from services.live_execution.credentials.__main__ import MIGRATIONS, SCHEMA

SERVICE = "mesh.execution.v1.CredentialService"
FEEDS = "mesh.marketdata.v1.FeedService"
SCOPES = ("credential.read", "credential.write", "data.read")
SECRETS = {"api_key": "K3y-of-binance-7f21", "api_secret": "S3cret-of-binance-90ab"}
VENUES = {
    "BINANCE": [("api_key", False), ("api_secret", False)],
    "BETFAIR": [("username", True), ("password", True), ("app_key", True)],
}

_Base: Any = feed_stubs.FeedServiceServicer  # its stub is abstract; one method is enough here


class VenueNotFound(NotFound):
    """What market-data answers for an adapter that it does not have."""

    reason = "VENUE_NOT_FOUND"


class Feeds(_Base):
    """A market-data that knows two venues."""

    async def GetVenue(self, request: feeds.GetVenueRequest, _: Any) -> Any:  # noqa: N802 # the contract's
        """Return a venue's secret fields."""
        if request.venue not in VENUES:
            raise VenueNotFound("There is no such venue.", metadata={"venue": request.venue})
        fields = [feeds.VenueCredential(field=f, required=r) for f, r in VENUES[request.venue]]
        venue = feeds.Venue(venue=request.venue, execution=True, credentials=fields)
        return feeds.GetVenueResponse(venue=venue)


def new_id() -> str:
    """Return a new request id."""
    return str(uuid.uuid4())


def creation(credential_id: str = "main", **more: Any) -> rpc.CreateCredentialRequest:
    """Return a request for a credential of Binance."""
    values: dict[str, Any] = {"adapter": "BINANCE", "secrets": SECRETS, "request_id": new_id()}
    return rpc.CreateCredentialRequest(credential_id=credential_id, **{**values, **more})


def spec_naming(*credential_ids: str, adapter: str = "BINANCE") -> TraderSpec:
    """Return the spec of a trader with these credentials at real venues."""
    venues = [
        TraderVenue(venue=f"V{i}", live=LiveVenue(adapter=adapter, credential_id=each))
        for i, each in enumerate(credential_ids)
    ]
    return TraderSpec(venues=venues)


@dataclass(frozen=True)
class Served:
    """A serving service: stub of a caller who may do everything, its vault and its database."""

    stub: Any
    vault: Vault
    database: Database
    keys: KeySource
    signer: Signer
    address: str
    stack: AsyncExitStack

    async def as_caller(self, *scopes: str, **claims: Any) -> Any:
        """Return a stub of another caller."""
        token = self.signer.token(*(scopes or SCOPES), **claims)
        to = await self.stack.enter_async_context(channel(self.address, SERVICE, token=token))
        return CredentialServiceStub(to)

    async def trader(
        self, trader_id: str, spec: TraderSpec, *, fence: int = 1, lease: float = 60.0
    ) -> None:
        """Put a trader with a lease into the table, as the API and its process do."""
        async with self.database.connection() as tx:
            await tx.execute(
                "INSERT INTO traders (project, trader_id, owner, spec, inputs, real, fence,"
                " lease_until) VALUES ('default', $1, 'tester', $2, '{}', true, $3,"
                " now() + $4::interval)",
                trader_id,
                spec.SerializeToString(),
                fence,
                timedelta(seconds=lease),
            )

    async def expire(self, credential_id: str) -> None:
        """Let a credential's time be over."""
        async with self.database.connection() as tx:
            await tx.execute(
                "UPDATE credentials SET expire_time = now() - interval '1 s'"
                " WHERE credential_id = $1",
                credential_id,
            )


@pytest.fixture
async def served(database_url: str, tmp_path: Path) -> AsyncIterator[Served]:
    """Give a serving credential service with a key file of its own."""
    signer, source = Signer(), KeySource(tmp_path / "credentials.key")
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database.open(database_url, schema=SCHEMA, migrations=MIGRATIONS)
        )
        vault = Vault(database, source)
        await vault.verify()
        market_data = await _server(stack, f"unix:{tmp_path}/m.sock", signer)
        feed_stubs.add_FeedServiceServicer_to_server(Feeds(), market_data.grpc)
        await market_data.start(FEEDS)
        to_feeds = await stack.enter_async_context(channel(market_data.listen, FEEDS))
        server = await _server(stack, f"unix:{tmp_path}/c.sock", signer)
        servicer = CredentialServicer(database, vault, feed_stubs.FeedServiceStub(to_feeds))
        add_CredentialServiceServicer_to_server(servicer, server.grpc)
        await server.start(SERVICE)
        to = await stack.enter_async_context(
            channel(server.listen, SERVICE, token=signer.token(*SCOPES))
        )
        stub = CredentialServiceStub(to)
        yield Served(stub, vault, database, source, signer, server.listen, stack)


async def _server(stack: AsyncExitStack, listen: str, signer: Signer) -> MeshServer:
    return await stack.enter_async_context(
        MeshServer(name="test", listen=listen, keys=signer, grace=1.0)
    )
