"""The ten best levels of a book that comes as changes, for venues that send no such depth."""

from collections.abc import Callable
from typing import Any

from nautilus_trader.model.data import NULL_ORDER, BookOrder, OrderBookDepth10
from nautilus_trader.model.enums import OrderSide
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
        book = cache.order_book(instrument_id)
        levels = (_side(book.bids(), OrderSide.BUY), _side(book.asks(), OrderSide.SELL))
        if levels != shown[0]:
            shown[0] = levels
            buffer.rows.append(_depth(instrument_id, levels, deltas))

    buffer.before_sweep = follow
    return newest.append


def _side(levels: list[Any], side: OrderSide) -> list[tuple[Price, Quantity, int]]:
    made = []
    for level in levels[:LEVELS]:
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
