"""What only the operator of a mesh can do: look into the database of one that runs."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from meshkit.database import Database
from running_mesh import RunningMesh
from services.gateway.domain import ALL_SCOPES, ApiKey, Secret
from services.gateway.store import KeyStore
from services.up.embedded.postgres import Postgres
from services.up.stores import DATABASE


@asynccontextmanager
async def database(mesh: RunningMesh, schema: str) -> AsyncIterator[Database]:
    """Open a schema of the mesh's own PostgreSQL, as its superuser."""
    password = json.loads((mesh.data / "secrets.json").read_text())["database"]
    server = Postgres(mesh.data / "postgres", Path("/dev/null"), password)
    dsn = server.dsn.replace("/postgres?", f"/{DATABASE}?")
    async with Database.open(dsn, schema=schema, max_size=1) as opened:
        yield opened


async def key_of_another_project(mesh: RunningMesh, project: str) -> str:
    """Make an API key with every scope on a project of its own."""
    secret = Secret.new()
    key = ApiKey(
        api_key_id=secret.api_key_id,
        owner="stranger",
        project=project,
        subject="stranger",
        scopes=ALL_SCOPES,
        projects=(project,),
        secret_hash=secret.digest(),
        display_name="of another project",
    )
    async with database(mesh, "gateway") as opened, opened.transaction() as tx:
        await KeyStore().insert(tx, key)
    return secret.text()
