"""The embedded stores: private, durable, adopted after our death, recovered after theirs."""

import asyncio
import os
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis

from services.up.embedded.postgres import ROOTS_PLACE, find_place, postgres
from services.up.embedded.process import (
    LONGEST_SOCKET_FOLDER,
    EmbeddedError,
    private_folder,
    process_alive,
    socket_folder,
)
from services.up.embedded.valkey import valkey

DIES = """
import os, sys
from pathlib import Path
from services.up.embedded.postgres import postgres
from services.up.embedded.valkey import valkey
folder = Path(sys.argv[1])
with (
    valkey(folder / "valkey", folder / "run", folder / "valkey.log", "secret"),
    postgres(folder / "postgres", folder / "postgres.log", "secret"),
):
    os.kill(os.getpid(), 9)
"""
"""A start that is killed before it can stop what it started."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a short folder that anybody may pass through."""
    with tempfile.TemporaryDirectory(prefix="mesh-e-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _pid(folder: Path) -> int:
    return int((folder / "postgres/data/postmaster.pid").read_text().split()[0])


async def test_postgres_keeps_its_data_after_a_crash(folder: Path) -> None:
    """What was committed is there after kill -9 of the server."""
    log = folder / "postgres.log"
    with postgres(folder / "postgres", log, "secret") as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
        os.kill(_pid(folder), signal.SIGKILL)
        connection.terminate()
    with postgres(folder / "postgres", log, "secret") as dsn:
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("SELECT value FROM kept") == 7
        await connection.close()
    assert "was not properly shut down" in log.read_text()


async def test_postgres_is_private(folder: Path) -> None:
    """There is no TCP port, others cannot reach the socket, a wrong password is refused."""
    with postgres(folder / "postgres", folder / "postgres.log", "secret") as dsn:
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("SHOW listen_addresses") == ""
        await connection.close()
        assert _mode(folder / "postgres/run") == 0o700
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(dsn.replace("secret", "wrong"))
    assert _mode(folder) == 0o711


def test_valkey_keeps_its_data_and_wants_a_password(folder: Path) -> None:
    """A write outlives a restart; without the password nothing is told."""
    places = (folder / "valkey", folder / "run", folder / "valkey.log", "secret")
    with valkey(*places) as url:
        redis.Redis.from_url(url).set("kept", "7")
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(unix_socket_path=str(folder / "run/valkey.sock")).get("kept")
        assert _mode(folder / "run/valkey.sock") == 0o600
    with valkey(*places) as url:
        assert redis.Redis.from_url(url).get("kept") == b"7"


async def test_what_still_runs_is_adopted_and_then_stopped(folder: Path) -> None:
    """After kill -9 of the one who started them, both stores go on under the next one."""
    died = await asyncio.create_subprocess_exec(sys.executable, "-c", DIES, folder)
    assert await died.wait() == -signal.SIGKILL
    theirs = (_pid(folder), int((folder / "valkey/valkey.pid").read_text()))
    assert all(process_alive(pid) for pid in theirs)
    with (
        valkey(folder / "valkey", folder / "run", folder / "valkey.log", "secret") as url,
        postgres(folder / "postgres", folder / "postgres.log", "secret") as dsn,
    ):
        assert redis.Redis.from_url(url).ping()
        await (await asyncpg.connect(dsn)).close()
        assert (_pid(folder), int((folder / "valkey/valkey.pid").read_text())) == theirs
    assert not any(process_alive(pid) for pid in theirs)


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    """The end of the log is in the error."""
    (folder / "valkey").mkdir(mode=0o700)
    (folder / "valkey/appendonlydir").write_text("not a folder")
    with (
        pytest.raises(EmbeddedError, match="Valkey did not start") as caught,
        valkey(folder / "valkey", folder / "run", folder / "valkey.log", "secret"),
    ):
        pass
    assert "appendonlydir" in str(caught.value)


def test_a_folder_that_others_may_enter_is_refused(folder: Path) -> None:
    """We do not use such a folder, and do not change its mode."""
    (folder / "open").mkdir()
    (folder / "open").chmod(0o755)
    with pytest.raises(EmbeddedError, match="not a private folder"):
        private_folder(folder / "open")
    assert _mode(folder / "open") == 0o755


def test_a_long_path_gets_a_short_private_folder(folder: Path) -> None:
    """A socket's path fits however deep the data folder is."""
    found = socket_folder(folder / ("x" * LONGEST_SOCKET_FOLDER))
    try:
        assert len(str(found)) < LONGEST_SOCKET_FOLDER
        assert _mode(found) == 0o700
    finally:
        found.rmdir()


async def test_a_folder_below_a_closed_one(folder: Path) -> None:
    """Root's cluster moves where its user can reach it; anybody else's stays. No mode changes."""
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    place = find_place(closed / "postgres")
    try:
        with postgres(closed / "postgres", folder / "postgres.log", "secret") as dsn:
            await (await asyncpg.connect(dsn)).close()
        expected = ROOTS_PLACE if os.geteuid() == 0 else closed
        assert place.folder.parent == expected
        assert _mode(closed) == 0o700
    finally:
        shutil.rmtree(place.folder)
