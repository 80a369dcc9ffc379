"""MD-71 to MD-74: many watchers, channels and subscriptions, through the whole mesh."""

from collections import Counter
from collections.abc import Mapping

import psutil
import pytest

from chaos.live.breaking import Place
from chaos.live.readers import Reader, clients, no_faults, reading, until
from chaos.live.scene import count_up, feed_of_a_venue, many_subscriptions, opened
from mesh.marketdata.v1 import live_pb2 as pb
from running_mesh import RunningMesh

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]

BTC, ETH = "BTCUSDT.BINANCE:quotes", "ETHUSDT.BINANCE:quotes"
FAST = 3
BURST = 150_000
"""Quotes that are more than what a slow reader's connection and the service hold together."""
AT_ONCE = 5_000
"""Quotes after which the fast ones are waited for: a quarter of what is kept."""
MOST_MEMORY = 40 * 2**20
"""Bytes that the service may grow by while 7 MB of ticks pass: it keeps 1 MB of them."""
SUBSCRIPTIONS = 200
"""A fifth of what `make chaos` makes."""
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


async def test_md72_slow_and_absent_readers_harm_nobody(live_mesh: RunningMesh) -> None:
    """MD-72b, MD-71b: a client that reads nothing, and one that is away, lose nothing for the
    others and cost no memory; beyond the retention they are told SLOW_READER and CURSOR_TRIMMED,
    with a snapshot each, on the stream that goes on. A channel with little has no gap.
    """
    async with feed_of_a_venue(live_mesh, "slow") as at, clients(live_mesh, FAST + 2) as meshes:
        made = await at.client.market_data.subscribe(at.feed_id, BTC, ETH, lossless=True)
        away, *fast = (Reader(mesh, made, columns=True) for mesh in meshes[1:])
        slow = Reader(meshes[0], made)  # objects are larger: they fill the connection sooner
        readers = [slow, away, *fast]
        async with reading(readers):
            await opened(at, 2)
            await count_up(at, readers, ("BTCUSDT", "ETHUSDT"), 10)
            before = _memory(at)
            slow.reads.clear()
            await away.stop()
            await count_up(at, fast, ("ETHUSDT",), 10)
            for _ in range(BURST // AT_ONCE):
                await count_up(at, fast, ("BTCUSDT",), AT_ONCE)
            assert _memory(at) - before < MOST_MEMORY
            assert slow.told[BTC].newest < BURST
            slow.reads.set()
            away.start()
            await count_up(at, readers, ("BTCUSDT", "ETHUSDT"), 10)
            no_faults(readers, await at.venue.last())
        assert {tuple(each.told[BTC].causes) for each in fast} == {()}
        assert {each.told[BTC].received for each in fast} == {BURST + 20}
        assert set(slow.told[BTC].causes) == {"SLOW_READER"}
        assert away.told[BTC].causes == ["CURSOR_TRIMMED"]
        assert max(slow.told[BTC].received, away.told[BTC].received) < BURST
        assert [(each.told[ETH].received, each.told[ETH].causes) for each in readers] == [
            (30, []) for _ in readers
        ]


def _memory(at: Place) -> int:
    return psutil.Process(at.pid("market-data")).memory_info().rss


async def test_md73_a_thousand_channels_and_a_bad_one(live_mesh: RunningMesh) -> None:
    """MD-73: a thousand channels are opened over the five sockets that the venue needs for them,
    and give every tick. Of a hundred more the one that the venue does not have is FAILED with the
    reason; the others are LIVE and give every tick too.
    """
    async with feed_of_a_venue(live_mesh, "thousand", made_up=1_000) as at:
        wanted = [f"{name}.BINANCE:quotes" for name in MADE_UP]
        bad = "NOPEUSDT.BINANCE:quotes"
        mixed = [*wanted[:50], bad, *wanted[50:99]]
        made = [
            await at.client.market_data.subscribe(at.feed_id, *channels, lossless=True)
            for channels in (wanted, mixed)
        ]
        readers = [Reader(at.client, made[0], columns=True), Reader(at.client, made[1])]
        async with reading(readers):
            assert len(await opened(at, 1_000)) == 5
            await count_up(at, readers, MADE_UP, 3)
            await until(lambda: _failed(readers[1].states) == [bad], "the state of the bad one")
        assert readers[1].states[bad].reason == "INSTRUMENT_NOT_AT_VENUE"
        assert "NOPEUSDT.BINANCE" in readers[1].states[bad].message
        no_faults(readers, await at.venue.last())
        assert {name for name, told in readers[1].told.items() if told.received != 3} == {bad}
        assert all(each.causes() == set() for each in readers)
        assert await _states(at, made[0]) == {pb.ITEM_STATE_LIVE: 1_000}
        expected = {pb.ITEM_STATE_LIVE: 99, pb.ITEM_STATE_FAILED: 1}
        assert await _states(at, made[1]) == expected


def _failed(items: Mapping[str, pb.SubscriptionItem]) -> list[str]:
    return [name for name, item in items.items() if item.state == pb.ITEM_STATE_FAILED]


async def test_md74_subscriptions_are_durable(live_mesh: RunningMesh) -> None:
    """MD-74: hundreds of subscriptions of four channels are four streams at the venue; after a
    kill -9 of the service they are there again, open, and their watchers go on.
    """
    async with feed_of_a_venue(live_mesh, "durable") as at, clients(live_mesh, 8) as meshes:
        await many_subscriptions(at, meshes, SUBSCRIPTIONS)


async def _states(at: Place, made: pb.Subscription) -> Counter[int]:
    items = (await at.client.market_data.get(made.subscription_id)).items
    return Counter(item.state for item in items)
