"""Logs of traders: one file each that all its processes write to, read from its end."""

import asyncio
import os
import shutil
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from mesh.execution.v1.trader_service_pb2 import ReadTraderLogRequest
from services.live_execution.domain import Trader
from services.live_execution.errors import LogUnavailable

TAIL = 100
LONGEST = 8192
"""Characters of a line that are shown."""

AT_ONCE = 500
"""Lines in a message."""

LOOK = 0.2
"""Seconds between looks at a file that is followed."""

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
        path, found = self.path(trader), deque[str](maxlen=lines)
        for part in (path.with_suffix(".log.1"), path):
            try:
                with part.open("rb") as file:
                    found.extend(_lines(file, contains))
            except FileNotFoundError:
                continue
        return list(found)

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
        follower = Follower(path, request.contains)
        last = await asyncio.to_thread(
            self.tail, trader, request.tail_lines or TAIL, request.contains
        )
        for start in range(0, len(last), AT_ONCE):
            yield last[start : start + AT_ONCE]
        while request.follow and not self._draining.is_set():
            if lines := await asyncio.to_thread(follower.more):
                yield lines
            else:
                await asyncio.sleep(LOOK)
                await again()


def _lines(file: BinaryIO, contains: str) -> Iterator[str]:
    for raw in file:
        line = raw.decode(errors="replace").rstrip("\r\n")[:LONGEST]
        if contains in line:
            yield line


class Follower:
    """Reads what is appended to a file from now on, over rotations."""

    def __init__(self, path: Path, contains: str) -> None:
        self._path = path
        self._contains = contains
        self._place = path.stat().st_size if path.exists() else 0
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
        shown = (line.decode(errors="replace").rstrip("\r")[:LONGEST] for line in whole)
        return [line for line in shown if self._contains in line]
