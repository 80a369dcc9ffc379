"""A replay through the service: what readers get, and how they control it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from integration.market_data.live.conftest import (  # noqa: F401 - fixtures
    Live,
    Open,
    new_id,
    open_live,
    quotes,
    until,
    venue,
)
from integration.market_data.replay.made import AUD, SECOND, START, write
from integration.market_data.replay.made import quotes as made_quotes
from mesh.marketdata.v1 import feed_service_pb2 as rpc
from services.market_data.live.process import Processes

ROWS = 20_000
QUOTES = made_quotes(ROWS, SECOND // 100)
BIDS = [round(float(quote.bid_price) * 100_000) for quote in QUOTES]
NAME = str(AUD.id)


@pytest.fixture
async def live(open_live: Open, tmp_path: Path) -> Live:  # noqa: F811
    """Give a service with a replay of some minutes, at full speed and paused."""
    served = await open_live(start=Processes(tmp_path / "logs", os.environ, frozenset()))
    write(served.config.catalog / "default", QUOTES)
    request = rpc.CreateFeedRequest(
        request_id=new_id(),
        feed_id="sim",
        venue="REPLAY",
        config_json=json.dumps({"speed": 0, "paused": True}),
    )
    await served.feeds.CreateFeed(request)
    return served


def _about(**more: Any) -> dict[str, Any]:
    return {"request_id": new_id(), "feed_id": "sim", **more}


async def test_rows_and_a_seek(live: Live) -> None:
    """A lossless reader gets every row once, and after a seek the gap and the rows from there."""
    reading = live.watch(await live.subscribe(quotes(NAME)), columns=True)
    await reading.message()
    await live.feeds.ResumeReplay(rpc.ResumeReplayRequest(**_about()))
    assert await reading.rows(ROWS) == BIDS
    await until(lambda: _ended(live), "the end")
    seek = rpc.SeekReplayRequest(**_about())
    seek.position.FromNanoseconds(START + 100 * SECOND)
    assert not (await live.feeds.SeekReplay(seek)).feed.replay.ended
    assert await reading.rows(2 * ROWS - 10_000) == BIDS + BIDS[10_000:]
    assert reading.gaps() == ["REPLAY_SOUGHT"]


async def _ended(live: Live) -> bool:
    return bool((await live.get_feed()).replay.ended)


async def test_a_restart_goes_on(live: Live) -> None:
    """A replay whose process dies goes on where it was told to be, after a gap that says so."""
    reading = live.watch(await live.subscribe(quotes(NAME)), columns=True)
    await reading.message()
    await live.feeds.SetReplaySpeed(rpc.SetReplaySpeedRequest(**_about(speed=10)))
    await live.feeds.ResumeReplay(rpc.ResumeReplayRequest(**_about()))
    await reading.rows(500)
    await live.feeds.PauseReplay(rpc.PauseReplayRequest(**_about()))
    await live.feeds.RestartFeed(rpc.RestartFeedRequest(**_about()))
    await live.feeds.SetReplaySpeed(rpc.SetReplaySpeedRequest(**_about(speed=0)))
    await until(lambda: _restarted(live), "the restart")
    await live.feeds.ResumeReplay(rpc.ResumeReplayRequest(**_about()))
    assert await reading.rows(ROWS) == BIDS
    assert reading.gaps() == ["FEED_RESTARTED"]


async def _restarted(live: Live) -> bool:
    feed = await live.get_feed()
    return bool(feed.starts == 2 and feed.channels == 1 and feed.replay.paused)
