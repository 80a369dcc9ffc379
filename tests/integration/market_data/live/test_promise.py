"""Every row is received once, or lies in a gap said between its neighbours: case MD-34."""

import asyncio
import os
import random
import signal
from dataclasses import dataclass, field, replace

import pytest

from integration.market_data.live.conftest import QUICK, Live, Open, Reading, Script, quotes, until
from mesh.marketdata.v1 import live_pb2 as pb
from services.market_data.live.log import Bounds

NAMES = ("A.SIM", "B.SIM", "C.SIM")
STEPS = 120


@dataclass
class Story:
    """A reader that leaves and comes back, and a feed that breaks, by the draw of a seed."""

    live: Live
    subscription: str
    draw: random.Random
    columns: bool
    script: Script
    reading: Reading | None = None
    cursor: str = ""
    processes: int = 1
    sent: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    told: list[Reading] = field(default_factory=list)

    async def step(self) -> None:
        """Do something."""
        what = self.draw.random()
        if what < 0.55:
            await self.play(self.draw.choice(NAMES), self.draw.randrange(1, 40))
        elif what < 0.75:
            await self.read()
        elif what < 0.92:
            await self.leave()
        elif what < 0.96:
            await self.script.do("gap", cause="VENUE_DISCONNECTED")
        else:
            await self.kill()

    async def play(self, name: str, rows: int) -> None:
        """Have the feed send rows of a channel."""
        await self.script.play(name, rows=rows, start=self.sent[name])
        self.sent[name] += rows

    async def read(self) -> None:
        """Read a message, coming back if need be."""
        if self.reading is None:
            self.reading = self.live.watch(
                self.subscription, columns=self.columns, after_cursor=self.cursor
            )
            self.told.append(self.reading)
        await self.play(self.draw.choice(NAMES), 1)  # so that there is one to come
        await self.reading.message()

    async def leave(self) -> None:
        """Go away with the cursor of the last message."""
        if self.reading is not None and self.reading.messages:
            self.reading.call.cancel()
            self.cursor, self.reading = self.reading.cursor, None

    async def kill(self) -> None:
        """Kill the feed's process, and wait for the next one."""
        os.kill(self.script.pid, signal.SIGKILL)
        self.processes += 1
        self.script = await self.live.venue.script(self.processes)
        await until(self._is_back, "channels of the next process")

    async def _is_back(self) -> bool:
        look = await self.script.do("look")
        feed = await self.live.get_feed()
        return look.get("open") == sorted(NAMES) and feed.state == pb.FEED_STATE_CONNECTED

    async def end(self) -> None:
        """Read all that was sent: the last row of each channel, or a snapshot that has it."""
        for name in NAMES:
            await self.play(name, 1)
        if self.reading is None:
            await self.read()
        assert self.reading is not None
        while any(self.last(name) < self.sent[name] - 1 for name in NAMES):
            await self.reading.message()

    def last(self, name: str) -> int:
        """Return the highest number that came of a channel."""
        return max((n for _, n in self.record(name) if n is not None), default=-1)

    def record(self, name: str) -> list[tuple[str, int | None]]:
        """Return what came of a channel over all its readings, in order."""
        made: list[tuple[str, int | None]] = []
        for reading in self.told:
            for item in reading.items:
                alone = Reading(None)
                alone.items = [item]
                made += [("row", number) for number in alone.numbers(name)]
                if item.HasField("gap") and item.gap.channel.instrument_id in {"", name}:
                    made.append(("gap", None))
                for snapshot in alone.snapshots(name):
                    if snapshot.HasField("latest"):
                        number = round(float(snapshot.latest.quote.bid_price) * 100)
                        made.append(("snapshot", number))
        return made


def _check(record: list[tuple[str, int | None]]) -> int:
    """Check the promise; returns how many rows lay in gaps."""
    reached, in_gap, lost, began = -1, False, 0, False
    for kind, number in record:
        if kind == "gap":
            in_gap = True
        elif number is not None and kind == "snapshot":
            assert number >= reached
            assert in_gap or number == reached or not began  # a first one begins anywhere
            lost += number - reached if began else 0
            reached, in_gap = number, in_gap and number == reached
        elif number is not None:
            assert number > reached, "a row came twice, or out of order"
            if began:
                assert number == reached + 1 or in_gap, "rows are missing, and no gap says so"
                lost += number - reached - 1
            reached, in_gap = number, False
        began = True
    return lost


@pytest.mark.parametrize("seed", range(4))
async def test_md34_the_promise(open_live: Open, seed: int) -> None:
    """MD-34: through departures, a short retention, gaps of the venue and killed processes."""
    bounds = Bounds(channel_bytes=6_000)
    live = await open_live(replace(QUICK, bounds=bounds, hang=20.0))
    await live.feed()
    subscription = await live.subscribe(quotes(*NAMES))
    script = await live.venue.script()
    draw = random.Random(seed)
    story = Story(live, subscription, draw, columns=seed % 2 == 0, script=script)
    await story.read()
    async with asyncio.timeout(100):
        for _ in range(STEPS):
            await story.step()
        await story.end()
    assert len(story.told) > 3
    for name in NAMES:
        record = story.record(name)
        assert ("gap", None) in record
        _check(record)
        assert story.last(name) == story.sent[name] - 1
