"""The newest state of a channel → what a Nautilus node takes as data."""

from nautilus_trader.core.data import Data
from nautilus_trader.model.data import (
    BookOrder,
    IndexPriceUpdate,
    MarkPriceUpdate,
    OrderBookDelta,
    OrderBookDeltas,
    QuoteTick,
)
from nautilus_trader.model.enums import BookAction, OrderSide, RecordFlag
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Price, Quantity

from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1.marketdata_pb2 import DATA_KIND_MARK_PRICE, DATA_KIND_ORDER_BOOK_DELTA
from meshkit.times import to_nanos


def state_of(update: pb.MarketDataUpdate) -> Data | None:
    """Return data that is a state: a quote, a mark or index price, a whole order book.

    None for what is an event, such as a trade or a bar: it was told when it happened, and told
    again it would count twice.
    """
    instrument_id = InstrumentId.from_str(update.channel.instrument_id)
    times = to_nanos(update.event_time), to_nanos(update.init_time)
    which = update.WhichOneof("data")
    if which == "quote":
        quote = update.quote
        prices = Price.from_str(quote.bid_price), Price.from_str(quote.ask_price)
        sizes = Quantity.from_str(quote.bid_size), Quantity.from_str(quote.ask_size)
        return QuoteTick(instrument_id, *prices, *sizes, *times)
    if which == "price":
        mark = update.channel.kind == DATA_KIND_MARK_PRICE
        made = MarkPriceUpdate if mark else IndexPriceUpdate
        return made(instrument_id, Price.from_str(update.price.value), *times)
    if which == "order_book" and update.channel.kind == DATA_KIND_ORDER_BOOK_DELTA:
        return _book(instrument_id, update.order_book, *times)
    return None


def _book(
    instrument_id: InstrumentId, book: pb.OrderBook, ts_event: int, ts_init: int
) -> OrderBookDeltas:
    """Return a book as venues send it whole: cleared, then every level added."""
    flags = RecordFlag.F_SNAPSHOT
    deltas = [OrderBookDelta.clear(instrument_id, book.sequence, ts_event, ts_init)]
    sides = ((OrderSide.BUY, book.bids), (OrderSide.SELL, book.asks))
    levels = [(side, level) for side, levels in sides for level in levels]
    for number, (side, level) in enumerate(levels, 1):
        order = BookOrder(side, Price.from_str(level.price), Quantity.from_str(level.size), 0)
        last = RecordFlag.F_LAST if number == len(levels) else 0
        deltas.append(
            OrderBookDelta(
                instrument_id,
                BookAction.ADD,
                order,
                flags | last,
                book.sequence,
                ts_event,
                ts_init,
            )
        )
    return OrderBookDeltas(instrument_id, deltas)
