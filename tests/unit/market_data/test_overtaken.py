"""A watcher that is overtaken by what the log drops."""

import struct
import time

from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1.market_data_service_pb2 import WatchMarketDataResponse
from mesh.marketdata.v1.marketdata_pb2 import DATA_KIND_QUOTE_TICK
from services.market_data.live import frames
from services.market_data.live.domain import CONFLATED, Channel, Feed, Subscription
from services.market_data.live.feed import LiveFeed
from services.market_data.live.hub import Held
from services.market_data.live.log import Bounds
from services.market_data.live.ports import NoRecorder
from services.market_data.live.taps import Taps
from services.market_data.live.watching import Watch, Wish


def _quote(name: str, number: int) -> frames.Batch:
    value = struct.pack("<q", 1)
    batch = pb.MarketDataBatch(
        channel=pb.Channel(kind=DATA_KIND_QUOTE_TICK, instrument_id=name),
        rows=1,
        ts_event=struct.pack("<Q", number),
        ts_init=struct.pack("<Q", number),
        quotes=pb.QuoteColumns(bid_price=value, ask_price=value, bid_size=value, ask_size=value),
    )
    return frames.Batch("AB".index(name[0]), number, 1, number, number, batch.SerializeToString())


async def test_the_newest_of_a_quiet_channel_is_told_though_it_was_dropped() -> None:
    """CONFLATED: a value that came while the reader was slow, and was dropped before it was read,
    is told as the newest.
    """
    row = Feed("p", "sim", "o", "SIM", "{}", 0)
    feed = LiveFeed(row, Bounds(feed_bytes=4_000), Taps(NoRecorder()), lambda _: None)
    names = ("A.SIM", "B.SIM")
    channels = tuple(Channel("QUOTE_TICK", name) for name in names)
    for channel in channels:
        feed.open(channel)
    held = Held(Subscription("s", "p", "o", "sim", CONFLATED, 10, 0, False, channels), 0.0)
    wish = Wish(False, 1, 15.0, "", lambda: None, time.time() + 60)
    messages = Watch(feed, [held], wish).messages("")
    await anext(messages)
    feed.told(_quote("A.SIM", 1))
    for number in range(2, 100):
        feed.told(_quote("B.SIM", number))
    assert feed.log.first > 1
    told = WatchMarketDataResponse.FromString(await anext(messages))
    updates = [item.update for item in told.items if item.HasField("update")]
    assert {update.channel.instrument_id for update in updates} == set(names)
