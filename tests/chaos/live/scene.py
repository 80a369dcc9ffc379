"""Twenty clients on a feed of the counting venue, while one thing after another breaks."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from chaos.live.breaking import Fault, Place, kill_service
from chaos.live.readers import Reader, all_have, clients, no_faults, reading, until
from chaos.live.venue import running_venue
from mesh.marketdata.v1 import live_pb2 as pb
from meshclient.client import MeshClient
from running_mesh import RunningMesh

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
FOUR = (*SYMBOLS, "XRPUSDT")
CHANNELS = tuple(f"{name}.BINANCE:{kind}" for name in SYMBOLS for kind in ("quotes", "trades"))
WATCHERS = 20
SILENCE = timedelta(seconds=4)
"""Longer than a busy machine lets a process stand still."""
NEVER = timedelta()
QUOTES_PER_S, TRADES_PER_S = 90.0, 30.0
CONFLATE = timedelta(milliseconds=50)


@asynccontextmanager
async def feed_of_a_venue(
    mesh: RunningMesh, feed_id: str, *, made_up: int = 0, silence: timedelta = NEVER
) -> AsyncIterator[Place]:
    """Give a feed of a venue of its own, both gone after the block."""
    async with running_venue(made_up) as venue, clients(mesh, 1) as (client,):
        await client.feeds.create(feed_id, "BINANCE", venue.config, silence_timeout=silence)
        at = Place(mesh, client, venue, feed_id)
        try:
            yield at
        finally:
            await _forget(at)


async def _forget(at: Place) -> None:
    made = await at.client.market_data.list(feed_id=at.feed_id)
    few = asyncio.Semaphore(20)

    async def delete(subscription_id: str) -> None:
        async with few:
            await at.client.market_data.delete(subscription_id)

    await asyncio.gather(*(delete(each.subscription_id) for each in made))
    await at.client.feeds.delete(at.feed_id)


@asynccontextmanager
async def watched(at: Place, draw: random.Random, rate: float = 1.0) -> AsyncIterator[list[Reader]]:
    """Let twenty clients watch while the venue sends: two of three LOSSLESS, and of all half the
    columns and half the objects; three have all channels, the others some. ``rate`` multiplies
    the ticks per second.
    """
    async with clients(at.mesh, WATCHERS) as meshes:
        readers = []
        for number, mesh in enumerate(meshes):
            wanted = CHANNELS if number < 3 else draw.sample(CHANNELS, draw.randint(1, 4))
            made = await mesh.market_data.subscribe(
                at.feed_id, *wanted, lossless=number % 3 < 2, conflate=CONFLATE
            )
            readers.append(Reader(mesh, made, columns=number % 2 == 0))
        async with reading(readers):
            await send(at, rate)
            await flowing(at, readers, "the first ticks", 1)
            yield readers


async def send(at: Place, rate: float = 1.0) -> None:
    """Let the venue send quotes and trades until `ended`."""
    rates = {"quotes_per_s": rate * QUOTES_PER_S, "trades_per_s": rate * TRADES_PER_S}
    await at.venue.do("run", **rates, symbols=SYMBOLS)


async def opened(at: Place, streams: int) -> list[dict[str, Any]]:
    """Wait until the venue has so many streams subscribed; returns its connections."""
    async with asyncio.timeout(60):
        while True:
            connections: list[dict[str, Any]] = (await at.venue.state())["connections"]
            if sum(len(each["streams"]) for each in connections) == streams:
                return connections
            await asyncio.sleep(0.05)


async def count_up(
    at: Place, readers: Sequence[Reader], symbols: Sequence[str], count: int, seconds: float = 60.0
) -> None:
    """Let the venue send so many quotes of each symbol, and wait until everybody has them."""
    await at.venue.do("number", symbols=symbols, count=count)
    last, names = await at.venue.last(), {f"{name}.BINANCE:quotes" for name in symbols}
    sent = {name: number for name, number in last.items() if name in names}
    await all_have(readers, sent, f"{count} quotes of each", seconds)


async def flowing(at: Place, readers: Sequence[Reader], what: str, more: int) -> None:
    """Wait until everybody has ``more`` of each channel than the venue has sent up to now."""
    now = await at.venue.last()
    names = {name for reader in readers for name in reader.told}
    await all_have(readers, {name: now.get(name, 0) + more for name in names}, what)


async def strike(at: Place, readers: Sequence[Reader], fault: Fault, draw: random.Random) -> None:
    """Let something break at a random tick; all go on after it, and are told what they must be."""
    await flowing(at, readers, f"ticks before {fault.name}", draw.randint(1, 30))
    before = [
        (reader, name, len(t.causes)) for reader in readers for name, t in reader.told.items()
    ]
    await fault.strike(at)
    await flowing(at, readers, f"ticks after {fault.name}", 5)
    for reader, name, count in before:
        said = reader.told[name].causes[count:]
        assert set(said) <= set(fault.causes), f"{fault.name}: {said} was said of {name}"
        if reader.lossless and fault.causes:
            assert fault.causes[0] in said, f"{fault.name}: {said} was said of {name}"


async def ended(at: Place, readers: Sequence[Reader]) -> dict[str, int]:
    """Stop the venue, wait until everybody has the last ticks, and check all that was told."""
    await at.venue.do("stop")
    last = await at.venue.last()
    await all_have(readers, last, "the last ticks")
    no_faults(readers, last)
    return last


async def many_subscriptions(at: Place, meshes: Sequence[MeshClient], count: int) -> None:
    """Make subscriptions of four channels, and check that all is there after a kill -9."""
    few, size = asyncio.Semaphore(16), len(meshes)

    async def make(number: int) -> pb.Subscription:
        async with few:
            return await meshes[number % size].market_data.subscribe(
                at.feed_id, f"{FOUR[number % 4]}.BINANCE:quotes", lossless=number % 8 < 4
            )

    made = await asyncio.gather(*(make(number) for number in range(count)))
    readers = [Reader(mesh, made[n * 5]) for n, mesh in enumerate(meshes)]
    async with reading(readers):
        assert len(await opened(at, 4)) == 1
        await count_up(at, readers, FOUR, 10)
        await kill_service(at)
        await until(lambda: all(each.causes() for each in readers), "a gap")
        assert len(await opened(at, 4)) == 1
        await count_up(at, readers, FOUR, 10)
        feed = await at.client.feeds.get(at.feed_id)
        assert (feed.subscriptions, feed.channels, feed.watchers) == (count, 4, size)
        assert (await at.venue.state())["total"] == 2
    no_faults(readers, await at.venue.last())
    assert {cause for each in readers for cause in each.causes()} == {"FEED_RESTARTED"}
    again = await at.client.market_data.list(feed_id=at.feed_id)
    assert {each.subscription_id for each in again} == {each.subscription_id for each in made}
