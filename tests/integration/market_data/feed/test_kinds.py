"""Each kind of data, from an adapter to the frames of a feed's process."""

import struct

from integration.market_data.feed.conftest import Feed
from mesh.marketdata.v1 import live_pb2 as live
from services.market_data.live import frames
from simulators.scripted import Script

ID = "S0.SCRIPTED"


def _batches(batches: list[frames.Batch]) -> list[live.MarketDataBatch]:
    return [live.MarketDataBatch.FromString(batch.payload) for batch in batches]


def _integers(column: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(column) // 8}q", column))


async def _open(feed: Feed, channel: int, kind: str, bar_type: str = "") -> None:
    feed.send(frames.Open(channel, kind, ID, bar_type))
    await feed.item(channel, "LIVE")


async def test_quotes(feed: Feed, venue: Script) -> None:
    """Quotes come as columns of integers at the instrument's precision, with their times."""
    await _open(feed, 1, "QUOTE_TICK")
    venue.say(quote=["S0", "100.10", "100.12", "1.000", "2.500", 1_700_000_000_000_000_001])
    (batch,) = await feed.rows(1, 1)
    (columns,) = _batches([batch])
    assert columns.channel == live.Channel(kind=1, instrument_id=ID)  # type: ignore[arg-type]  # a number
    assert (columns.price_precision, columns.size_precision) == (2, 3)
    assert _integers(columns.quotes.bid_price) == [10010]
    assert _integers(columns.quotes.ask_price) == [10012]
    assert _integers(columns.quotes.bid_size) == [1000]
    assert _integers(columns.quotes.ask_size) == [2500]
    assert _integers(columns.ts_event) == [1_700_000_000_000_000_001]
    assert batch.first == batch.last == _integers(columns.ts_init)[0]
    assert (batch.sequence, columns.sequence) == (1, 1)
