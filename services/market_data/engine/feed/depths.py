"""What is made of a book that comes as changes: its ten best levels, for venues that send no such
depth, and the whole of it, for those who come later.
"""

from collections.abc import Callable
from typing import Any

from nautilus_trader.model.data import (
    NULL_ORDER,
    BookOrder,
    OrderBookDelta,
    OrderBookDeltas,
    OrderBookDepth10,
)
from nautilus_trader.model.enums import BookAction, OrderSide, RecordFlag
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Price, Quantity

from services.market_data.engine.feed.capture import Buffer

LEVELS = 10


def follow_book(buffer: Buffer, cache: Any, instrument_id: InstrumentId) -> Callable[[Any], None]:
    """Return a handler of deltas that puts the cached book's depth into a buffer.

    One row is made a sweep at most, and none while the ten levels stay as they were.
    """
    newest: list[Any] = []
    shown: list[Any] = [None]

    def follow() -> None:
        if not newest:
            return
        deltas = newest.pop()
        newest.clear()
        buffer.followed = deltas
        book = cache.order_book(instrument_id)
        levels = (_side(book.bids(), OrderSide.BUY), _side(book.asks(), OrderSide.SELL))
        if levels != shown[0]:
            shown[0] = levels
            buffer.rows.append(_depth(instrument_id, levels, deltas))

    buffer.before_sweep = follow
    return newest.append


def whole_book(book: Any, newest: OrderBookDeltas) -> list[OrderBookDelta]:
    """Return the changes that make an empty book this one, as a venue's snapshot does.

    They have the times of the newest changes that are in it: what comes later is not before them.
    """
    stamp = newest.sequence, newest.ts_event, newest.ts_init
    bids, asks = _side(book.bids(), OrderSide.BUY, None), _side(book.asks(), OrderSide.SELL, None)
    orders = [BookOrder(OrderSide.BUY, price, size, 0) for price, size, _ in bids]
    orders += [BookOrder(OrderSide.SELL, price, size, 0) for price, size, _ in asks]
    of, snapshot, last = newest.instrument_id, RecordFlag.F_SNAPSHOT, RecordFlag.F_LAST
    clear = snapshot if orders else snapshot | last
    made = [OrderBookDelta(of, BookAction.CLEAR, NULL_ORDER, clear, *stamp)]
    for left, order in zip(range(len(orders) - 1, -1, -1), orders, strict=True):
        flags = snapshot if left else snapshot | last
        made.append(OrderBookDelta(of, BookAction.ADD, order, flags, *stamp))
    return made


def _side(
    levels: list[Any], side: OrderSide, most: int | None = LEVELS
) -> list[tuple[Price, Quantity, int]]:
    made = []
    for level in levels[:most]:
        orders = level.orders()
        precision = max(order.size.precision for order in orders)
        raw = sum(order.size.raw for order in orders)
        made.append((level.price, Quantity.from_raw(raw, precision), len(orders)))
    return made


def _depth(instrument_id: InstrumentId, levels: Any, deltas: Any) -> OrderBookDepth10:
    bids, asks = levels
    return OrderBookDepth10(
        instrument_id,
        _orders(bids, OrderSide.BUY),
        _orders(asks, OrderSide.SELL),
        _counts(bids),
        _counts(asks),
        0,
        deltas.sequence,
        deltas.ts_event,
        deltas.ts_init,
    )


def _orders(side: Any, name: OrderSide) -> list[BookOrder]:
    made = [BookOrder(name, price, size, 0) for price, size, _ in side]
    return made + [NULL_ORDER] * (LEVELS - len(made))


def _counts(side: Any) -> list[int]:
    return [count for _, _, count in side] + [0] * (LEVELS - len(side))
