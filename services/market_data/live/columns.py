"""Columns of a batch → one ``MarketDataUpdate`` for each row, with exact decimal strings.

Fields are set one by one in messages that are where they shall be already: twice as fast as
messages that are made and copied.
"""

from collections.abc import Callable, Sequence
from typing import Any

from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1.market_data_service_pb2 import WatchMarketDataResponse
from meshkit.times import NANOS

LEVELS = 10
"""Levels of a row of ORDER_BOOK_DEPTH10."""

Rows = Sequence[pb.MarketDataUpdate]
"""Empty messages to be filled, the first for the first wanted row."""


def updates(batch: pb.MarketDataBatch, only_last: bool = False) -> list[pb.MarketDataUpdate]:
    """Return the rows of a batch as messages; of ``only_last`` the last row alone."""
    wanted = range(batch.rows - 1 if only_last else 0, batch.rows)
    made = [pb.MarketDataUpdate() for _ in wanted]
    _fill(batch, wanted, made)
    return made


def items(batch: pb.MarketDataBatch) -> bytes:
    """Return the rows of a batch as the items of a response, serialized."""
    response = WatchMarketDataResponse()
    made = [response.items.add().update for _ in range(batch.rows)]
    _fill(batch, range(batch.rows), made)
    return response.SerializeToString()


def _fill(batch: pb.MarketDataBatch, wanted: range, made: Rows) -> None:
    events, inits = _plain(batch.ts_event, "Q"), _plain(batch.ts_init, "Q")
    channel = batch.channel
    for row, message in zip(wanted, made, strict=True):
        message.channel.CopyFrom(channel)
        time = message.event_time
        time.seconds, time.nanos = divmod(events[row], NANOS)
        time = message.init_time
        time.seconds, time.nanos = divmod(inits[row], NANOS)
    _WRITERS[batch.WhichOneof("columns") or ""](batch, wanted, made)


def decimals(column: bytes, rows: int, precision: int, wanted: range) -> list[str]:
    """Return integers of a column, 8 or 16 bytes each, as decimals of a precision."""
    width = len(column) // rows
    if width == 8:
        integers: Sequence[int] = memoryview(column).cast("q")
        return [decimal(integers[row], precision) for row in wanted]
    parts = (column[row * width : (row + 1) * width] for row in wanted)
    return [decimal(int.from_bytes(part, "little", signed=True), precision) for part in parts]


def decimal(mantissa: int, precision: int) -> str:
    """Return ``mantissa / 10**precision`` with all its decimals: 1500, 2 → ``15.00``."""
    if not precision:
        return str(mantissa)
    sign = "-" if mantissa < 0 else ""
    whole, rest = divmod(abs(mantissa), 10**precision)
    return f"{sign}{whole}.{rest:0{precision}d}"


def _plain(column: bytes, code: Any) -> "memoryview[int]":
    return memoryview(column).cast(code)


def _prices_of(batch: pb.MarketDataBatch, wanted: range, *columns: bytes) -> list[list[str]]:
    return [decimals(each, batch.rows, batch.price_precision, wanted) for each in columns]


def _sizes_of(batch: pb.MarketDataBatch, wanted: range, *columns: bytes) -> list[list[str]]:
    return [decimals(each, batch.rows, batch.size_precision, wanted) for each in columns]


def _quotes(batch: pb.MarketDataBatch, wanted: range, made: Rows) -> None:
    c = batch.quotes
    prices = _prices_of(batch, wanted, c.bid_price, c.ask_price)
    sizes = _sizes_of(batch, wanted, c.bid_size, c.ask_size)
    for message, bid, ask, bid_size, ask_size in zip(made, *prices, *sizes, strict=True):
        quote = message.quote
        quote.bid_price, quote.ask_price = bid, ask
        quote.bid_size, quote.ask_size = bid_size, ask_size


def _trades(batch: pb.MarketDataBatch, wanted: range, made: Rows) -> None:
    c = batch.trades
    (prices,), (sizes,) = _prices_of(batch, wanted, c.price), _sizes_of(batch, wanted, c.size)
    for row, message, price, size in zip(wanted, made, prices, sizes, strict=True):
        trade = message.trade
        trade.price, trade.size, trade.trade_id = price, size, c.trade_id[row]
        # the contract's enum has UNSPECIFIED before Nautilus' 0
        trade.aggressor_side = c.aggressor_side[row] + 1  # type: ignore[assignment] # a number


def _bars(batch: pb.MarketDataBatch, wanted: range, made: Rows) -> None:
    c = batch.bars
    prices = _prices_of(batch, wanted, c.open, c.high, c.low, c.close)
    (volumes,) = _sizes_of(batch, wanted, c.volume)
    for message, open_, high, low, close, volume in zip(made, *prices, volumes, strict=True):
        bar = message.bar
        bar.open, bar.high, bar.low, bar.close, bar.volume = open_, high, low, close, volume


def _deltas(batch: pb.MarketDataBatch, wanted: range, made: Rows) -> None:
    c = batch.deltas
    (prices,), (sizes,) = _prices_of(batch, wanted, c.price), _sizes_of(batch, wanted, c.size)
    ids, sequences = _plain(c.order_id, "Q"), _plain(c.sequence, "Q")
    for row, message, price, size in zip(wanted, made, prices, sizes, strict=True):
        delta = message.delta
        delta.action = c.action[row]  # type: ignore[assignment] # the same numbers
        if c.side[row]:  # Nautilus' NO_ORDER_SIDE is UNSPECIFIED here, its BUY 1 is 2
            delta.side = c.side[row] + 1  # type: ignore[assignment] # a number
        delta.price, delta.size, delta.flags = price, size, c.flags[row]
        delta.order_id, delta.sequence = ids[row], sequences[row]


def _depths(batch: pb.MarketDataBatch, wanted: range, made: Rows) -> None:
    c = batch.depths
    sequences = _plain(c.sequence, "Q")
    for row, message in zip(wanted, made, strict=True):
        book = message.order_book
        book.sequence = sequences[row]
        book.bids.extend(_levels(batch, row, c.bid_price, c.bid_size, c.bid_count))
        book.asks.extend(_levels(batch, row, c.ask_price, c.ask_size, c.ask_count))


def _levels(
    batch: pb.MarketDataBatch, row: int, prices: bytes, sizes: bytes, counts: bytes
) -> list[pb.BookLevel]:
    n, wanted = batch.rows * LEVELS, range(row * LEVELS, (row + 1) * LEVELS)
    numbers = _plain(counts, "I")
    return [
        pb.BookLevel(price=price, size=size, count=numbers[at])
        for at, price, size in zip(
            wanted,
            decimals(prices, n, batch.price_precision, wanted),
            decimals(sizes, n, batch.size_precision, wanted),
            strict=True,
        )
        if size.strip("0.")
    ]


def _values(batch: pb.MarketDataBatch, wanted: range, made: Rows) -> None:
    (values,) = _prices_of(batch, wanted, batch.prices.value)
    for message, value in zip(made, values, strict=True):
        message.price.value = value


def _funding(batch: pb.MarketDataBatch, wanted: range, made: Rows) -> None:
    c = batch.funding_rates
    minutes, nexts = _plain(c.interval_minutes, "I"), _plain(c.next_funding_ns, "Q")
    for row, message in zip(wanted, made, strict=True):
        funding = message.funding_rate
        funding.rate = c.rate[row]
        if minutes[row]:
            funding.interval.seconds = minutes[row] * 60
        if nexts[row]:
            time = funding.next_funding_time
            time.seconds, time.nanos = divmod(nexts[row], NANOS)


_WRITERS: dict[str, Callable[[pb.MarketDataBatch, range, Rows], None]] = {
    "quotes": _quotes,
    "trades": _trades,
    "bars": _bars,
    "deltas": _deltas,
    "depths": _depths,
    "prices": _values,
    "funding_rates": _funding,
}
