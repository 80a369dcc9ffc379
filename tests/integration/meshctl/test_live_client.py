"""The Python client's live data against a whole mesh: a replay of the sample."""

from collections.abc import AsyncIterator

import pyarrow as pa
import pytest

from mesh.marketdata.v1 import live_pb2 as pb
from meshclient import Batch, MeshClient, Watch, channel_text, selection
from meshclient.errors import MeshClientError
from running_mesh import RunningMesh

pytestmark = pytest.mark.timeout(300)

EURUSD, BTCUSDT = "EUR/USD.SIM", "BTCUSDT-PERP.SIM"
FEED = "by-client"
CONFIG = {"instruments": [EURUSD, BTCUSDT], "start": "2024-01-01T00:00:00Z", "speed": 200}


@pytest.fixture
async def client(mesh: RunningMesh) -> AsyncIterator[MeshClient]:
    """Give a client and a replay that nobody else reads; both are gone at the end."""
    async with MeshClient.from_profile(env=mesh.env) as opened:
        await opened.feeds.ensure(FEED, "REPLAY", CONFIG)
        yield opened
        for each in await opened.market_data.list(feed_id=FEED):
            await opened.market_data.delete(each.subscription_id)
        await opened.feeds.delete(FEED)


async def test_mc_49_columns_are_the_stored_rows(client: MeshClient) -> None:
    """MC-49: batches of a lossless watch, put together, are a stretch of ``mesh.data.read``."""
    wish = await client.market_data.subscribe(FEED, f"{EURUSD}:quotes", lossless=True)
    tables: list[pa.Table] = []
    async with client.market_data.watch(wish.subscription_id, columns=True) as watch:
        async for item in watch:
            assert not isinstance(item, pb.FeedGap)
            if isinstance(item, Batch):
                tables.append(item.table(exact=True))
            if sum(map(len, tables)) >= 500:
                break
    seen = pa.concat_tables(tables)
    stored = await client.data.read(selection(EURUSD, "quotes"))
    start = stored["ts_init"].to_pylist().index(seen["ts_init"][0].as_py())
    assert seen.equals(stored.slice(start, len(seen)).cast(seen.schema))


async def _trades(watch: Watch, at_least: int) -> list[int]:
    """Return numbers of trades up to where the watch's cursor is."""
    numbers: list[int] = []
    place = watch.cursor
    async for item in watch:
        if watch.cursor != place and len(numbers) >= at_least:
            return numbers  # `item` is the first after the cursor
        place = watch.cursor
        if isinstance(item, pb.MarketDataUpdate):
            numbers.append(int(item.trade.trade_id.removeprefix("S")))
    raise AssertionError("the watch ended")


async def test_mc_49_a_watch_is_taken_up_where_it_was(client: MeshClient) -> None:
    """MC-49: a watch with the cursor of an earlier one misses nothing and repeats nothing."""
    wish = await client.market_data.subscribe(FEED, f"{BTCUSDT}:trades", lossless=True)
    seen: list[int] = []
    cursor = ""
    for _ in range(3):
        async with client.market_data.watch(wish.subscription_id, cursor=cursor) as watch:
            seen += await _trades(watch, 50)
            cursor = watch.cursor
    assert len(seen) >= 150
    assert seen == list(range(seen[0], seen[0] + len(seen)))


async def test_mc_49_channels_come_and_go(client: MeshClient) -> None:
    """MC-49: an added channel has its snapshot on the stream, a removed one is gone."""
    wish = await client.market_data.subscribe(FEED, f"{EURUSD}:quotes")
    async with client.market_data.watch(wish.subscription_id) as watch:
        first = await anext(watch)
        assert isinstance(first, pb.MarketDataSnapshot)
        trades = f"{BTCUSDT}:trades"
        await client.market_data.update(wish.subscription_id, add=[trades])
        async for item in watch:
            if (
                isinstance(item, pb.MarketDataSnapshot)
                and channel_text(item.item.channel) == trades
            ):
                break
    left = await client.market_data.update(wish.subscription_id, remove=[f"{EURUSD}:quotes"])
    assert [channel_text(item.channel) for item in left.items] == [trades]
    await client.market_data.delete(wish.subscription_id)
    with pytest.raises(MeshClientError, match="SUBSCRIPTION_NOT_FOUND"):
        await client.market_data.get(wish.subscription_id)


async def test_mc_49_a_feed_is_watched(client: MeshClient) -> None:
    """MC-49: who watches a feed sees it as it is, and then its changes."""
    states: list[int] = []
    async for changed in client.feeds.watch(FEED):
        if not states:
            await client.market_data.subscribe(FEED, f"{EURUSD}:quotes")
        states.append(changed.feed.state)
        if changed.feed.state == pb.FEED_STATE_CONNECTED:
            break
    assert len(states) > 1
    paused = await client.feeds.pause(FEED)
    assert paused.replay.paused
