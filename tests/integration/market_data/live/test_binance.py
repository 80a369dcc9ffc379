"""The whole way, from Nautilus' Binance adapter to a client: case MD-32."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from integration.market_data.live.conftest import (
    QUICK,
    Live,
    Open,
    Reading,
    books,
    new_id,
    quotes,
    until,
)
from mesh.marketdata.v1 import feed_service_pb2 as rpc
from mesh.marketdata.v1 import live_pb2 as pb
from services.market_data.live.serving import starter
from services.market_data.live.venues import Venues
from simulators.binance.venue import Binance

ID = "BTCUSDT.BINANCE"


@pytest.fixture
async def exchange() -> AsyncIterator[Binance]:
    """Give a simulated Binance."""
    async with Binance() as venue:
        yield venue


@pytest.fixture
async def binance(open_live: Open, exchange: Binance, tmp_path: Path) -> Live:
    """Give a service with a feed of the simulated Binance, its process the real one."""
    venues = Venues()
    settings = replace(QUICK, hang=20.0)  # a busy machine is no hanging process
    live = await open_live(
        settings, venues=venues, start=starter(venues, tmp_path / "logs", os.environ)
    )
    request = rpc.CreateFeedRequest(
        request_id=new_id(),
        feed_id="sim",
        venue="BINANCE",
        config_json=json.dumps(exchange.client("spot")),
    )
    await live.feeds.CreateFeed(request)
    return live


def _sent(exchange: Binance) -> list[str]:
    """Return the bid prices of the quotes that the venue sent to somebody."""
    events: Any = exchange.sent
    rows = [e.row for e in events if e.kind == "quote" and e.symbol == "BTCUSDT"]
    return [str(row["b"]) for row in rows]


def _got(reading: Reading) -> list[str]:
    updates = [item.update for item in reading.items if item.update.HasField("quote")]
    return [update.quote.bid_price for update in updates]


async def test_md32_a_venue_and_its_readers(binance: Live, exchange: Binance) -> None:
    """MD-32a: what the venue sends is what two readers get, over one connection a pool; books have
    a snapshot; a killed process is a gap, and data goes on after it.
    """
    one = await binance.subscribe([*quotes(ID), *books(ID)])
    two = await binance.subscribe(quotes(ID))
    first, second = binance.watch(one), binance.watch(two)
    await first.message()
    await second.message()
    for _ in range(50):
        exchange.quote("spot", "BTCUSDT")
    await second.until(lambda r: len(_got(r)) == 50)
    await first.until(lambda r: len(_got(r)) == 50)
    assert _got(first) == _got(second) == _sent(exchange)[-50:]
    assert exchange.hub.peak <= 2  # quotes and books share a pool of the adapter's two
    feed = await binance.get_feed()
    assert (feed.state, feed.channels, feed.starts) == (pb.FEED_STATE_CONNECTED, 2, 1)
    os.kill(await _pid(), signal.SIGKILL)
    await second.until(lambda r: r.gaps() == ["FEED_RESTARTED"])
    await until(lambda: _live(binance, two))
    exchange.quote("spot", "BTCUSDT")
    await second.until(lambda r: len(_got(r)) == 51)
    assert second.gaps() == ["FEED_RESTARTED"]


async def _pid() -> int:
    """Return the process of the feed: the only one that this process has of the kind."""
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes()
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if b"services.market_data.engine.feed" in command and int(parent) == os.getpid():
            return int(entry.name)
    raise AssertionError("there is no process of a feed")


async def _live(live: Live, subscription: str) -> bool:
    items = (await live.get(subscription)).items
    return all(item.state == pb.ITEM_STATE_LIVE for item in items)


async def test_md32_a_dropped_connection(binance: Live, exchange: Binance) -> None:
    """MD-32b: a connection that the venue drops is a gap with its cause; rows go on after it."""
    subscription = await binance.subscribe(quotes(ID))
    reading = binance.watch(subscription)
    await reading.message()
    exchange.quote("spot", "BTCUSDT")
    await reading.until(lambda r: len(_got(r)) == 1)
    exchange.drop(abruptly=True)
    await reading.until(lambda r: r.gaps() == ["VENUE_DISCONNECTED"])
    exchange.quote("spot", "BTCUSDT")
    await asyncio.wait_for(reading.until(lambda r: len(_got(r)) == 2), 30)
    assert _got(reading) == _sent(exchange)[-2:]
    listed = await binance.feeds.ListFeedInstruments(
        rpc.ListFeedInstrumentsRequest(feed_id="sim", text="BTC")
    )
    assert ID in [each.instrument_id for each in listed.instruments]
