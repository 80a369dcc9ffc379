"""Composition root of the auth service."""

import os
from contextlib import AsyncExitStack
from functools import cache, partial
from pathlib import Path

from mesh.gateway.v1.auth_service_pb2_grpc import add_AuthServiceServicer_to_server
from mesh.gateway.v1.mesh_service_pb2_grpc import add_MeshServiceServicer_to_server
from meshkit.database import Database
from meshkit.server import MeshServer, run
from services.gateway.config import Config
from services.gateway.domain import ApiKeys
from services.gateway.first_key import into_file, make_first_key, make_service_key
from services.gateway.info import mesh_info
from services.gateway.servicer import AuthServicer, MeshServicer
from services.gateway.signing import KeyRing, Seal
from services.gateway.store import KeyStore, SigningStore

SCHEMA = "gateway"
MIGRATIONS = Path(__file__).parent / "migrations"
SERVICES = ("mesh.gateway.v1.AuthService", "mesh.gateway.v1.MeshService")
JWKS_PATH = "/.well-known/jwks.json"


def main() -> None:
    """Run the service until it is told to stop."""
    run("auth", serve, level=os.environ.get("MESH_LOG_LEVEL", "INFO"))


async def serve() -> None:
    """Open everything, serve, close in the opposite order."""
    config = Config.read(os.environ)
    async with AsyncExitStack() as stack:
        server = await open_server(config, stack)
        await server.wait()


async def open_server(config: Config, stack: AsyncExitStack) -> MeshServer:
    """Return the serving server; what it needs closes with the stack."""
    database = await stack.enter_async_context(
        Database.open(config.database_url, schema=SCHEMA, migrations=MIGRATIONS)
    )
    if config.first_key_file is not None:
        await make_first_key(database, into_file(config.first_key_file))
    if config.service_key_file is not None:
        await make_service_key(database, config.service_key_file)
    ring = KeyRing(database, Seal(config.key_file), SigningStore(), config.token_seconds)
    await stack.enter_async_context(ring.kept_fresh())
    server = await stack.enter_async_context(
        MeshServer(
            name="auth",
            listen=config.listen,
            keys=ring,
            http_listen=config.http_listen,
            http_routes={JWKS_PATH: ring.jwks_page},
        )
    )
    store = KeyStore()
    info = cache(partial(mesh_info, config.limits))
    add_AuthServiceServicer_to_server(
        AuthServicer(database, ApiKeys(store), store, ring), server.grpc
    )
    add_MeshServiceServicer_to_server(MeshServicer(info), server.grpc)
    await server.start(*SERVICES)
    return server
