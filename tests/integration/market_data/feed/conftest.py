"""A feed's process, and the frames that it tells."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.market_data.live import frames
from services.market_data.live.ports import FeedSpec
from services.market_data.live.process import Processes
from simulators.scripted import NAME, Script, install, script

LONG = 30.0
"""Seconds to wait for what must come."""


class Feed:
    """A process of a feed with all that it has told."""

    def __init__(self, process: Any, reader: Any, writer: Any, log: Path) -> None:
        self.process, self.log = process, log
        self.told: list[frames.Told] = []
        self._writer, self._reader = writer, reader
        self._more = asyncio.Event()
        self._paused: asyncio.Event = asyncio.Event()
        self._paused.set()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for frame in frames.read(self._reader, frames.told):
            self.told.append(frame)
            self._more.set()
            await self._paused.wait()
        self._more.set()

    def pause(self) -> None:
        """Read nothing more, until `resume`."""
        self._paused.clear()

    def resume(self) -> None:
        """Read again."""
        self._paused.set()

    def send(self, *commands: frames.Command) -> None:
        """Send commands."""
        for command in commands:
            self._writer.write(frames.encode(command))

    def of[F](self, kind: type[F], after: int = 0) -> list[F]:
        """Return the frames of a kind told so far."""
        return [frame for frame in self.told[after:] if isinstance(frame, kind)]

    async def until[T](self, condition: Callable[[], T | None], seconds: float = LONG) -> T:
        """Wait until a condition of what was told holds; return its value."""
        try:
            async with asyncio.timeout(seconds):
                while not (value := condition()):
                    self._more.clear()
                    await self._more.wait()
                return value
        except TimeoutError:
            tail = [frame for frame in self.told if not isinstance(frame, frames.Pulse)][-12:]
            log = self.log.read_text()[-3000:] if self.log.exists() else ""
            raise AssertionError(f"told: {tail}\nlog: {log}") from None

    async def state(self, state: str, after: int = 0) -> frames.State:
        """Wait for a state of the connection."""
        return await self.until(
            lambda: next((f for f in self.of(frames.State, after) if f.state == state), None)
        )

    async def item(self, channel: int, state: str, after: int = 0) -> frames.ItemStatus:
        """Wait for a state of a channel."""
        return await self.until(
            lambda: next(
                (
                    f
                    for f in self.of(frames.ItemStatus, after)
                    if (f.channel, f.state) == (channel, state)
                ),
                None,
            )
        )

    async def rows(self, channel: int, count: int) -> list[frames.Batch]:
        """Wait for so many rows of a channel; return all its batches."""

        def found() -> list[frames.Batch]:
            batches = [f for f in self.of(frames.Batch) if f.channel == channel]
            return batches if sum(batch.rows for batch in batches) >= count else []

        return await self.until(found)

    async def answer[F](self, number: int, kind: type[F]) -> F:
        """Wait for the answer to a command."""
        return await self.until(
            lambda: next((f for f in self.of(kind) if f.id == number), None)  # type: ignore[attr-defined]  # an answer
        )

    def hang_up(self) -> None:
        """Close the socket."""
        self._reading.cancel()
        self._writer.close()

    async def close(self) -> int:
        """Stop the process, return its code."""
        if self.process.returncode is None and not self._writer.is_closing():
            self.send(frames.Stop())
        try:
            async with asyncio.timeout(15):
                code = await self.process.wait()
        except TimeoutError:
            self.process.kill()
            code = await self.process.wait()
        self._writer.close()
        self._reading.cancel()
        return int(code)


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Any]:
    """Give what starts a feed, for ``async with``."""
    site = tmp_path / "site"
    paths = ":".join([str(site), *(path for path in sys.path if path)])
    environ = {**os.environ, "PYTHONPATH": paths}
    processes = Processes(tmp_path / "logs", environ, frozenset())

    @asynccontextmanager
    async def started(
        venue: str, config: dict[str, Any], silence: float = 0.0
    ) -> AsyncIterator[Feed]:
        spec = FeedSpec("p", "feed", venue, json.dumps(config), silence, str(tmp_path / "catalog"))
        made = Feed(*await processes(spec), processes.log_of(spec))
        try:
            yield made
        finally:
            await made.close()

    return started


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Script]:
    """Give the scripted venue."""
    install(tmp_path / "site")
    async with script(tmp_path) as made:
        yield made


@pytest.fixture
async def feed(venue: Script, start: Callable[..., Any]) -> AsyncIterator[Feed]:
    """Give a feed that is connected to the scripted venue."""
    async with start(NAME, venue.config) as made:
        await made.state("CONNECTED")
        yield made
