"""MD-72 and MD-73: many watchers, channels and subscriptions, through the whole mesh."""

import asyncio
from collections import Counter

import psutil
import pytest

from chaos.live.breaking import Place, kill_service
from chaos.live.readers import Reader, clients, no_faults, reading, until
from chaos.live.scene import count_up, feed_of_a_venue, opened
from mesh.marketdata.v1 import live_pb2 as pb
from running_mesh import RunningMesh

pytestmark = pytest.mark.timeout(300)

BTC, ETH = "BTCUSDT.BINANCE:quotes", "ETHUSDT.BINANCE:quotes"
FAST = 6
BURST = 150_000
"""Quotes that are more than what a slow reader's connection and the service hold together."""
AT_ONCE = 5_000
"""Quotes after which the fast ones are waited for: a quarter of what is kept."""
MOST_MEMORY = 40 * 2**20
"""Bytes that the service may grow by while 7 MB of ticks pass: it keeps 1 MB of them."""
MADE_UP = [f"SIM{number:04d}USDT" for number in range(1_000)]


async def test_md72_one_connection_for_fifty_watchers(live_mesh: RunningMesh) -> None:
    """MD-72a: fifty clients of ten subscriptions, of all deliveries and formats, get everything
    over one socket of quotes and one of trades.
    """
    async with feed_of_a_venue(live_mesh, "fifty") as at, clients(live_mesh, 50) as meshes:
        wanted = BTC, ETH, "BTCUSDT.BINANCE:trades"
        made = [
            await at.client.market_data.subscribe(at.feed_id, *wanted, lossless=number < 8)
            for number in range(10)
        ]
        readers = [Reader(m, made[n % 10], columns=n % 20 < 10) for n, m in enumerate(meshes)]
        async with reading(readers):
            assert len(await opened(at, 3)) == 2
            for _ in range(5):
                await count_up(at, readers, ("BTCUSDT", "ETHUSDT"), 100)
            for _ in range(5):
                await at.venue.do("trade", market="spot", symbol="BTCUSDT")
            last = await at.venue.last()
            await until(lambda: all(each.has(last) for each in readers), "the trades")
            feed = await at.client.feeds.get(at.feed_id)
            assert (feed.watchers, feed.subscriptions, feed.channels) == (50, 10, 3)
            assert (feed.starts, feed.reconnects) == (1, 0)
            assert (await at.venue.state())["total"] == 2
        no_faults(readers, last)
        assert all(reader.causes() == set() for reader in readers)
        assert {r.told[BTC].received for r in readers if r.lossless} == {500}


async def test_md72_a_slow_reader_harms_nobody(live_mesh: RunningMesh) -> None:
    """MD-72b: a client that reads nothing loses nothing for the others, costs no memory, and is
    told SLOW_READER with a snapshot when it reads again.
    """
    async with feed_of_a_venue(live_mesh, "slow") as at, clients(live_mesh, FAST + 1) as meshes:
        made = await at.client.market_data.subscribe(at.feed_id, BTC, lossless=True)
        readers = [Reader(mesh, made, columns=True) for mesh in meshes]
        slow, *fast = readers
        async with reading(readers):
            await opened(at, 1)
            await count_up(at, readers, ("BTCUSDT",), 10)
            before = _memory(at)
            slow.reads.clear()
            for _ in range(BURST // AT_ONCE):
                await count_up(at, fast, ("BTCUSDT",), AT_ONCE)
            assert _memory(at) - before < MOST_MEMORY
            assert slow.told[BTC].newest < BURST
            slow.reads.set()
            await count_up(at, readers, ("BTCUSDT",), 10)
            no_faults(readers, await at.venue.last())
        assert {tuple(each.told[BTC].causes) for each in fast} == {()}
        assert set(slow.told[BTC].causes) == {"SLOW_READER"}
        assert slow.told[BTC].received < fast[0].told[BTC].received == BURST + 20


def _memory(at: Place) -> int:
    return psutil.Process(at.pid("market-data")).memory_info().rss


async def test_md73_a_thousand_channels(live_mesh: RunningMesh) -> None:
    """MD-73a: a thousand channels are opened over the five sockets that the venue needs for them;
    each gives every tick.
    """
    async with feed_of_a_venue(live_mesh, "thousand", made_up=1_000) as at:
        wanted = [f"{name}.BINANCE:quotes" for name in MADE_UP]
        made = await at.client.market_data.subscribe(at.feed_id, *wanted, lossless=True)
        reader = Reader(at.client, made, columns=True)
        async with reading([reader]):
            assert len(await opened(at, 1_000)) == 5
            await count_up(at, [reader], MADE_UP, 3)
        no_faults([reader], await at.venue.last())
        assert {told.received for told in reader.told.values()} == {3}
        assert set((await _states(at, made)).values()) == {pb.ITEM_STATE_LIVE}


async def test_md73_a_bad_symbol_fails_alone(live_mesh: RunningMesh) -> None:
    """MD-73b: among a hundred symbols the one that the venue does not have is FAILED with the
    reason, the others are LIVE and give their ticks.
    """
    async with feed_of_a_venue(live_mesh, "bad", made_up=99) as at:
        names = MADE_UP[:99]
        wanted = [f"{name}.BINANCE:quotes" for name in (*names[:50], "NOPEUSDT", *names[50:])]
        made = await at.client.market_data.subscribe(at.feed_id, *wanted, lossless=True)
        reader = Reader(at.client, made)
        async with reading([reader]):
            await opened(at, 99)
            await count_up(at, [reader], names, 2)
            states = Counter((await _states(at, made)).values())
            assert states == {pb.ITEM_STATE_LIVE: 99, pb.ITEM_STATE_FAILED: 1}
            await until(
                lambda: reader.states[wanted[50]].state == pb.ITEM_STATE_FAILED, "the state"
            )
            bad = reader.states[wanted[50]]
            assert bad.reason == "INSTRUMENT_NOT_AT_VENUE"
            assert "NOPEUSDT.BINANCE" in bad.message
        no_faults([reader], await at.venue.last())
        assert reader.causes() == set()


async def test_md74_a_thousand_subscriptions_are_durable(live_mesh: RunningMesh) -> None:
    """MD-74: a thousand subscriptions of four channels are four streams at the venue; after a
    kill -9 of the service they are there again, open, and watchers go on.
    """
    symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
    async with feed_of_a_venue(live_mesh, "durable") as at, clients(live_mesh, 8) as meshes:
        few = asyncio.Semaphore(16)

        async def make(number: int) -> pb.Subscription:
            async with few:
                return await meshes[number % 8].market_data.subscribe(
                    at.feed_id, f"{symbols[number % 4]}.BINANCE:quotes", lossless=number % 8 < 4
                )

        made = await asyncio.gather(*(make(number) for number in range(1_000)))
        readers = [Reader(mesh, made[n * 101]) for n, mesh in enumerate(meshes)]
        async with reading(readers):
            assert len(await opened(at, 4)) == 1
            await count_up(at, readers, symbols, 10)
            await kill_service(at)
            await until(lambda: all(each.causes() for each in readers), "a gap")
            assert len(await opened(at, 4)) == 1
            await count_up(at, readers, symbols, 10)
            feed = await at.client.feeds.get(at.feed_id)
            assert (feed.subscriptions, feed.channels, feed.watchers) == (1_000, 4, 8)
            assert (await at.venue.state())["total"] == 2
        no_faults(readers, await at.venue.last())
        assert {cause for each in readers for cause in each.causes()} == {"FEED_RESTARTED"}
        again = {
            each.subscription_id for each in await at.client.market_data.list(feed_id="durable")
        }
        assert again == {each.subscription_id for each in made}


async def _states(at: Place, made: pb.Subscription) -> dict[str, int]:
    items = (await at.client.market_data.get(made.subscription_id)).items
    return {item.channel.instrument_id: item.state for item in items}
