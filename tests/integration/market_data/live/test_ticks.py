"""Batches in Redis, and metrics: cases MD-30 and MD-31."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY, generate_latest

from integration.market_data.live.conftest import Live, quotes, until
from mesh.marketdata.v1 import live_pb2 as pb
from meshkit.redis_client import open_redis
from services.market_data.live import frames
from services.market_data.live.domain import Channel, Feed
from services.market_data.live.feed import LiveFeed
from services.market_data.live.log import Bounds, LiveChannel
from services.market_data.live.ports import NoRecorder
from services.market_data.live.taps import Taps
from services.market_data.live.ticks import TickStreams
from services.up.embedded.valkey import User, Valkey
from services.up.stores import patterns

STREAM = b"ticks:default:sim:A.SIM:QUOTE_TICK"


async def test_md30_batches_are_published(live: Live, redis_url: str) -> None:
    """MD-30a: each batch is an entry of its channel's stream, with epoch and number."""
    await live.feed()
    await live.subscribe(quotes("A.SIM"))
    script = await live.venue.script()
    await script.play("A.SIM", rows=3, batches=4)
    async with open_redis(redis_url) as client:
        await until(lambda: _length(client, 4))
        entries = await _entries(client)
    assert [entry[b"s"] for entry in entries] == [b"1", b"2", b"3", b"4"]
    assert {entry[b"n"] for entry in entries} == {b"3"}
    epoch = live.hub.get("default", "sim").live.epoch
    assert {entry[b"e"] for entry in entries} == {epoch.encode()}
    batch = pb.MarketDataBatch.FromString(entries[0][b"p"])
    assert (batch.rows, batch.channel.instrument_id) == (3, "A.SIM")


async def _length(client: Any, count: int) -> bool:
    return bool(await client.xlen(STREAM) == count)


async def _entries(client: Any) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in await client.xrange(STREAM)]


def _feed() -> tuple[LiveFeed, LiveChannel]:
    feed = LiveFeed(
        Feed("default", "sim", "t", "SIM", "{}", 0), Bounds(), Taps(NoRecorder()), lambda _: None
    )
    return feed, LiveChannel(Channel("QUOTE_TICK", "A.SIM"), 0)


def _batch(number: int, size: int = 100) -> frames.Batch:
    return frames.Batch(0, number, 2, 0, 0, b"x" * size)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Valkey]:
    """Give a Valkey that the test may stop, with the users of the mesh."""
    user = User("market_data", "secret", patterns("market_data"))
    made = Valkey(tmp_path / "valkey", tmp_path / "run", tmp_path / "v.log", "admin", [user])
    await asyncio.to_thread(made.start)
    yield made
    await asyncio.to_thread(made.stop)


async def test_md30_what_redis_misses_is_told(server: Valkey) -> None:
    """MD-30b: while Redis is away nobody waits; what it missed is one `gap` entry in its place once
    it is back. The service's own user may write these streams.
    """
    feed, channel = _feed()
    async with (
        open_redis(server.url("market_data", "secret")) as client,
        TickStreams(client, 100, largest=1_000) as ticks,
    ):
        ticks.offer(feed, channel, _batch(1))
        await until(lambda: _length(client, 1))
        await asyncio.to_thread(server.stop)
        for number in range(2, 50):
            ticks.offer(feed, channel, _batch(number))  # returns at once
        await asyncio.to_thread(server.start)
        await until(lambda: _length(client, 2))
        ticks.offer(feed, channel, _batch(50))
        await until(lambda: _length(client, 3))
        entries = await _entries(client)
    assert [entry.get(b"s") for entry in entries] == [b"1", None, b"50"]
    gap = entries[1]
    assert (gap[b"gap"], gap[b"from"], gap[b"to"], gap[b"n"]) == (b"48", b"2", b"49", b"96")


async def test_md30_streams_are_bounded_in_bytes(server: Valkey) -> None:
    """MD-30c: large batches are kept by their bytes, shared among the streams; every stream has an
    expiry.
    """
    feed, channel = _feed()
    other = LiveChannel(Channel("QUOTE_TICK", "B.SIM"), 1)
    async with (
        open_redis(server.url("market_data", "secret")) as client,
        TickStreams(client, 1_000, total=400_000) as ticks,
    ):
        for number in range(1, 201):
            for each in (channel, other):
                ticks.offer(feed, each, _batch(number, 20_000))
        await until(lambda: _last(client, b"200"))
        assert 1 <= await client.xlen(STREAM) <= 12
        assert 3_000 < await client.ttl(STREAM) <= 3_600


async def test_md30_streams_go_with_their_feed(server: Valkey) -> None:
    """MD-30d: the streams of a deleted feed are removed, after what waited for them and though
    Redis was away; those of another feed stay.
    """
    feed, channel = _feed()
    rest = LiveFeed(
        Feed("default", "sim2", "t", "SIM", "{}", 0), Bounds(), Taps(NoRecorder()), lambda _: None
    )
    async with (
        open_redis(server.url("market_data", "secret")) as client,
        TickStreams(client, 100) as ticks,
    ):
        ticks.offer(feed, channel, _batch(1))
        await until(lambda: _length(client, 1))
        await asyncio.to_thread(server.stop)
        ticks.offer(feed, channel, _batch(2))
        Taps(NoRecorder(), [ticks]).forget(feed)
        ticks.offer(rest, channel, _batch(1))
        await asyncio.to_thread(server.start)
        await until(lambda: client.exists("ticks:default:sim2:A.SIM:QUOTE_TICK"))
        assert not await client.exists(STREAM)


async def _last(client: Any, number: bytes) -> bool:
    found = await client.xrevrange(STREAM, count=1)
    return bool(found and found[0][1].get(b"s") == number)


async def test_md31_metrics_of_feeds(live: Live) -> None:
    """MD-31: rows, gaps by cause, state, channels and watchers of each feed are told."""
    await live.feed()
    subscription = await live.subscribe(quotes("A.SIM"))
    reading = live.watch(subscription)
    await reading.message()
    script = await live.venue.script()
    await script.play("A.SIM", rows=7)
    await script.do("gap", cause="VENUE_SILENT")
    await reading.until(lambda r: r.gaps())
    labels = {"project": "default", "feed": "sim", "venue": "SIM"}
    value = REGISTRY.get_sample_value
    assert value("mesh_feed_rows_total", labels) == 7
    assert value("mesh_feed_gaps_total", {**labels, "cause": "VENUE_SILENT"}) == 1
    assert value("mesh_feed_state", {**labels, "state": "CONNECTED"}) == 1
    assert value("mesh_feed_channels", labels) == value("mesh_feed_watchers", labels) == 1
    assert 0 <= (value("mesh_feed_lag_seconds", labels) or -1) < 60
    assert b"mesh_feed_process_cpu_seconds" in generate_latest()
