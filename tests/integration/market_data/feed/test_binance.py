"""A feed of Binance, by Nautilus' own adapter, against the simulated venue."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest

from integration.market_data.feed.conftest import Feed
from mesh.marketdata.v1 import live_pb2 as live
from mesh.marketdata.v1 import market_data_service_pb2 as rpc
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from services.market_data.live import frames
from simulators.binance.venue import Binance, Options

SPOT, PERP = "BTCUSDT.BINANCE", "BTCUSDT-PERP.BINANCE"


@pytest.fixture
async def binance() -> AsyncIterator[Binance]:
    """Give the simulated venue, which cuts who sends too many messages."""
    async with Binance(options=Options(limits=True)) as venue:
        yield venue


def _integers(column: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(column) // 8}q", column))


def _columns(feed: Feed, channel: int) -> list[live.MarketDataBatch]:
    batches = (batch for batch in feed.of(frames.Batch) if batch.channel == channel)
    return [live.MarketDataBatch.FromString(batch.payload) for batch in batches]


async def _open(feed: Feed, *wanted: tuple[int, str, str, str]) -> None:
    feed.send(*(frames.Open(*each) for each in wanted))
    for channel, *_ in wanted:
        await feed.item(channel, "LIVE")


async def test_spot(binance: Binance, start: Callable[..., Any]) -> None:
    """Quotes, trades, bars, changes and depth of spot, over two sockets."""
    async with start("BINANCE", binance.client("spot", use_agg_trade_ticks=False)) as feed:
        bars = f"{SPOT}-1-MINUTE-LAST-EXTERNAL"
        await _open(
            feed,
            (1, "QUOTE_TICK", SPOT, ""),
            (2, "TRADE_TICK", SPOT, ""),
            (3, "BAR", SPOT, bars),
            (4, "ORDER_BOOK_DELTA", SPOT, ""),
            (5, "ORDER_BOOK_DEPTH10", SPOT, ""),
        )
        binance.quote("spot", "BTCUSDT", "64000.00", "1.5", "64000.01", "2.5")
        binance.trade("spot", "BTCUSDT", "64000.01", ("0.5", "0.25"))
        await feed.rows(1, 1)
        await feed.rows(2, 2)
        binance.advance(61)
        await feed.rows(3, 1)
        await feed.rows(5, 1)
        quote = _columns(feed, 1)[0]
        scale = 10 ** (quote.price_precision - 2)
        assert _integers(quote.quotes.ask_price) == [6_400_001 * scale]
        trades = [size for each in _columns(feed, 2) for size in _integers(each.trades.size)]
        assert [size / 10 ** _columns(feed, 2)[0].size_precision for size in trades] == [0.5, 0.25]
        assert _columns(feed, 3)[0].channel.bar_type == bars
        assert await _best_bid(feed, "64000")
        depth = _columns(feed, 5)[-1].depths
        assert len(_integers(depth.bid_price)) % 10 == 0
        feed.send(frames.Open(6, "MARK_PRICE", SPOT))
        assert (await feed.item(6, "FAILED")).reason == "KIND_UNSUPPORTED"
        assert len(binance.sockets) == 2


async def test_futures(binance: Binance, start: Callable[..., Any]) -> None:
    """Quotes, trades, mark and index prices and funding rates of USDT futures."""
    async with start("BINANCE", binance.client("futures")) as feed:
        await _open(
            feed,
            (1, "QUOTE_TICK", PERP, ""),
            (2, "TRADE_TICK", PERP, ""),
            (3, "MARK_PRICE", PERP, ""),
            (4, "INDEX_PRICE", PERP, ""),
            (5, "FUNDING_RATE", PERP, ""),
            (6, "ORDER_BOOK_DELTA", PERP, ""),
        )
        binance.mark("BTCUSDT", "64001.10", "64002.20", "0.00012")
        for channel in (3, 4, 5):
            await feed.rows(channel, 1)
        await feed.until(lambda: 64002.20 in _values(feed, 4) and 64001.10 in _values(feed, 3))
        await feed.until(lambda: _columns(feed, 5)[-1].funding_rates.rate[-1][:7] == "0.00012")
        assert _columns(feed, 5)[-1].funding_rates.next_funding_ns != bytes(8)
        feed.send(*(frames.Close(channel) for channel in (3, 4, 5)))
        await feed.until(lambda: len(feed.of(frames.Closed)) == 3)
        await _until(lambda: not any("markPrice" in s for s in _streams(binance)))


def _values(feed: Feed, channel: int) -> list[float]:
    return [
        value / 10**batch.price_precision
        for batch in _columns(feed, channel)
        for value in _integers(batch.prices.value)
    ]


async def _best_bid(feed: Feed, price: str) -> bool:
    """Ask for the book until its best bid is a price."""
    async with asyncio.timeout(20):
        while True:
            number = 1000 + len(feed.told)
            feed.send(frames.AskBook(number, SPOT, 1))
            answer = await feed.answer(number, frames.Answer)
            book = rpc.GetOrderBookResponse.FromString(answer.payload)
            if Decimal(book.order_book.bids[0].price) == Decimal(price):
                return True
            await asyncio.sleep(0.05)


def _streams(binance: Binance) -> list[str]:
    return [s for each in binance.state()["connections"] for s in each["streams"]]


async def _until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def test_instruments_and_history(binance: Binance, start: Callable[..., Any]) -> None:
    """Definitions, bars and trades come by the venue's REST."""
    async with start("BINANCE", binance.client("spot", use_agg_trade_ticks=True)) as feed:
        await feed.state("CONNECTED")
        feed.send(frames.AskInstruments(1, "BTC", "", 10), frames.AskInstrument(2, SPOT))
        listed = await feed.answer(1, frames.Instruments)
        (raw,) = (await feed.answer(2, frames.Instruments)).definitions
        assert raw in listed.definitions
        assert Decimal(InstrumentDefinition.FromString(raw).price_increment) == Decimal("0.01")
        now = binance.clock.now() * 1_000_000
        start_ns, end = now - 600 * 10**9, now - 60 * 10**9
        bars = f"{SPOT}-1-MINUTE-LAST-EXTERNAL"
        feed.send(frames.AskHistory(3, "BAR", SPOT, bars, start_ns, end))
        feed.send(frames.AskHistory(4, "TRADE_TICK", SPOT, "", start_ns, end))
        feed.send(frames.AskHistory(5, "QUOTE_TICK", SPOT, "", start_ns, end))
        answers = [await feed.answer(number, frames.Answer) for number in (3, 4, 5)]
        assert [each.reason for each in answers] == ["", "", "HISTORY_UNSUPPORTED"]
        pages = feed.of(frames.HistoryRows)
        assert sum(page.rows for page in pages if page.id == 3) in (8, 9)
        assert sum(page.rows for page in pages if page.id == 4) > 0
        assert all(start_ns <= page.first <= page.last <= end for page in pages)


@pytest.mark.long
async def test_all_past_trades(binance: Binance, start: Callable[..., Any]) -> None:
    """Aggregated trades of a range come whole, page after page; single ones only if they can."""
    now = binance.clock.now()
    begin, end = now - 90 * 60_000, now - 60_000
    traded = binance.market("futures", "BTCUSDT")
    assert traded is not None
    rows = traded.trades.aggregated_between(begin, end)
    for market, wanted in (("futures", PERP), ("spot", SPOT)):
        async with start("BINANCE", binance.client(market, use_agg_trade_ticks=False)) as feed:
            await feed.state("CONNECTED")
            ask = (wanted, "", begin * 1_000_000 - 500_000, end * 1_000_000 + 500_000)
            feed.send(frames.AskHistory(1, "TRADE_TICK", *ask))
            answer = await feed.answer(1, frames.Answer)
            if market == "spot":
                assert answer.reason == "HISTORY_UNSUPPORTED"
                assert "use_agg_trade_ticks" in answer.message
            else:
                assert answer.reason == ""
                assert sum(page.rows for page in feed.of(frames.HistoryRows)) == len(rows) > 1000


async def test_a_dropped_connection(binance: Binance, start: Callable[..., Any]) -> None:
    """A drop is a gap with its cause before any data after it; the book stands right again."""
    async with start("BINANCE", binance.client("spot")) as feed:
        await _open(feed, (1, "QUOTE_TICK", SPOT, ""), (2, "ORDER_BOOK_DELTA", SPOT, ""))
        binance.quote("spot", "BTCUSDT", "64000.00", "1.5", "64000.01", "2.5")
        await feed.rows(1, 1)
        mark = len(feed.told)
        binance.drop(abruptly=True)
        down = await feed.state("DISCONNECTED", mark)
        assert down.reason == "VENUE_DISCONNECTED"
        gap = await feed.until(lambda: feed.of(frames.Gap, mark))
        assert (gap[0].channel, gap[0].cause) == (-1, "VENUE_DISCONNECTED")
        await feed.state("CONNECTED", mark)
        await feed.item(1, "LIVE", mark)
        at = feed.told.index(gap[0])
        assert not [f for f in feed.told[feed.told.index(down) : at] if isinstance(f, frames.Batch)]
        await _until(lambda: len(_streams(binance)) == 2)
        binance.quote("spot", "BTCUSDT", "64100.00", "1.5", "64100.01", "2.5")
        await feed.until(lambda: [b for b in feed.of(frames.Batch, mark) if b.channel == 1])

        await feed.until(lambda: [b for b in feed.of(frames.Batch, at) if b.channel == 2])
        assert await _best_bid(feed, "64100")


async def test_a_silent_venue(binance: Binance, start: Callable[..., Any]) -> None:
    """A venue that stays connected and says nothing is noticed, and connected to anew."""
    async with start("BINANCE", binance.client("spot"), silence=1.0) as feed:
        await _open(feed, (1, "QUOTE_TICK", SPOT, ""))
        binance.quote("spot", "BTCUSDT")
        await feed.rows(1, 1)
        mark, before = len(feed.told), binance.hub.total
        binance.silence()
        assert (await feed.state("DISCONNECTED", mark)).reason == "VENUE_SILENT"
        binance.silence(False)
        gap = await feed.until(lambda: feed.of(frames.Gap, mark))
        assert gap[0].cause == "VENUE_SILENT"
        await feed.item(1, "LIVE", mark)
        await _until(lambda: binance.hub.total > before and _streams(binance))
        binance.quote("spot", "BTCUSDT")
        await feed.until(lambda: feed.of(frames.Batch, feed.told.index(gap[0])))


@pytest.mark.parametrize("status", [429, 418])
async def test_a_limited_start(binance: Binance, start: Callable[..., Any], status: int) -> None:
    """A venue that limits us at the start is tried again after the time that it says."""
    binance.fail(status, 1, retry_after=1)
    async with start("BINANCE", binance.client("spot")) as feed:
        feed.send(frames.Open(1, "QUOTE_TICK", SPOT))
        failed = await feed.state("FAILED")
        assert failed.reason == "VENUE_RATE_LIMITED"
        assert "Error" not in failed.message
        await feed.state("CONNECTED")
        await feed.item(1, "LIVE")


async def test_a_limited_snapshot(binance: Binance, start: Callable[..., Any]) -> None:
    """A book whose snapshot meets a limit waits and becomes live, instead of standing still."""
    async with start("BINANCE", binance.client("spot")) as feed:
        await feed.state("CONNECTED")
        binance.fail(429, 1, path="/api/v3/depth", retry_after=1)
        await _open(feed, (1, "ORDER_BOOK_DELTA", SPOT, ""))
        await feed.rows(1, 10)
        mark = len(feed.told)
        binance.fail(503, 1, path="/api/v3/depth")
        binance.drop(abruptly=True)
        await feed.state("CONNECTED", mark)
        await feed.until(lambda: feed.of(frames.Batch, mark))


async def test_garbage(binance: Binance, start: Callable[..., Any]) -> None:
    """What cannot be read is said, and the data goes on."""
    async with start("BINANCE", binance.client("spot")) as feed:
        await _open(feed, (1, "QUOTE_TICK", SPOT, ""))
        await binance.garbage("not json", '{"stream":"btcusdt@bookTicker","data":{}}')
        gap = await feed.until(lambda: feed.of(frames.Gap))
        assert gap[0].cause == "MALFORMED_DATA"
        binance.quote("spot", "BTCUSDT")
        await feed.rows(1, 1)


async def test_a_venue_that_is_away_for_a_while(
    binance: Binance, start: Callable[..., Any]
) -> None:
    """Sockets that are refused at the first subscription are tried again, and then live."""
    async with start("BINANCE", binance.client("spot")) as feed:
        await feed.state("CONNECTED")
        binance.refuse()
        feed.send(frames.Open(1, "QUOTE_TICK", SPOT))
        await feed.state("DISCONNECTED")
        binance.refuse(False)
        await feed.item(1, "LIVE")
        binance.quote("spot", "BTCUSDT")
        await feed.rows(1, 1)


@pytest.mark.long
async def test_a_thousand_channels(start: Callable[..., Any]) -> None:
    """A thousand channels are subscribed to in few messages, within the venue's limits."""
    async with (
        Binance(options=Options(made_up=1000, past=120, limits=True)) as venue,
        start("BINANCE", venue.client("spot")) as feed,
    ):
        await feed.state("CONNECTED")
        names = sorted(venue.listed("spot"))[:1000]
        opens = (frames.Open(n, "QUOTE_TICK", f"{s}.BINANCE") for n, s in enumerate(names))
        feed.send(*opens)
        await feed.until(
            lambda: sum(item.state == "LIVE" for item in feed.of(frames.ItemStatus)) == 1000
        )
        await _until(lambda: len(_streams(venue)) == 1000)
        assert len(venue.sockets) == 5
        for name in names:
            venue.quote("spot", name)
        await feed.until(lambda: sum(batch.rows for batch in feed.of(frames.Batch)) == 1000)
        feed.send(*(frames.Close(number) for number in range(1000)))
        await feed.until(lambda: len(feed.of(frames.Closed)) == 1000)
        await _until(lambda: not _streams(venue))
