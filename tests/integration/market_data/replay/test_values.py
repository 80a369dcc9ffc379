"""Newest values, order books and instruments of a replay."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.enums import BookType

from integration.market_data.replay.conftest import Replay
from integration.market_data.replay.made import AUD, BTC, EVERY, SECOND, START, deltas, write
from mesh.marketdata.v1 import live_pb2 as live
from mesh.marketdata.v1 import market_data_service_pb2 as rpc
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from services.market_data.live import frames
from services.market_data.live.columns import updates

ID = str(BTC.id)
CHANGES = deltas(500)


def _book(rows: list[Any]) -> dict[str, list[tuple[str, str]]]:
    """Return the levels that Nautilus has after changes."""
    book = OrderBook(BTC.id, BookType.L2_MBP)
    for row in rows:
        book.apply_delta(row)
    return {
        side: [(str(level.price), str(level.orders()[0].size)) for level in levels]
        for side, levels in (("bids", book.bids()), ("asks", book.asks()))
    }


def _levels(book: live.OrderBook) -> dict[str, list[tuple[str, str]]]:
    return {
        side: [(level.price, level.size) for level in levels]
        for side, levels in (("bids", book.bids), ("asks", book.asks))
    }


async def _asked(feed: Replay, number: int) -> rpc.GetOrderBookResponse:
    feed.send(frames.AskBook(number, ID, 100))
    answer = await feed.answer(number, frames.Answer)
    return rpc.GetOrderBookResponse.FromString(answer.payload)


async def test_snapshots(catalog: Path, replay: Callable[..., Any]) -> None:
    """The newest value of each kind is its last row; of changes the book; none before the first."""
    write(catalog, *EVERY.values())
    async with replay() as feed:
        for number, channel in enumerate(EVERY):
            feed.send(frames.Open(number, *channel))
            await feed.item(number, "LIVE")
            feed.send(frames.AskSnapshot(number, number))
            assert (await feed.answer(number, frames.Snapshot)).payload == b""
        await feed.control("resume")
        await feed.end()
        for number, (kind, *_) in enumerate(EVERY):
            feed.send(frames.AskSnapshot(100 + number, number, 25))
            told = await feed.answer(100 + number, frames.Snapshot)
            assert told.sequence == feed.of(frames.Batch)[-1].sequence
            found = live.MarketDataUpdate.FromString(told.payload)
            if kind == "ORDER_BOOK_DELTA":
                assert _levels(found.order_book) == _book(CHANGES)
            else:
                last = live.MarketDataBatch.FromString(feed.batches(number)[-1].payload)
                assert found == updates(last)[-1]


@pytest.mark.parametrize("event", [0, 77, 499])
async def test_a_book_that_was_moved_to(
    catalog: Path, replay: Callable[..., Any], event: int
) -> None:
    """A book opened or sought in mid-play is whole: it is made of the changes before."""
    write(catalog, CHANGES)
    position = START + (event + 1) * SECOND // 2
    before = [row for row in CHANGES if row.ts_init < position]
    async with replay(position=position) as feed:
        feed.send(frames.Open(1, "ORDER_BOOK_DELTA", ID))
        await feed.item(1, "LIVE")
        book = await _asked(feed, 1)
        assert _levels(book.order_book) == _book(before)
        assert (book.state, book.order_book.sequence) == (live.ITEM_STATE_LIVE, event + 1)
        await feed.control("seek", position=START + 10 * SECOND)
        sought = [row for row in CHANGES if row.ts_init < START + 10 * SECOND]
        assert _levels((await _asked(feed, 2)).order_book) == _book(sought)
        since = len(feed.told)  # one that begins at the end has told an end already
        await feed.control("resume")
        await feed.end(since)
        assert _levels((await _asked(feed, 3)).order_book) == _book(CHANGES)


async def test_prices(catalog: Path, replay: Callable[..., Any]) -> None:
    """What a trade would meet is answered of a book of changes and of ten levels."""
    depth = EVERY["ORDER_BOOK_DEPTH10", ID, ""]
    write(catalog, CHANGES, depth)
    async with replay() as feed:
        feed.send(frames.AskPrices(1, ID, "BUY", "1", ""))
        assert (await feed.answer(1, frames.Answer)).reason == "CHANNEL_NOT_OPEN"
        feed.send(frames.Open(1, "ORDER_BOOK_DEPTH10", ID))
        await feed.item(1, "LIVE")
        await feed.control("resume")
        await feed.end()
        feed.send(frames.AskPrices(2, ID, "BUY", "3", ""))
        met = rpc.GetBookPricesResponse.FromString((await feed.answer(2, frames.Answer)).payload)
        asks = depth[-1].asks
        assert (met.worst_price, met.fillable_quantity) == (str(asks[1].price), "3.000000")


async def test_instruments(catalog: Path, replay: Callable[..., Any]) -> None:
    """The instruments of the catalog are listed and found, of the config's those alone."""
    write(catalog, EVERY["BAR", ID, f"{ID}-1-MINUTE-LAST-EXTERNAL"])
    async with replay() as feed:
        feed.send(frames.AskInstruments(1, "", "", 10), frames.AskInstruments(2, "usdt", "", 10))
        feed.send(frames.AskInstrument(3, str(AUD.id)), frames.AskInstrument(4, "NOPE.SIM"))
        assert await _ids(feed, 1, 2, 3, 4) == [[str(AUD.id), ID], [ID], [str(AUD.id)], []]
    async with replay({"instruments": [f"{ID}-1-MINUTE-LAST-EXTERNAL"]}) as feed:
        feed.send(frames.AskInstruments(1, "", "", 10), frames.AskInstrument(2, str(AUD.id)))
        assert await _ids(feed, 1, 2) == [[ID], []]


async def _ids(feed: Replay, *numbers: int) -> list[list[str]]:
    answers = [await feed.answer(number, frames.Instruments) for number in numbers]
    return [
        [InstrumentDefinition.FromString(each).instrument_id for each in answer.definitions]
        for answer in answers
    ]
