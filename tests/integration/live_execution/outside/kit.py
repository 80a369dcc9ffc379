"""What the tests of a trader's outside share: rows, tickets, facts, and stores that go away."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import msgspec

from mesh.common.v1 import enums_pb2 as enums
from mesh.events.v1.events_pb2 import Event
from mesh.execution.v1 import events_pb2 as events
from mesh.execution.v1.events_pb2 import OrderEvent, OrderInitialized, TraderFact
from mesh.execution.v1.order_pb2 import TraderCommand
from meshkit.database import Database, migrate
from meshkit.publisher import Publisher
from meshkit.redis_client import open_redis
from services.live_execution.grants import statements
from services.live_execution.launching.redis_users import rules, user_of
from services.live_execution.names import TraderKey
from services.live_execution.trader.outside import TraderOutside, open_outside
from services.live_execution.trader.ports import Ticket
from services.live_execution.trader.thread import StoreThread

KEY = TraderKey("default", "TEST-001")
ROLE, PASSWORD = "outside_trader", "secret"
"""What a trader's process logs in with: it has no more rights here than in a mesh."""
MIGRATIONS = Path(__file__).parents[4] / "services" / "live_execution" / "migrations"
BOUND = 30.0
VENUE, TAG = "SIM", "001"

_EMPTY = """
TRUNCATE facts, stream_heads, outbox, traders, commands, orders, positions, accounts, instruments,
    marks, reports, snapshots, halts
"""

_TRADER = """
INSERT INTO traders (project, trader_id, owner, spec, inputs, real)
VALUES ($1, $2, 'somebody', '', '{}', false)
"""

_COMMAND = """
WITH row AS (INSERT INTO commands (command_id, project, trader_id, kind, submitter, body)
    VALUES ($1, $2, $3, 'SUBMIT', $4, $5))
INSERT INTO outbox (stream, key, payload) VALUES ($6, $7, $5)
"""


@dataclass
class World:
    """A trader's row in a database of its own, and what it takes to open its outside."""

    dsn: str
    redis_url: str
    folder: Path
    connection: asyncpg.Connection

    def ticket(self, **changes: object) -> Ticket:
        """Return a ticket."""
        ticket = Ticket(
            project=KEY.project,
            trader_id=KEY.trader_id,
            spec=b"",
            components=(),
            journal=str(self.folder / "journal"),
            database_url=logged_in(self.dsn, ROLE),
            redis_url=logged_in(self.redis_url, user_of(KEY)),
            mesh_address="",
            mesh_token="",
            lease_s=20.0,
            margin_s=1.0,
        )
        return msgspec.structs.replace(ticket, **changes)

    @asynccontextmanager
    async def outside(
        self, grace: float = BOUND, **changes: object
    ) -> AsyncIterator[TraderOutside]:
        """Open the outside."""
        loop = asyncio.get_running_loop()
        async with open_outside(self.ticket(**changes), None, loop, grace) as outside:
            yield outside

    async def stored(self, after: int = 0) -> list[tuple[int, bytes]]:
        """Return the facts in PostgreSQL."""
        rows = await self.connection.fetch(
            "SELECT number, event FROM facts WHERE stream = $1 AND number > $2 ORDER BY number",
            KEY.facts,
            after,
        )
        return [(r["number"], Event.FromString(r["event"]).payload.value) for r in rows]

    async def head(self) -> int:
        """Return the number of the last fact in PostgreSQL."""
        return int(
            await self.connection.fetchval(
                "SELECT number FROM stream_heads WHERE stream = $1", KEY.facts
            )
            or 0
        )

    async def expire_lease(self) -> None:
        """Do as the launcher does when it has proven a process dead."""
        await self.connection.execute("UPDATE traders SET lease_until = '-infinity'")

    async def command(self, command: TraderCommand) -> str:
        """Commit a command as the API does; return its id."""
        command.command_id = command.command_id or str(uuid.uuid4())
        body = command.SerializeToString()
        await self.connection.execute(
            _COMMAND,
            uuid.UUID(command.command_id),
            *KEY,
            command.submitter,
            body,
            KEY.commands,
            command.command_id,
        )
        return command.command_id

    async def halt(self, scope: str, *, reducing: bool = False, project: str = "") -> str:
        """Commit a halt; return its id."""
        halt_id = uuid.uuid4()
        await self.connection.execute(
            "INSERT INTO halts (halt_id, project, owner, scope, reducing, reason, source)"
            " VALUES ($1, $2, 'o', $3, $4, 'by the test', 'CALLER')",
            halt_id,
            project or KEY.project,
            scope,
            reducing,
        )
        return str(halt_id)

    async def reset_latched(self) -> None:
        """Put the halt of ``latch`` on record as one that was reset."""
        await self.connection.execute(
            "INSERT INTO halts (halt_id, project, owner, scope, reducing, active, reason, source)"
            " VALUES ($1, $2, 'o', 'all', false, false, 'by the test', 'LATCH')",
            uuid.UUID(LATCHED),
            KEY.project,
        )


@asynccontextmanager
async def world(dsn: str, redis_url: str, folder: Path) -> AsyncIterator[World]:
    """Give an empty schema with a trader in it, and its rights in both stores."""
    async with open_redis(redis_url) as client:
        given = rules(KEY, [PASSWORD], anew=True)
        await client.execute_command("ACL SETUSER", user_of(KEY), *given)  # type: ignore[no-untyped-call] # redis ships no type
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "live_execution"})
    await connection.execute(_EMPTY)
    await connection.execute(_TRADER, *KEY)
    try:
        yield World(dsn, redis_url, folder, connection)
    finally:
        await connection.close()


async def make_database(server: str, name: str) -> None:
    """Make a database with the schema."""
    connection = await asyncpg.connect(server)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    dsn = server.replace("/postgres?", f"/{name}?")
    await migrate(dsn, "live_execution", MIGRATIONS)
    connection = await asyncpg.connect(dsn)
    if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", ROLE):
        await connection.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
    await connection.execute(f"GRANT CONNECT ON DATABASE {name} TO {ROLE}")
    await connection.execute(";".join(statements("live_execution", ROLE)))
    await connection.close()


def logged_in(url: str, user: str) -> str:
    """Return a URL of a store for a user."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{PASSWORD}@{host}"))


def initialized(order_id: str, quantity: str = "10", strategy_id: str = "Maker-001") -> TraderFact:
    """Return the fact of a new limit order."""
    return TraderFact(
        order=OrderEvent(
            type=events.ORDER_EVENT_TYPE_INITIALIZED,
            trader_id=KEY.trader_id,
            strategy_id=strategy_id,
            instrument_id="EURUSD.SIM",
            client_order_id=order_id,
            event_id=str(uuid.uuid4()),
            initialized=OrderInitialized(
                order_side=enums.ORDER_SIDE_BUY,
                order_type=enums.ORDER_TYPE_LIMIT,
                quantity=quantity,
                time_in_force=enums.TIME_IN_FORCE_GTC,
            ),
        )
    )


def event(order_id: str, kind: "events.OrderEventType.ValueType") -> TraderFact:
    """Return the fact of an order's event."""
    return TraderFact(
        order=OrderEvent(
            type=kind,
            trader_id=KEY.trader_id,
            strategy_id="Maker-001",
            instrument_id="EURUSD.SIM",
            client_order_id=order_id,
            venue_order_id="V-1",
        )
    )


LATCHED = "7f1d2c64-5a0e-4a7b-9b43-0c1f5c7f9d11"
"""Id of a halt that is set in Redis."""


def latch(reducing: bool = False, halt_id: str = LATCHED) -> str:
    """Return the value of a latch in Redis."""
    return json.dumps({"halt_id": halt_id, "reason": "by the test", "reducing": reducing})


async def until(condition: object, bound: float = BOUND) -> None:
    """Wait until a function returns something true; it may be a coroutine function."""
    async with asyncio.timeout(bound):
        while True:
            found = condition()  # type: ignore[operator]  # a function of either kind
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.01)


class Way:
    """A way to a store by a socket that can be cut.

    On a thread of its own: that of the engine blocks.
    """

    def __init__(self, store: str, here: Path) -> None:
        self._store = store
        self._here = here
        self._thread = StoreThread()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.AbstractServer | None = None

    async def __aenter__(self) -> "Way":
        await self._thread.__aenter__()
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()
        await self._thread.__aexit__()

    async def mend(self) -> None:
        """Let connections through."""
        await self._thread.run(self._open())

    async def cut(self) -> None:
        """End all connections, and refuse new ones."""
        await self._thread.run(self._close())

    async def _open(self) -> None:
        self._here.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._join, self._here)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._server = None
        self._here.unlink(missing_ok=True)
        for writer in self._writers:
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_unix_connection(self._store)
        self._writers |= {writer, there_writer}
        try:
            await asyncio.gather(_pour(reader, there_writer), _pour(there_reader, writer))
        finally:
            self._writers -= {writer, there_writer}


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def first_command(outside: TraderOutside) -> TraderCommand:
    """Return the next command, and read on no more."""
    given = outside.commands()
    async with asyncio.timeout(BOUND):
        command = await anext(given)
    await given.aclose()
    return command


@asynccontextmanager
async def publishing(world: World) -> AsyncIterator[None]:
    """Publish outbox and facts as the API does."""
    async with (
        Database.open(world.dsn, schema="live_execution") as database,
        open_redis(world.redis_url) as client,
        Publisher(database, client, poll=0.1),
    ):
        yield
