"""Each kind of data, from an adapter to the frames of a feed's process."""

import struct
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from integration.market_data.feed.conftest import Feed
from mesh.marketdata.v1 import live_pb2 as live
from services.market_data.live import frames
from simulators.scripted import NAME, Script

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


async def test_trades(feed: Feed, venue: Script) -> None:
    """Trades keep side and id, one by one and many at once."""
    await _open(feed, 1, "TRADE_TICK")
    for number in range(40):
        side = "SELLER" if number % 3 else "BUYER"
        venue.say(trade=["S0", f"{100 + number}.01", "0.001", side, f"t{number}", number])
    batches = _batches(await feed.rows(1, 40))
    sides = b"".join(each.trades.aggressor_side for each in batches)
    assert sides == bytes(2 if number % 3 else 1 for number in range(40))
    assert [each for batch in batches for each in batch.trades.trade_id] == [
        f"t{number}" for number in range(40)
    ]
    prices = [each for batch in batches for each in _integers(batch.trades.price)]
    assert prices == [10001 + 100 * number for number in range(40)]


async def test_values_beyond_eight_bytes(feed: Feed, venue: Script) -> None:
    """A column with a value that does not fit into 8 bytes has 16 for all."""
    await _open(feed, 1, "QUOTE_TICK")
    venue.say(quote=["S0", "1.00", "2.00", "20000000000.000000000", "0.000000001", 1])
    (columns,) = _batches(await feed.rows(1, 1))
    assert len(columns.quotes.bid_size) == 16
    assert int.from_bytes(columns.quotes.bid_size, "little") == 2 * 10**19
    assert columns.size_precision == 9
    assert len(columns.quotes.ask_size) == 8


async def test_bars_of_the_venue(feed: Feed, venue: Script) -> None:
    """Bars of the venue come in a channel of their type."""
    kind = f"{ID}-1-MINUTE-LAST-EXTERNAL"
    await _open(feed, 1, "BAR", kind)
    venue.say(bar=[kind, "1.00", "4.00", "0.50", "2.00", "10.000", 60])
    (columns,) = _batches(await feed.rows(1, 1))
    assert columns.channel.bar_type == kind
    bars = columns.bars
    found = [_integers(each)[0] for each in (bars.open, bars.high, bars.low, bars.close)]
    assert found == [100, 400, 50, 200]
    assert _integers(bars.volume) == [10_000]


async def test_bars_made_of_trades(feed: Feed, venue: Script) -> None:
    """Tick, volume and value bars are made of trades, which are subscribed to once."""
    kinds = [f"{ID}-{what}-LAST-INTERNAL" for what in ("2-TICK", "3-VOLUME", "300-VALUE")]
    for channel, kind in enumerate(kinds):
        await _open(feed, channel, "BAR", kind)
    for number, price in enumerate(("100.00", "102.00", "101.00")):
        venue.say(trade=["S0", price, "1.000", "BUYER", f"{number}", number])
    found = []
    for channel in range(3):
        (columns,) = _batches(await feed.rows(channel, 1))
        found.append((_integers(columns.bars.close)[0], _integers(columns.bars.volume)[0]))
    assert found[:2] == [(10200, 2000), (10100, 3000)]
    assert found[2][0] == 10100
    assert venue.calls.count(("subscribe_trade_ticks", ID)) == 1


async def test_bars_made_of_quotes(feed: Feed, venue: Script) -> None:
    """Bars of the middle price are made of quotes; they end when the last channel closes."""
    kind = f"{ID}-1-TICK-MID-INTERNAL"
    await _open(feed, 1, "BAR", kind)
    venue.say(quote=["S0", "100.00", "100.02", "1.000", "1.000", 1])
    (columns,) = _batches(await feed.rows(1, 1))
    assert _integers(columns.bars.close)[0] * 10 ** (3 - columns.price_precision) == 100_010
    feed.send(frames.Close(1))
    await feed.until(lambda: feed.of(frames.Closed))
    await _open(feed, 2, "TRADE_TICK")
    assert ("unsubscribe_quote_ticks", ID) in venue.calls


async def test_bars_made_of_bars(feed: Feed, venue: Script) -> None:
    """Bars made of the venue's smaller bars keep their whole name in the channel."""
    small, whole = f"{ID}-1-MINUTE-LAST-EXTERNAL", f"{ID}-1-SECOND-LAST-INTERNAL@1-MINUTE-EXTERNAL"
    await _open(feed, 1, "BAR", whole)
    assert ("subscribe_bars", small) in venue.calls
    venue.say(bar=[small, "1.00", "4.00", "0.50", "2.00", "10.000", 60])
    columns = _batches(await feed.rows(1, 1))[0]
    assert columns.channel.bar_type == whole


async def test_time_bars_made_of_trades(feed: Feed, venue: Script) -> None:
    """A second's bar is made of the trades of that second."""
    await _open(feed, 1, "BAR", f"{ID}-1-SECOND-LAST-INTERNAL")
    venue.say(trade=["S0", "100.00", "1.000", "BUYER", "a", 1])
    venue.say(trade=["S0", "103.00", "2.000", "BUYER", "b", 2])
    columns = _batches(await feed.rows(1, 1))
    assert sum(sum(_integers(each.bars.volume)) for each in columns) >= 1000


async def test_order_book_changes(feed: Feed, venue: Script) -> None:
    """Changes of a book come one by one, all of an event in order."""
    await _open(feed, 1, "ORDER_BOOK_DELTA")
    rows: list[list[Any]] = [["CLEAR", "NO_ORDER_SIDE", "0", "0", 0, 32, 7]]
    rows += [["ADD", "BUY", f"{99 - n}.00", "1.000", n, 32, 7] for n in range(100)]
    rows += [["ADD", "SELL", "101.50", "2.000", 0, 128, 7]]
    venue.say(deltas=["S0", rows, 9])
    batches = _batches(await feed.rows(1, 102))
    assert _integers(batches[0].deltas.price)[:3] == [0, 9900, 9800]
    assert batches[0].deltas.action[:2] == bytes([4, 1])
    assert batches[-1].deltas.side[-1] == 2
    assert batches[-1].deltas.flags[-1] == 128
    assert set(_integers(batches[0].deltas.sequence)) == {7}


async def test_large_events_are_cut(feed: Feed, venue: Script) -> None:
    """No batch has more than 500 rows."""
    await _open(feed, 1, "ORDER_BOOK_DELTA")
    rows = [["ADD", "BUY", f"{number}.00", "1.000", 0, 0, 1] for number in range(1, 1200)]
    venue.say(deltas=["S0", rows, 9])
    batches = await feed.rows(1, 1199)
    assert [batch.rows for batch in batches] == [500, 500, 199]
    assert [batch.sequence for batch in batches] == [1, 2, 3]


async def test_depth(feed: Feed, venue: Script) -> None:
    """Ten levels a row, the best first."""
    await _open(feed, 1, "ORDER_BOOK_DEPTH10")
    bids = [[f"{100 - n}.00", f"{n + 1}.000"] for n in range(10)]
    asks = [[f"{101 + n}.00", "3.000"] for n in range(10)]
    venue.say(depth=["S0", bids, asks, 9])
    (columns,) = _batches(await feed.rows(1, 1))
    assert _integers(columns.depths.bid_price)[:2] == [10000, 9900]
    assert _integers(columns.depths.bid_size) == [1000 * n for n in range(1, 11)]
    assert _integers(columns.depths.ask_price)[0] == 10100
    assert columns.depths.ask_count == struct.pack("<10I", *[2] * 10)


async def test_a_book_that_is_open_as_depth(venue: Script, start: Callable[..., Any]) -> None:
    """Changes of a book that depth is made of already begin with the whole book."""
    async with start(NAME, {**venue.config, "depth": False}) as feed:
        await _open(feed, 1, "ORDER_BOOK_DEPTH10")
        rows: list[list[Any]] = [["CLEAR", "NO_ORDER_SIDE", "0", "0", 0, 32, 7]]
        rows += [["ADD", "BUY", f"{99 - n}.00", "1.000", 0, 32, 7] for n in range(20)]
        rows += [["ADD", "SELL", "101.50", "2.000", 0, 160, 7]]
        venue.say(deltas=["S0", rows, 9])
        await feed.rows(1, 1)
        await _open(feed, 2, "ORDER_BOOK_DELTA")
        await feed.rows(2, 22)
        venue.say(deltas=["S0", [["UPDATE", "BUY", "99.00", "3.000", 0, 128, 8]], 10])
        whole, after = _batches(await feed.rows(2, 23))
        assert whole.deltas.action == bytes([4] + [1] * 21)
        assert _integers(whole.deltas.price)[1:] == [9900 - 100 * n for n in range(20)] + [10150]
        assert whole.deltas.flags == bytes([32] * 21 + [160])
        assert set(_integers(whole.deltas.sequence)) == {7}
        assert set(_integers(whole.ts_event)) == {9}
        assert _integers(whole.ts_init)[-1] <= _integers(after.ts_init)[0]
        assert venue.calls.count(("subscribe_order_book_deltas", ID)) == 1


async def test_prices_and_funding(feed: Feed, venue: Script) -> None:
    """Mark and index prices and funding rates come with what the venue says of them."""
    for channel, kind in enumerate(("MARK_PRICE", "INDEX_PRICE", "FUNDING_RATE")):
        await _open(feed, channel, kind)
    venue.say(mark=["S0", "100.50", 5])
    venue.say(index=["S0", "100.25", 5])
    venue.say(funding=["S0", "0.0000125", 480, 99, 5])
    (mark,) = _batches(await feed.rows(0, 1))
    (index,) = _batches(await feed.rows(1, 1))
    (funding,) = _batches(await feed.rows(2, 1))
    assert (_integers(mark.prices.value), _integers(index.prices.value)) == ([10050], [10025])
    assert list(funding.funding_rates.rate) == ["0.0000125"]
    assert struct.unpack("<I", funding.funding_rates.interval_minutes) == (480,)
    assert _integers(funding.funding_rates.next_funding_ns) == [99]


async def test_order_over_channels(feed: Feed, venue: Script) -> None:
    """Sequence numbers count all channels' batches without a hole, and time grows in each."""
    for channel in range(3):
        feed.send(frames.Open(channel, "QUOTE_TICK", f"S{channel}.SCRIPTED"))
        await feed.item(channel, "LIVE")
    venue.say(burst={"symbols": ["S0", "S1", "S2"], "rate": 0, "total": 6000})
    for channel in range(3):
        await feed.rows(channel, 2000)
    batches = feed.of(frames.Batch)
    assert [batch.sequence for batch in batches] == list(range(1, len(batches) + 1))
    for channel in range(3):
        own = [batch for batch in batches if batch.channel == channel]
        events = [n for each in _batches(own) for n in _integers(each.ts_event)]
        assert events == list(range(channel, 6000, 3))
        assert all(a.last <= b.first for a, b in pairwise(own))
