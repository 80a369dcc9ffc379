"""Logs of traders: one file each that all its processes write to, read from its end."""

import asyncio
import os
import shutil
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from mesh.execution.v1.trader_service_pb2 import ReadTraderLogRequest
from meshkit.context import caller
from meshkit.errors import Draining, TokenExpired
from meshkit.link import wait
from services.live_execution.domain import Trader
from services.live_execution.errors import LogUnavailable

TAIL = 100
LONGEST = 8192
"""Characters of a line that are shown."""

AT_ONCE = 500
"""Lines in a message."""

LOOK = 0.2
"""Seconds between looks at a file that is followed."""

ASK = 1.0
"""Seconds between looks at whether the trader is still there."""

BLOCK = 64 * 1024


class TraderLogs:
    """The files of traders in a folder of this host.

    Parameters
    ----------
    folder
        Root: ``<project>/<Trader.folder>`` each.
    host
        This host's name: a trader that ran on another has its log there.
    draining
        Ends who follows.

    """

    def __init__(self, folder: Path, host: str, draining: asyncio.Event) -> None:
        self._folder = folder
        self._host = host
        self._draining = draining

    def home(self, trader: Trader) -> Path:
        """Return the folder of a trader's journal and log."""
        return self._folder / trader.project / trader.folder

    def path(self, trader: Trader) -> Path:
        """Return the log file of a trader; the part before it has the suffix ``.log.1``."""
        return self.home(trader) / "trader.log"

    def open_for_writing(self, trader: Trader) -> int:
        """Return a descriptor to which a process appends."""
        path = self.path(trader)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def rotate(self, trader: Trader, largest: int) -> None:
        """Put a log of more than ``largest`` bytes aside.

        Its process holds the file open, so it is copied and emptied; the lines of that very
        moment may be lost.
        """
        path = self.path(trader)
        if path.exists() and path.stat().st_size > largest:
            await asyncio.to_thread(shutil.copyfile, path, path.with_suffix(".log.1"))
            os.truncate(path, 0)

    def tail(self, trader: Trader, lines: int, contains: str = "") -> list[str]:
        """Return the last lines, the oldest first."""
        return self._end_of(trader, lines, contains)[0]

    def _end_of(self, trader: Trader, lines: int, contains: str) -> tuple[list[str], int]:
        """Return the last whole lines, and where in the file they end."""
        path = self.path(trader)
        found, place = _last(path, lines, contains)
        if len(found) < lines:
            found = [*_last(path.with_suffix(".log.1"), lines - len(found), contains)[0], *found]
        return [shown(raw) for raw in found], place

    async def forget(self, trader: Trader) -> None:
        """Remove journal and log of a deleted trader."""
        await asyncio.to_thread(shutil.rmtree, self.home(trader), ignore_errors=True)

    async def read(
        self, trader: Trader, request: ReadTraderLogRequest, again: Callable[[], Awaitable[Trader]]
    ) -> AsyncIterator[list[str]]:
        """Yield the last lines and, when followed, what comes until the trader is deleted.

        Raises ``LogUnavailable`` when it is elsewhere, ``TraderNotFound`` when it was deleted.
        """
        path = self.path(trader)
        if not path.exists() and trader.host not in ("", self._host):
            raise LogUnavailable(
                f"The log of '{trader.trader_id}' is on the host '{trader.host}'.",
                metadata={"trader_id": trader.trader_id},
            )
        last, place = await asyncio.to_thread(
            self._end_of, trader, request.tail_lines or TAIL, request.contains
        )
        for start in range(0, len(last), AT_ONCE):
            yield last[start : start + AT_ONCE]
        if request.follow:
            async for lines in self._follow(Follower(path, place, request.contains), again):
                yield lines

    async def _follow(
        self, follower: "Follower", again: Callable[[], Awaitable[Trader]]
    ) -> AsyncIterator[list[str]]:
        ends, looked = caller().expires_at, 0.0
        while True:
            if lines := await asyncio.to_thread(follower.more):
                yield lines
                continue
            if self._draining.is_set():
                raise Draining("The server is stopping. Read the log again.")
            if time.time() >= ends:
                raise TokenExpired("The token has expired. Read the log again.")
            await wait(self._draining, LOOK)
            if time.monotonic() - looked >= ASK:
                looked = time.monotonic()
                await again()


def shown(raw: bytes) -> str:
    """Return a line as it is shown."""
    return raw.decode(errors="replace").rstrip("\r\n")[:LONGEST]


def _last(path: Path, lines: int, contains: str) -> tuple[list[bytes], int]:
    """Return the last whole lines of a file that hold a text, and where they end."""
    found, place, text = deque[bytes](maxlen=lines), 0, contains.encode()
    try:
        with path.open("rb") as file:
            for raw in file:
                if not raw.endswith(b"\n"):
                    break
                place += len(raw)
                if text in raw:
                    found.append(raw)
    except FileNotFoundError:
        pass
    return list(found), place


class Follower:
    """Reads what is appended to a file after a place, over rotations."""

    def __init__(self, path: Path, place: int, contains: str) -> None:
        self._path, self._place = path, place
        self._contains = contains.encode()
        self._rest = b""

    def more(self) -> list[str]:
        """Return the next whole lines, none when there are none yet."""
        try:
            with self._path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < self._place:  # it was emptied
                    self._place, self._rest = 0, b""
                file.seek(self._place)
                block = file.read(BLOCK)
        except FileNotFoundError:
            return []
        self._place += len(block)
        *whole, self._rest = (self._rest + block).split(b"\n")
        if len(self._rest) > BLOCK:  # a line without an end
            whole, self._rest = [self._rest], b""
        return [shown(line) for line in whole if self._contains in line]
