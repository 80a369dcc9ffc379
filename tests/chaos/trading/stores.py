"""The PostgreSQL of a running mesh, past its services: its process, and what is stored in it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from chaos.trading.books import Fact
from mesh.events.v1.events_pb2 import Event
from mesh.execution.v1.events_pb2 import TraderFact
from running_mesh import RunningMesh
from services.live_execution.names import TraderKey
from services.up.embedded.postgres import Postgres, find_place
from services.up.secrets import Secrets
from services.up.stores import DATABASE


def postmaster(mesh: RunningMesh) -> int:
    """Return the process of the server, 0 while it has written none."""
    path = find_place(mesh.data / "postgres").folder / "data" / "postmaster.pid"
    try:
        return int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


@asynccontextmanager
async def opened(mesh: RunningMesh) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection to the tables of live-execution."""
    password = Secrets(mesh.data / "secrets.json").get("database")
    dsn = Postgres(mesh.data / "postgres", Path(), password).dsn
    connection = await asyncpg.connect(
        dsn.replace("/postgres?", f"/{DATABASE}?"),
        server_settings={"search_path": "live_execution"},
    )
    try:
        yield connection
    finally:
        await connection.close()


async def facts_of(connection: asyncpg.Connection, trader_id: str) -> Sequence[Fact]:
    """Return all facts of a trader, by their numbers."""
    rows = await connection.fetch(
        "SELECT number, event FROM facts WHERE stream = $1 ORDER BY number",
        TraderKey("default", trader_id).facts,
    )
    found = []
    for row in rows:
        event, fact = Event.FromString(row["event"]), TraderFact()
        assert event.payload.Unpack(fact)
        found.append(Fact(row["number"], event.fence, fact))
    return found


async def waiting_commands(connection: asyncpg.Connection, trader_ids: Sequence[str]) -> int:
    """Return how many commands no trader has taken yet."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM commands WHERE state = 'ACCEPTED' AND trader_id = ANY($1)", trader_ids
    )
    return found


async def settled(connection: asyncpg.Connection, trader_ids: Sequence[str]) -> bool:
    """Whether every command was taken and every order is known to rest or to have ended."""
    under_way = await connection.fetchval(
        "SELECT count(*) FROM orders WHERE trader_id = ANY($1) AND status IN"
        " ('INITIALIZED', 'SUBMITTED', 'PENDING_UPDATE', 'PENDING_CANCEL')",
        trader_ids,
    )
    return not under_way and not await waiting_commands(connection, trader_ids)
