"""The two stores, embedded or configured, with a user for each service."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from meshkit.config import ConfigError
from services.up.config import Config
from services.up.embedded.postgres import Postgres
from services.up.embedded.valkey import User, Valkey
from services.up.secrets import Secrets

AREAS = ("gateway", "strategy", "market_data", "backtest", "live_execution")
"""Each has a schema and a role of its own in PostgreSQL, and a user in Valkey."""
_TRADERS = ("commands:trader:*", "queries:trader:*", "replies:trader:*")
_MORE = {
    "market_data": ("ticks:*",),  # live data for who reads it from Redis
    "live_execution": (
        *_TRADERS,
        *(f"*:{name}" for name in _TRADERS),  # what is parked
        *(f"*:{{{name}}}" for name in _TRADERS),  # what stands beside a stream
        "halt:*",
    ),
}
_ALSO = {"live_execution": ("acl|setuser", "acl|deluser", "acl|save")}
"""Each trader has a user in Valkey, which its launcher sets."""
TRADER, LATCH = "trader", "latch"
"""Users beside those of the areas: the processes of traders, and operators who halt (in Valkey)."""
DATABASE = "mesh"
CHECK_SECONDS = 0.5
LONGEST_PAUSE = 10.0


@dataclass(frozen=True)
class Stores:
    """Where each service finds its stores; ``said`` describes them, a line each."""

    redis: dict[str, str] = field(repr=False)
    """By area, and for ``TRADER`` and ``LATCH``."""
    database: dict[str, str] = field(repr=False)
    """By area, and for ``TRADER``."""
    said: tuple[str, ...] = ()


class Server(Protocol):
    """An embedded server."""

    def start(self) -> None:
        """Start it and wait until it answers."""

    def alive(self) -> bool:
        """Whether it runs."""

    def stop(self) -> None:
        """End it in order."""


@asynccontextmanager
async def open_stores(
    config: Config, secrets: Secrets, say: Callable[[str], None]
) -> AsyncIterator[Stores]:
    """Start what is embedded, prepare users and schemas, and keep the servers alive until the
    block ends.
    """
    redis, valkey = _redis(config, secrets)
    cluster = None if config.database_url else _postgres(config, secrets)
    servers: list[tuple[str, Server]] = []
    servers += [("valkey", valkey)] if valkey else []
    servers += [("postgresql", cluster)] if cluster else []
    async with _kept_alive(servers, say):
        admin = await _own_database(cluster.dsn) if cluster else config.database_url
        database, note = await _prepare(admin, secrets, ours=cluster is not None)
        if cluster and cluster.place.folder != config.data / "postgres":
            note = f", because the user that runs it cannot reach {config.data}"
        said = (
            f"valkey       embedded, {valkey.socket}" if valkey else "redis        REDIS_URL",
            f"postgresql   embedded, {cluster.place.folder}{note}"
            if cluster
            else f"postgresql   DATABASE_URL{note}",
        )
        yield Stores(redis, database, said)


def _redis(config: Config, secrets: Secrets) -> tuple[dict[str, str], Valkey | None]:
    if config.redis_url:
        return dict.fromkeys((*AREAS, TRADER, LATCH), config.redis_url), None
    made = users(secrets)
    server = Valkey(
        config.data / "valkey",
        config.run,
        config.logs / "valkey.log",
        secrets.get("redis"),
        made,
    )
    return {user.name: server.url(user.name, user.password) for user in made}, server


def users(secrets: Secrets) -> list[User]:
    """Return the users of an embedded Valkey."""
    areas = [
        User(area, secrets.get(f"redis.{area}"), patterns(area), also=_ALSO.get(area, ()))
        for area in AREAS
    ]
    return [*areas, _trader(secrets.get("redis.trader")), _latch(secrets.get("redis.latch"))]


def patterns(area: str) -> tuple[str, ...]:
    """Return which keys an area may use: its streams and what stands beside them, and the mark by
    which everybody notices that Redis was emptied.
    """
    name = area.replace("_", "*")  # `facts:marketdata` as well as `facts:market_data`
    own = (f"*:{name}", f"*:{name}:*", f"*:{{*:{name}}}", f"*:{{*:{name}:*}}", "mesh:epoch")
    return (*own, *_MORE.get(area, ()))


def _trader(password: str) -> User:
    """Return the user of traders that have none of their own: commands and answers; live data and
    halts to read.
    """
    return User(TRADER, password, _TRADERS, readable=("ticks:*", "halt:*", "mesh:epoch"))


def _latch(password: str) -> User:
    """Return the user of operators who halt past the services: the latch, and nothing else."""
    return User(LATCH, password, ("halt:*",), commands=("set", "get", "mget", "scan", "ping"))


def _postgres(config: Config, secrets: Secrets) -> Postgres:
    return Postgres(
        config.data / "postgres", config.logs / "postgresql.log", secrets.get("database")
    )


@asynccontextmanager
async def _kept_alive(
    servers: Sequence[tuple[str, Server]], say: Callable[[str], None]
) -> AsyncIterator[None]:
    """Run servers, starting again what dies; stop them in the opposite order."""
    started: list[Server] = []
    keepers: list[asyncio.Task[None]] = []
    try:
        for name, server in servers:
            started.append(server)
            await _to_its_end(server.start)
            keepers.append(asyncio.create_task(_keep(name, server, say)))
        yield
    finally:
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        for server in reversed(started):
            await asyncio.to_thread(server.stop)


async def _to_its_end(work: Callable[[], None]) -> None:
    """Await work in a thread, also when Ctrl-C comes meanwhile: what starts can be stopped then."""
    working = asyncio.create_task(asyncio.to_thread(work))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.gather(working, return_exceptions=True)
        raise


async def _keep(name: str, server: Server, say: Callable[[str], None]) -> None:
    pause = CHECK_SECONDS
    while True:
        await asyncio.sleep(pause)
        if server.alive():
            pause = CHECK_SECONDS
            continue
        say(f"{name} ended; starting it again")
        try:
            await asyncio.to_thread(server.start)
        except Exception as error:  # whatever it is, the next attempt may do
            pause = min(pause * 2, LONGEST_PAUSE)
            say(f"{name} does not start: {error}")


async def _own_database(dsn: str) -> str:
    """Make our database in our own cluster, closed to everybody who is not named."""
    connection = await asyncpg.connect(dsn)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
            await connection.execute(f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC")
    finally:
        await connection.close()
    return dsn.replace("/postgres?", f"/{DATABASE}?")


async def _prepare(admin: str, secrets: Secrets, *, ours: bool) -> tuple[dict[str, str], str]:
    """Make a role and a schema for each area, and a role for traders; return the DSNs and a note
    for people.

    On a server of somebody else's whose user may not make roles, all areas share that user.
    """
    try:
        connection = await asyncpg.connect(admin, timeout=10)
    except (OSError, asyncpg.PostgresError, ValueError) as error:
        raise ConfigError([f"DATABASE_URL cannot be used: {error or 'no answer'}"]) from None
    try:
        may = await connection.fetchval(
            "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
        )
        if not may:
            return dict.fromkeys(
                (*AREAS, TRADER), admin
            ), " (one role for all: it may not make roles)"
        for area in (*AREAS, TRADER):
            await _role(connection, role_of(area), secrets.get(f"database.{area}"))
        for area in AREAS:
            await _schema(connection, area)
        if ours:
            await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    finally:
        await connection.close()
    logins = {area: secrets.get(f"database.{area}") for area in (*AREAS, TRADER)}
    return {area: _as(admin, role_of(area), password) for area, password in logins.items()}, ""


async def _role(connection: asyncpg.Connection, role: str, password: str) -> None:
    database = await connection.fetchval("SELECT current_database()")
    known = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
    verb = "ALTER" if known else "CREATE"
    # The password is hexadecimal and the names are ours: nothing here needs quoting.
    await connection.execute(f"{verb} ROLE {role} LOGIN PASSWORD '{password}'")
    if not known:
        await connection.execute(f'GRANT CONNECT, TEMPORARY ON DATABASE "{database}" TO {role}')
        await connection.execute(f"GRANT {role} TO CURRENT_USER")


async def _schema(connection: asyncpg.Connection, area: str) -> None:
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {area} AUTHORIZATION {role_of(area)}")


def role_of(area: str) -> str:
    """Return the name of the role in PostgreSQL of an area, or of ``TRADER``."""
    return f"mesh_{area}"


def _as(dsn: str, user: str, password: str) -> str:
    """Return the DSN for another user."""
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc.rpartition('@')[2]}"))
