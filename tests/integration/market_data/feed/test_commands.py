"""Each command to a feed's process, and its answer."""

from typing import Any

import pytest

from integration.market_data.feed.conftest import Feed
from mesh.marketdata.v1 import live_pb2 as live
from mesh.marketdata.v1 import market_data_service_pb2 as rpc
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from services.market_data.live import frames
from simulators.scripted import NAME, Script

ID = "S0.SCRIPTED"
AT = 1_700_000_000_000_000_000
BARS = f"{ID}-1-MINUTE-LAST-EXTERNAL"


async def _book(feed: Feed, venue: Script, rows: list[Any]) -> None:
    feed.send(frames.Open(1, "ORDER_BOOK_DELTA", ID))
    await feed.item(1, "LIVE")
    made = [["ADD", side, price, size, 0, 0, 77] for side, price, size in rows]
    made[-1][5] = 128
    venue.say(deltas=["S0", made, 1_700_000_000_000_000_000])
    await feed.rows(1, len(rows))


LADDER = [
    ("BUY", "99.00", "1.000"),
    ("BUY", "98.50", "2.000"),
    ("SELL", "100.00", "1.500"),
    ("SELL", "101.00", "2.500"),
]


async def test_an_order_book(feed: Feed, venue: Script) -> None:
    """A book has its levels, spread and midpoint as exact decimals."""
    await _book(feed, venue, LADDER)
    feed.send(frames.AskBook(5, ID, 1))
    answer = await feed.answer(5, frames.Answer)
    book = rpc.GetOrderBookResponse.FromString(answer.payload)
    assert [(level.price, level.size) for level in book.order_book.bids] == [("99.00", "1.000")]
    assert [(level.price, level.size) for level in book.order_book.asks] == [("100.00", "1.500")]
    assert (book.spread, book.midpoint) == ("1.00", "99.50")
    assert book.order_book.sequence == 77
    assert book.event_time.seconds == 1_700_000_000
    assert book.state == live.ITEM_STATE_LIVE


@pytest.mark.parametrize(
    ("side", "quantity", "price", "expected"),
    [
        ("BUY", "2", "", ("100.25", "101.00", "2.000", "")),  # (1.5 × 100 + 0.5 × 101) ÷ 2
        ("BUY", "10", "", ("100.625", "101.00", "4.000", "")),  # too thin: 1.5 and 2.5
        ("SELL", "2.5", "", ("98.7", "98.50", "2.500", "")),  # (1 × 99 + 1.5 × 98.5) ÷ 2.5
        ("SELL", "3", "98.75", ("98.6666666666666667", "98.50", "3.000", "1.000")),
        ("BUY", "", "100.99", ("", "", "", "1.500")),
        ("BUY", "", "99", ("", "", "", "0")),
    ],
)
async def test_prices_of_a_trade(
    feed: Feed, venue: Script, side: str, quantity: str, price: str, expected: tuple[str, ...]
) -> None:
    """What a trade would meet is what a hand computes from the levels."""
    await _book(feed, venue, LADDER)
    feed.send(frames.AskPrices(6, ID, side, quantity, price))
    answer = await feed.answer(6, frames.Answer)
    found = rpc.GetBookPricesResponse.FromString(answer.payload)
    told = found.average_price, found.worst_price, found.fillable_quantity, found.quantity_to_price
    assert told == expected


async def test_a_book_of_one_side(feed: Feed, venue: Script) -> None:
    """A book without asks has no spread, and a buyer meets nothing."""
    await _book(feed, venue, LADDER[:2])
    feed.send(frames.AskBook(5, ID, 10), frames.AskPrices(6, ID, "BUY", "1", ""))
    book = rpc.GetOrderBookResponse.FromString((await feed.answer(5, frames.Answer)).payload)
    met = rpc.GetBookPricesResponse.FromString((await feed.answer(6, frames.Answer)).payload)
    assert (len(book.order_book.bids), book.spread, book.midpoint) == (2, "", "")
    assert (met.average_price, met.worst_price, met.fillable_quantity) == ("", "", "0")


async def test_a_book_of_ten_levels(feed: Feed, venue: Script) -> None:
    """A book of depth alone answers too; a book that is not open is said to be not."""
    feed.send(frames.Open(1, "ORDER_BOOK_DEPTH10", ID))
    await feed.item(1, "LIVE")
    bids = [[f"{100 - n}.00", "1.000"] for n in range(10)]
    asks = [[f"{101 + n}.00", "1.000"] for n in range(10)]
    venue.say(depth=["S0", bids, asks, 9])
    await feed.rows(1, 1)
    feed.send(frames.AskPrices(5, ID, "BUY", "1.5", ""), frames.AskBook(6, "S1.SCRIPTED", 5))
    met = rpc.GetBookPricesResponse.FromString((await feed.answer(5, frames.Answer)).payload)
    assert (met.average_price, met.fillable_quantity) == ("101.3333333333333333", "1.500")
    refused = await feed.answer(6, frames.Answer)
    assert refused.reason == "CHANNEL_NOT_OPEN"
    assert "ORDER_BOOK_DELTA" in refused.message


async def test_snapshots(feed: Feed, venue: Script) -> None:
    """A snapshot is the newest value after all batches so far; empty before the first."""
    feed.send(frames.Open(2, "QUOTE_TICK", ID))
    await feed.item(2, "LIVE")
    feed.send(frames.AskSnapshot(8, 2))
    assert (await feed.answer(8, frames.Snapshot)).payload == b""
    venue.say(quote=["S0", "100.10", "100.12", "1.000", "2.500", 1])
    await feed.rows(2, 1)
    await _book(feed, venue, LADDER)
    feed.send(frames.AskSnapshot(9, 2), frames.AskSnapshot(10, 1, 1))
    quote = await feed.answer(9, frames.Snapshot)
    value = live.MarketDataUpdate.FromString(quote.payload)
    assert (value.quote.bid_price, value.quote.ask_size) == ("100.10", "2.500")
    assert quote.sequence == feed.of(frames.Batch)[-1].sequence
    book = live.MarketDataUpdate.FromString((await feed.answer(10, frames.Snapshot)).payload)
    assert [level.price for level in book.order_book.asks] == ["100.00"]


async def test_closing(feed: Feed, venue: Script) -> None:
    """A closed channel ends with all it had received; the venue is told when it was the last."""
    feed.send(
        frames.Open(1, "QUOTE_TICK", ID), frames.Open(2, "BAR", "", f"{ID}-5-TICK-BID-INTERNAL")
    )
    feed.send(frames.Open(3, "BAR", ID, f"{ID}-9-TICK-BID-INTERNAL"))
    await feed.item(1, "LIVE")
    await feed.item(3, "LIVE")
    feed.send(frames.Close(1))
    await feed.until(lambda: feed.of(frames.Closed))
    assert ("unsubscribe_quote_ticks", ID) not in venue.calls
    venue.say(quote=["S0", "100.10", "100.12", "1.000", "2.500", 1])
    feed.send(frames.Close(3), frames.Close(2))
    await feed.until(lambda: len(feed.of(frames.Closed)) == 3)
    feed.send(frames.Open(4, "TRADE_TICK", ID))
    await feed.item(4, "LIVE")
    assert ("unsubscribe_quote_ticks", ID) in venue.calls
    assert not [batch for batch in feed.of(frames.Batch) if batch.channel == 1]


async def test_instruments(feed: Feed) -> None:
    """Instruments are listed by id, in pages, by a part of their name."""
    feed.send(frames.AskInstruments(1, "", "", 2), frames.AskInstruments(2, "", "S1.SCRIPTED", 9))
    feed.send(frames.AskInstruments(3, "spot", "", 0))
    first, second, third = [await feed.answer(n, frames.Instruments) for n in (1, 2, 3)]
    found = [
        [InstrumentDefinition.FromString(each).instrument_id for each in page.definitions]
        for page in (first, second, third)
    ]
    assert found == [
        ["S0.SCRIPTED", "S1.SCRIPTED"],
        ["S2.SCRIPTED", "SPOT.SCRIPTED"],
        ["SPOT.SCRIPTED"],
    ]
    assert (first.more, second.more) == (True, False)


async def test_one_instrument(feed: Feed, venue: Script) -> None:
    """An instrument that was not loaded is asked of the venue; one that is nowhere is none."""
    venue.answers["NEW.SCRIPTED"] = {"rows": ["NEW"]}
    feed.send(frames.AskInstrument(1, ID), frames.AskInstrument(2, "NEW.SCRIPTED"))
    feed.send(frames.AskInstrument(3, "NOPE.SCRIPTED"), frames.AskInstrument(4, "nonsense"))
    found = [await feed.answer(n, frames.Instruments) for n in (1, 2, 3, 4)]
    ids = [
        [InstrumentDefinition.FromString(each).instrument_id for each in answer.definitions]
        for answer in found
    ]
    assert ids == [[ID], ["NEW.SCRIPTED"], [], []]
    made = InstrumentDefinition.FromString(found[0].definitions[0])
    assert (made.price_increment, made.size_precision, made.quote_currency) == ("0.01", 3, "USDT")


async def test_history(feed: Feed, venue: Script) -> None:
    """History comes in the order of time and within the range, stamped with the events' times."""
    rows = [
        ["S0", "100.00", "1.000", "BUYER", f"{at}", at]
        for at in (AT + 30, AT + 10, AT + 20, AT + 31, AT + 9)
    ]
    venue.answers["request_trade_ticks"] = {"rows": rows}
    feed.send(frames.AskHistory(1, "TRADE_TICK", ID, "", AT + 10, AT + 30, 500))
    answer = await feed.answer(1, frames.Answer)
    (page,) = feed.of(frames.HistoryRows)
    batch = live.MarketDataBatch.FromString(page.payload)
    assert (answer.reason, page.rows, page.first, page.last) == ("", 3, AT + 10, AT + 30)
    assert list(batch.trades.trade_id) == [f"{AT + after}" for after in (10, 20, 30)]
    assert batch.ts_init == batch.ts_event
    asked = venue.asked[-1]
    assert asked["start"] <= AT + 10 <= AT + 30 <= asked["end"]
    assert asked["limit"] == 500


async def test_history_of_bars(feed: Feed, venue: Script) -> None:
    """History of bars is asked for by their type."""
    venue.answers[BARS] = {"rows": [[BARS, "1.00", "2.00", "0.50", "1.50", "3.000", 60]]}
    feed.send(frames.AskHistory(1, "BAR", ID, BARS, 0, 100))
    await feed.answer(1, frames.Answer)
    batch = live.MarketDataBatch.FromString(feed.of(frames.HistoryRows)[0].payload)
    assert batch.channel.bar_type == BARS


@pytest.mark.parametrize(
    ("kind", "answer", "reason", "words"),
    [
        ("TRADE_TICK", {}, "", ""),
        ("TRADE_TICK", {"rows": []}, "", ""),
        ("TRADE_TICK", {"error": "HTTP 429 Too Many Requests"}, "VENUE_RATE_LIMITED", "limits"),
        ("TRADE_TICK", {"error": "ApiError: {'msg': 'Bad range'}"}, "VENUE_REFUSED", "Bad range."),
        ("TRADE_TICK", {"log": "Cannot: not published"}, "HISTORY_UNSUPPORTED", "not published"),
        ("QUOTE_TICK", {}, "HISTORY_UNSUPPORTED", "cannot ask"),
        ("MARK_PRICE", {}, "HISTORY_UNSUPPORTED", "MARK_PRICE"),
    ],
)  # fmt: skip
async def test_history_that_is_not_given(
    feed: Feed, venue: Script, kind: str, answer: dict[str, Any], reason: str, words: str
) -> None:
    """A venue that has nothing gives no rows; one that refuses is quoted in plain words."""
    venue.answers["request_trade_ticks"] = answer
    feed.send(frames.AskHistory(1, kind, ID, "", 0, 100))
    told = await feed.answer(1, frames.Answer)
    assert told.reason == reason
    assert words in told.message
    assert "Error" not in told.message
    assert not feed.of(frames.HistoryRows)


async def test_control_of_what_is_no_replay(feed: Feed) -> None:
    """A feed of a venue cannot be paused."""
    feed.send(frames.Control(1, "pause"))
    assert (await feed.answer(1, frames.Answer)).reason == "NOT_A_REPLAY"


async def test_signs_of_life(feed: Feed) -> None:
    """The process tells each second that it lives."""
    pulses = await feed.until(lambda: feed.of(frames.Pulse)[1:2])
    assert pulses[0].cpu > 0


async def test_stop(venue: Script, start: Any) -> None:
    """Stop ends the process in order."""
    async with start(NAME, venue.config) as feed:
        await feed.state("CONNECTED")
        assert await feed.close() == 0
