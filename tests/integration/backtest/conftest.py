"""Workers and stores of the tests' own."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from meshkit.database import Database
from meshkit.redis_client import open_redis
from services.backtest.main import MIGRATIONS
from services.backtest.store import RunStore

ROOT = Path(__file__).resolve().parents[3]


async def eventually[T](look: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Await a look that returns something true, within a bound."""
    async with asyncio.timeout(seconds):
        while not (found := await look()):
            await asyncio.sleep(0.02)
        return found


@dataclass
class Workers:
    """Worker processes, started and killed by tests."""

    environment: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, **more: str) -> subprocess.Popen[bytes]:
        """Start a worker process."""
        process = subprocess.Popen(
            [sys.executable, "-m", "services.backtest.worker"],
            env={**self.environment, **more},
            cwd=ROOT,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """End all workers, and wait for them."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@dataclass(frozen=True)
class Bench:
    """A database, a catalog, an archive, and workers on them."""

    database: Database
    database_url: str
    redis_url: str
    redis: Any
    store: RunStore
    catalog: Path
    archive: Path
    workers: Workers


@pytest.fixture
async def bench(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """Give everything that runs need but the API."""
    catalog, archive = tmp_path / "catalog", tmp_path / "archive"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}:{ROOT / 'libs'}",
        "MESH_DATABASE_URL": database_url,
        "MESH_REDIS_URL": redis_url,
        "MESH_CATALOG": str(catalog),
        "MESH_ARCHIVE": str(archive),
        "MESH_BACKTEST_LEASE_SECONDS": "2",
        "MESH_BACKTEST_SLOTS": "2",
    }
    workers = Workers(environment)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database.open(database_url, schema="backtest", migrations=MIGRATIONS)
        )
        client = await stack.enter_async_context(open_redis(redis_url))
        stack.callback(workers.stop)
        yield Bench(
            database, database_url, redis_url, client, RunStore(), catalog, archive, workers
        )


@pytest.fixture
def no_leftovers() -> Iterator[None]:
    """Check that no run's process outlives its test."""
    yield
    left = subprocess.run(
        ["pgrep", "-f", "services.backtest.engine.preload"], capture_output=True, check=False
    )
    assert left.stdout == b""


@pytest.fixture
async def mesh(bench: Bench, tmp_path: Path) -> AsyncIterator[Any]:
    """Give the API with what it needs around it, and a worker."""
    from integration.backtest.live import opened_mesh  # it needs this module

    async with opened_mesh(bench, tmp_path) as opened:
        yield opened
