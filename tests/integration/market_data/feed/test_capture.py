"""Batches of ticks over a real socket, with a reader that is slow."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from nautilus_trader.model.data import BookOrder, OrderBookDelta, QuoteTick, TradeTick
from nautilus_trader.model.enums import AggressorSide, BookAction, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, TradeId
from nautilus_trader.model.objects import Price, Quantity

from mesh.marketdata.v1 import live_pb2 as live
from services.market_data.engine.feed import columns
from services.market_data.engine.feed.capture import Buffer, Capture
from services.market_data.engine.feed.link import Link
from services.market_data.live import frames

ID = InstrumentId.from_str("BTCUSDT.BINANCE")
CHANNEL = live.Channel(kind=1, instrument_id=str(ID))  # type: ignore[arg-type]  # a number


def quotes(count: int, price: int = 2, size: int = 5, scale: float = 1.0) -> list[QuoteTick]:
    """Return made-up quotes of some decimals."""
    made = random.Random(1)
    return [
        QuoteTick(
            ID,
            Price(made.uniform(-5e4, 5e4) * scale, price),
            Price(made.uniform(0, 5e4), price),
            Quantity(made.uniform(0, 9e4) * scale, size),
            Quantity(made.uniform(0, 9e4), size),
            number,
            number + 1,
        )
        for number in range(count)
    ]


@dataclass
class Pair:
    """A capture and the reader at the other end."""

    capture: Capture
    buffer: Buffer
    reader: asyncio.StreamReader
    link: Link

    async def frame(self) -> Any:
        """Return the next frame."""
        async with asyncio.timeout(10):
            size = int.from_bytes(await self.reader.readexactly(4), "little")
            return frames.told.decode(await self.reader.readexactly(size))


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """Give a capture with one channel, and a bound of 64 KiB."""
    ours, theirs = socket.socketpair()
    _, writer = await asyncio.open_unix_connection(sock=ours)
    reader, other = await asyncio.open_unix_connection(sock=theirs, limit=1024)
    link = Link(writer, bound=2**16)
    capture = Capture(link, asyncio.get_running_loop())
    buffer = Buffer(7, "QUOTE_TICK", CHANNEL, 2, 5)
    capture.open(buffer)
    yield Pair(capture, buffer, reader, link)
    writer.close()
    other.close()


async def test_a_reader_that_does_not_read(pair: Pair) -> None:
    """Beyond a bound rows are dropped; when the reader reads again it is told, and more comes."""
    ticks = quotes(500)
    for _ in range(100):
        pair.buffer.rows.extend(ticks)
        pair.capture.sweep()
    assert pair.link.waiting < 2**17
    sent = pair.capture.sequence
    assert sent < 100
    for number in range(1, sent + 1):
        assert (await pair.frame()).sequence == number
    gap = await pair.frame()
    assert (gap.channel, gap.cause) == (7, "SLOW_READER")
    assert 0 < gap.start <= gap.end
    pair.buffer.rows.extend(ticks[:1])
    pair.capture.wake()
    batch = await pair.frame()
    assert (batch.sequence, batch.rows) == (sent + 1, 1)


async def test_what_is_told_beside_data_is_never_dropped(pair: Pair) -> None:
    """States pass a full link in order."""
    while not pair.link.full:
        pair.buffer.rows.extend(quotes(500))
        pair.capture.sweep()
    pair.link.tell(frames.State("DISCONNECTED"))
    told = [await pair.frame() for _ in range(pair.capture.sequence + 1)]
    assert told[-1] == frames.State("DISCONNECTED")


async def test_the_first_tick_of_an_idle_time_is_sent_at_once(pair: Pair) -> None:
    """It leaves at the end of the loop's turn; those that follow are gathered."""
    pair.buffer.rows.extend(quotes(1))
    pair.capture.wake()
    pair.capture.wake()
    await asyncio.sleep(0)
    assert pair.capture.sequence == 1
    pair.buffer.rows.extend(quotes(1))
    pair.capture.wake()
    await asyncio.sleep(0)
    assert pair.capture.sequence == 1
    assert [(await pair.frame()).sequence for _ in range(2)] == [1, 2]


async def test_a_flood_is_swept_without_the_loop(pair: Pair) -> None:
    """Rows that come in one endless turn of the loop do not wait for its timers."""
    (tick,) = quotes(1)
    for _ in range(1_000_000):
        pair.buffer.rows.append(tick)
        pair.capture.wake()
        if pair.capture.sequence:
            break
    assert pair.capture.sequence
    assert (await pair.frame()).rows > 1


async def test_closing_sends_what_is_left(pair: Pair) -> None:
    """The rows received come before the word that nothing comes any more."""
    pair.buffer.rows.extend(quotes(3))
    pair.capture.close(7)
    assert (await pair.frame()).rows == 3
    assert await pair.frame() == frames.Closed(7)


@pytest.mark.parametrize("count", [1, 16, 17, 500])
@pytest.mark.parametrize(
    ("price", "size", "scale"),
    [(2, 5, 1.0), (0, 0, 1.0), (9, 9, 1.0), (16, 16, 1.0), (13, 3, 1.0), (9, 2, 1e6)],
)
def test_both_ways_to_columns_are_equal(
    count: int, price: int, size: int, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The columns made of the ticks' memory are those made of their attributes."""
    _compare("QUOTE_TICK", quotes(count, price, size, scale), monkeypatch)


def test_both_ways_are_equal_for_trades_and_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trades, and changes of a book of all sorts."""
    sides = (AggressorSide.BUYER, AggressorSide.SELLER, AggressorSide.NO_AGGRESSOR)
    ticks = quotes(60)
    trades = [
        TradeTick(ID, t.bid_price, t.bid_size, sides[n % 3], TradeId(f"t{n}"), n, n)
        for n, t in enumerate(ticks)
    ]
    _compare("TRADE_TICK", trades, monkeypatch)
    actions = (BookAction.ADD, BookAction.UPDATE, BookAction.DELETE, BookAction.CLEAR)
    deltas = [
        OrderBookDelta(
            ID,
            actions[n % 4],
            BookOrder(
                OrderSide.SELL if n % 2 else OrderSide.BUY, t.ask_price, t.ask_size, 2**63 + n
            ),
            n,
            2**62 + n,
            n,
            n,
        )
        for n, t in enumerate(ticks)
    ]
    _compare("ORDER_BOOK_DELTA", deltas, monkeypatch)


def _compare(kind: str, rows: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    fast, plain = live.MarketDataBatch(), live.MarketDataBatch()
    monkeypatch.setattr(columns, "FEW", 0)
    columns.fill(kind, rows, fast, 0, 0)
    monkeypatch.setattr(columns, "FEW", 10**6)
    columns.fill(kind, rows, plain, 0, 0)
    assert fast == plain


async def test_rows_that_are_none_are_a_gap(pair: Pair) -> None:
    """Rows of which no columns can be made, for whatever reason, are a gap and no silence."""
    pair.buffer.rows.append(object())
    pair.capture.sweep()
    gap = await pair.frame()
    assert (gap.cause, gap.channel) == ("MALFORMED_DATA", 7)
    pair.buffer.rows.extend(quotes(2))
    pair.capture.sweep()
    assert (await pair.frame()).rows == 2
