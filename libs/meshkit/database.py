"""PostgreSQL of a service: a pool on the service's own schema, and migrations in numbered plain
SQL.
"""

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from meshkit.config import ConfigError
from meshkit.errors import InvalidField, MeshError, SerializationClash, StoreUnavailable

log = logging.getLogger("meshkit.database")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
"""What ``work`` and stores get: a connection whose search path is the service's schema."""

OWN_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x6D657368  # "mesh": one migration at a time in a database
_NAME = re.compile(r"\d{4}_[a-z0-9_]+\.sql")
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")

_CLASHES = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_UNSTORABLE = (
    asyncpg.CharacterNotInRepertoireError,  # in a text
    asyncpg.UntranslatableCharacterError,  # in JSON
)
_UNREACHABLE = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # used while its server's last word was on its way
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)


class Database:
    """A pool of connections; driver errors leave it as typed errors."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", dsn: str, schema: str) -> None:
        self._pool = pool
        self.dsn = dsn
        self.schema = schema

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        dsn: str,
        *,
        schema: str,
        migrations: Path | None = None,
        min_size: int = 1,
        max_size: int = 10,
    ) -> AsyncIterator["Database"]:
        """Migrate the schema, then give a pool on it until the block ends.

        Raises ``ConfigError`` when the database refuses or cannot be reached.
        """
        if not _SCHEMA.fullmatch(schema):
            raise ConfigError([f"schema name {schema!r} is not a plain lower-case name"])
        try:
            await migrate(dsn, schema, migrations)
            pool = asyncpg.create_pool(
                dsn,
                min_size=min_size,
                max_size=max_size,
                reset=_as_it_is,
                server_settings={"search_path": schema, "application_name": schema},
            )
            await pool
        except (OSError, *_UNREACHABLE, asyncpg.InvalidAuthorizationSpecificationError) as error:
            raise ConfigError([f"the database of {schema} cannot be used: {error}"]) from error
        try:
            yield cls(pool, dsn, schema)
        finally:
            pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Give a connection in autocommit mode."""
        async with _typed_errors(), self._acquired() as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Give a connection inside a transaction that commits when the block ends without an
        error.
        """
        async with _typed_errors(), self._acquired() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator[Connection]:
        try:
            connection = await self._pool.acquire()
        except TimeoutError:
            raise
        except OSError as error:  # no socket, no host; in the block it would be somebody else's
            raise _out_of_reach() from error
        try:
            yield connection
        except asyncpg.InternalClientError:
            connection.terminate()  # it is amid something, and no use to anybody
            raise
        finally:
            await self._pool.release(connection)


async def _as_it_is(_: object) -> None:
    """Leave a connection as it is: nobody changes more than a transaction, which is rolled back
    when it is open, and the usual reset would be one more round trip for each use.
    """


async def migrate(dsn: str, schema: str, folder: Path | None) -> None:
    """Bring the schema up to date: meshkit's own tables first, then the service's, each file
    once.
    """
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        if not await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", schema):
            await connection.execute(f"CREATE SCHEMA {schema}")
        await connection.execute(f"SET search_path TO {schema}")
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations ("
            "version text PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())"
        )
        for owner, path in _files(folder):
            await _apply(connection, f"{owner}/{path.stem}", path)
    finally:
        await connection.close()


def _files(folder: Path | None) -> list[tuple[str, Path]]:
    own = [("meshkit", path) for path in sorted(OWN_MIGRATIONS.glob("*.sql"))]
    theirs = [("service", path) for path in sorted(folder.glob("*.sql"))] if folder else []
    for _, path in (*own, *theirs):
        if not _NAME.fullmatch(path.name):
            raise ConfigError([f"migration {path.name} must be named NNNN_name.sql"])
    return [*own, *theirs]


async def _apply(connection: Connection, version: str, path: Path) -> None:
    done = await connection.fetchval("SELECT 1 FROM schema_migrations WHERE version = $1", version)
    if done:
        return
    up = path.read_text().partition("-- migrate:down")[0]
    async with connection.transaction():
        await connection.execute(up)
        await connection.execute("INSERT INTO schema_migrations (version) VALUES ($1)", version)
    log.info("migrated", extra={"version": version})


@asynccontextmanager
async def _typed_errors() -> AsyncIterator[None]:
    try:
        yield
    except MeshError:
        raise
    except _CLASHES as error:
        raise SerializationClash(
            "Another transaction was faster. Repeat with the same request id."
        ) from error
    except _UNSTORABLE as error:
        raise InvalidField(
            "A text holds a character that cannot be stored, such as NUL. Leave it out."
        ) from error
    except _UNREACHABLE as error:
        log.warning("database failed", extra={"error": f"{type(error).__name__}: {error}"})
        raise _out_of_reach() from error


def _out_of_reach() -> StoreUnavailable:
    return StoreUnavailable(
        "The database is out of reach. Try again, a change with the same request id.",
        metadata={"store": "postgresql"},
        retry_after=1.0,
    )
