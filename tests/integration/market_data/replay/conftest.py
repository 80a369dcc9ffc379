"""A replay's process on a catalog of the test's own."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from integration.market_data.feed.conftest import LONG, Feed
from services.market_data.live import frames
from services.market_data.live.ports import FeedSpec
from services.market_data.live.process import Processes


class Replay(Feed):
    """The process of a replay."""

    numbers = 1_000

    async def control(self, action: str, **about: Any) -> frames.Answer:
        """Control the replay; return the answer."""
        self.numbers += 1
        self.send(frames.Control(self.numbers, action, **about))
        return await self.answer(self.numbers, frames.Answer)

    def unheard(self, action: str) -> None:
        """Control the replay without waiting for the answer."""
        self.numbers += 1
        self.send(frames.Control(self.numbers, action))

    async def stuffed(self) -> None:
        """Wait until nothing more is taken from the socket."""
        async with asyncio.timeout(LONG):
            while not self._reader._paused:
                await asyncio.sleep(0.01)

    def now(self) -> float:
        """Return seconds that never go back."""
        return asyncio.get_running_loop().time()

    async def position(
        self, condition: Callable[[frames.ReplayPosition], bool], after: int = 0
    ) -> frames.ReplayPosition:
        """Wait for a position that was told."""
        found: frames.ReplayPosition = await self.until(
            lambda: next(
                (each for each in self.of(frames.ReplayPosition, after) if condition(each)), None
            )
        )
        return found

    async def end(self, after: int = 0) -> frames.ReplayPosition:
        """Wait for the end of the replay."""
        return await self.position(lambda told: told.ended, after)

    def batches(self, channel: int, after: int = 0) -> list[frames.Batch]:
        """Return the batches of a channel."""
        return [batch for batch in self.of(frames.Batch, after) if batch.channel == channel]


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """Give the folder of a project's catalog."""
    return tmp_path / "catalog" / "p"


@pytest.fixture
def replay(tmp_path: Path, catalog: Path) -> Callable[..., Any]:
    """Give what starts a replay, for ``async with``; it is paused unless told otherwise."""
    processes = Processes(tmp_path / "logs", os.environ, frozenset())

    @asynccontextmanager
    async def started(config: dict[str, Any] | None = None, **about: Any) -> AsyncIterator[Replay]:
        told = {"speed": 0, "paused": True, **(config or {})}
        spec = FeedSpec("p", "replay", "REPLAY", json.dumps(told), 0.0, str(catalog), **about)
        made = Replay(*await processes(spec), processes.log_of(spec))
        try:
            await made.until(lambda: [s for s in made.of(frames.State) if s.state != "CONNECTING"])
            yield made
        finally:
            await made.close()

    return started
