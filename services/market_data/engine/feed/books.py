"""Questions to an order book, answered exactly.

The levels are those of Nautilus' own ``OrderBook``; what it answers with doubles is computed here
from its levels in decimals.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.data import OrderBookDepth10

from mesh.marketdata.v1 import live_pb2 as live
from mesh.marketdata.v1 import market_data_service_pb2 as pb
from meshkit.times import to_timestamp

DIGITS = Context(prec=60, rounding=ROUND_HALF_EVEN)
PLACES = Decimal(1).scaleb(-16)
"""Decimals of an average price: as many as Nautilus holds."""

FIXED = 16
"""Decimals by which Nautilus scales what it calls raw."""

BUY = "BUY"


@dataclass(frozen=True)
class Level:
    """One price of a book, with what is there. ``count`` 0: the venue does not say."""

    price: Decimal
    size: Decimal
    count: int = 0


@dataclass(frozen=True)
class Book:
    """Both sides of a book, the best first. ``time`` is of its last event at the venue (unix ns),
    0 when there was none.
    """

    bids: Sequence[Level] = field(default_factory=tuple)
    asks: Sequence[Level] = field(default_factory=tuple)
    sequence: int = 0
    time: int = 0


def of_book(book: OrderBook, levels: int = 0) -> Book:
    """Return the best levels (0: all) of a Nautilus book."""
    most = levels or None
    bids = tuple(map(_level, book.bids()[:most]))
    asks = tuple(map(_level, book.asks()[:most]))
    return Book(bids, asks, book.sequence, book.ts_last)


def _level(level: Any) -> Level:
    orders = level.orders()
    size = sum((decimal_of(order.size) for order in orders), Decimal(0))
    count = len(orders) if len(orders) > 1 else 0  # a book by price has one made-up order a level
    return Level(decimal_of(level.price), size, count)


def of_depth(depth: OrderBookDepth10) -> Book:
    """Return the book of ten levels."""
    bids = tuple(_places(depth.bids, depth.bid_counts))
    asks = tuple(_places(depth.asks, depth.ask_counts))
    return Book(bids, asks, depth.sequence, depth.ts_event)


def _places(orders: list[Any], counts: list[int]) -> Iterator[Level]:
    for order, count in zip(orders, counts, strict=True):
        if order.size:
            yield Level(decimal_of(order.price), decimal_of(order.size), count)


def decimal_of(value: Any) -> Decimal:
    """Return a price or quantity with the decimals of its precision, as ``str`` shows it."""
    places = value.precision
    return Decimal(value.raw // 10 ** (FIXED - places)).scaleb(-places)


# -- answers


def order_book(book: Book, levels: int) -> live.OrderBook:
    """Return the best levels of a book as readers see them."""
    made = live.OrderBook(sequence=book.sequence)
    for theirs, ours in ((made.bids, book.bids), (made.asks, book.asks)):
        for level in ours[:levels]:
            theirs.add(price=_text(level.price), size=_text(level.size), count=level.count)
    return made


def answer_book(book: Book, levels: int, state: int) -> pb.GetOrderBookResponse:
    """Return the answer to GetOrderBook; ``state`` is the channel's."""
    answer = pb.GetOrderBookResponse(order_book=order_book(book, levels), state=state)  # type: ignore[arg-type]  # a number
    _stamp(answer, book)
    if book.bids and book.asks:
        bid, ask = book.bids[0].price, book.asks[0].price
        answer.spread = _text(ask - bid)
        answer.midpoint = _text((ask + bid) / 2)
    return answer


def answer_prices(
    book: Book, side: str, quantity: str, price: str, state: int
) -> pb.GetBookPricesResponse:
    """Return the answer to GetBookPrices: what a trade of a side would meet."""
    answer = pb.GetBookPricesResponse(state=state)  # type: ignore[arg-type]  # a number
    _stamp(answer, book)
    facing = book.asks if side == BUY else book.bids
    if quantity:
        _fill(answer, facing, Decimal(quantity))
    if price:
        limit = Decimal(price)
        within = [each for each in facing if _reaches(side, limit, each.price)]
        answer.quantity_to_price = _text(sum((each.size for each in within), Decimal(0)))
    return answer


def _fill(answer: pb.GetBookPricesResponse, facing: Sequence[Level], quantity: Decimal) -> None:
    taken = cost = Decimal(0)
    for level in facing:
        if taken >= quantity:
            break
        part = min(level.size, quantity - taken)
        taken += part
        cost = DIGITS.add(cost, DIGITS.multiply(part, level.price))
        answer.worst_price = _text(level.price)
    answer.fillable_quantity = _text(taken)
    if taken:
        average = DIGITS.divide(cost, taken)
        answer.average_price = _text(average.quantize(PLACES, context=DIGITS).normalize(DIGITS))


def _reaches(side: str, limit: Decimal, price: Decimal) -> bool:
    return price <= limit if side == BUY else price >= limit


def _stamp(answer: Any, book: Book) -> None:
    if book.time:
        answer.event_time.CopyFrom(to_timestamp(book.time))


def _text(value: Decimal) -> str:
    return format(value, "f")
