"""Real stores for the tests: a Valkey and a PostgreSQL of their own, never a configured one; and a
whole mesh for those that watch live data through it.
"""

import asyncio
import secrets
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio

from running_mesh import RunningMesh, start_mesh
from services.up.embedded.postgres import postgres
from services.up.embedded.valkey import valkey


def pytest_configure() -> None:
    """Listen to Ctrl-C also when the tests were started in the background of a shell.

    A shell without job control has its background ignore it, every child inherits that, and a
    command that a test interrupts would not hear it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def stores_folder() -> Iterator[Path]:
    """Give a short folder that PostgreSQL's own user can pass through, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="mesh-t-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(stores_folder: Path) -> Iterator[str]:
    """Give the superuser's DSN of a PostgreSQL started for this session."""
    with postgres(stores_folder / "pg", stores_folder / "pg.log", secrets.token_hex(8)) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def valkey_url(stores_folder: Path) -> Iterator[str]:
    """Give the URL of a Valkey started for this session."""
    password = secrets.token_hex(8)
    with valkey(
        stores_folder / "valkey", stores_folder / "run", stores_folder / "v.log", password
    ) as url:
        yield url


@pytest.fixture
async def database_url(postgres_url: str) -> AsyncIterator[str]:
    """Give the DSN of an empty database, dropped at the end."""
    name = f"t_{secrets.token_hex(6)}"
    server = await asyncpg.connect(postgres_url)
    await server.execute(f"CREATE DATABASE {name}")
    yield postgres_url.replace("/postgres?", f"/{name}?")
    await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await server.close()


@pytest.fixture
async def redis_url(valkey_url: str) -> str:
    """Give the URL of the session's Valkey, emptied."""
    client = redis.asyncio.Redis.from_url(valkey_url)
    await asyncio.wait_for(client.flushall(), 10)
    await client.aclose()
    return valkey_url


LIVE = {
    "MESH_MARKET_DATA_RETENTION_MB": "1",  # so that readers can be late without long waiting
    "MESH_MARKET_DATA_RETENTION_S": "300",  # a slow machine is none of what is tested
    "MESH_MARKET_DATA_FEED_MB": "64",
    "MESH_MARKET_DATA_FEED_IDLE_S": "2",
}


@pytest.fixture(scope="session")
def live_mesh() -> Iterator[RunningMesh]:
    """Give a mesh for tests of live data, which make feeds of their own. Services may be killed in
    it: they come back.
    """
    with tempfile.TemporaryDirectory(prefix="mesh-l-") as name:
        Path(name).chmod(0o711)  # PostgreSQL's user passes through
        running = start_mesh(Path(name) / "data", "--bare", settings=LIVE)
        try:
            running.wait_for("mesh ready")
            yield running
        finally:
            running.stop()
