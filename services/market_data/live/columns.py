"""Columns of a batch → one ``MarketDataUpdate`` for each row, with exact decimal strings."""

from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.duration_pb2 import Duration

from mesh.marketdata.v1 import live_pb2 as pb
from meshkit.times import to_timestamp

LEVELS = 10
"""Levels of a row of ORDER_BOOK_DEPTH10."""


def updates(batch: pb.MarketDataBatch, only_last: bool = False) -> list[pb.MarketDataUpdate]:
    """Return the rows of a batch as messages; of ``only_last`` the last row alone."""
    rows = range(batch.rows - 1 if only_last else 0, batch.rows)
    times = _plain(batch.ts_event, "Q"), _plain(batch.ts_init, "Q")
    fields = _READERS[batch.WhichOneof("columns") or ""](batch, rows)
    return [
        pb.MarketDataUpdate(
            channel=batch.channel,
            event_time=to_timestamp(times[0][row]),
            init_time=to_timestamp(times[1][row]),
            **field,
        )
        for row, field in zip(rows, fields, strict=True)
    ]


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


Fields = list[dict[str, Any]]


def _quotes(batch: pb.MarketDataBatch, rows: range) -> Fields:
    c, n = batch.quotes, batch.rows
    columns = (
        decimals(c.bid_price, n, batch.price_precision, rows),
        decimals(c.ask_price, n, batch.price_precision, rows),
        decimals(c.bid_size, n, batch.size_precision, rows),
        decimals(c.ask_size, n, batch.size_precision, rows),
    )
    return [
        {"quote": pb.QuoteTick(bid_price=a, ask_price=b, bid_size=x, ask_size=y)}
        for a, b, x, y in zip(*columns, strict=True)
    ]


def _trades(batch: pb.MarketDataBatch, rows: range) -> Fields:
    c, n = batch.trades, batch.rows
    prices = decimals(c.price, n, batch.price_precision, rows)
    sizes = decimals(c.size, n, batch.size_precision, rows)
    return [
        {
            "trade": pb.TradeTick(
                price=price,
                size=size,
                # the contract's enum has UNSPECIFIED before Nautilus' 0
                aggressor_side=c.aggressor_side[row] + 1,  # type: ignore[arg-type]
                trade_id=c.trade_id[row],
            )
        }
        for row, price, size in zip(rows, prices, sizes, strict=True)
    ]


def _bars(batch: pb.MarketDataBatch, rows: range) -> Fields:
    c, n = batch.bars, batch.rows
    prices = (decimals(x, n, batch.price_precision, rows) for x in (c.open, c.high, c.low, c.close))
    volumes = decimals(c.volume, n, batch.size_precision, rows)
    return [
        {"bar": pb.Bar(open=o, high=h, low=low, close=close, volume=v)}
        for o, h, low, close, v in zip(*prices, volumes, strict=True)
    ]


def _deltas(batch: pb.MarketDataBatch, rows: range) -> Fields:
    c, n = batch.deltas, batch.rows
    prices = decimals(c.price, n, batch.price_precision, rows)
    sizes = decimals(c.size, n, batch.size_precision, rows)
    ids, sequences = _plain(c.order_id, "Q"), _plain(c.sequence, "Q")
    return [
        {
            "delta": pb.OrderBookDelta(
                action=c.action[row],  # type: ignore[arg-type] # the same numbers
                # Nautilus' NO_ORDER_SIDE is the contract's UNSPECIFIED here, BUY 1 is 2
                side=c.side[row] + 1 if c.side[row] else 0,  # type: ignore[arg-type]
                price=price,
                size=size,
                order_id=ids[row],
                flags=c.flags[row],
                sequence=sequences[row],
            )
        }
        for row, price, size in zip(rows, prices, sizes, strict=True)
    ]


def _depths(batch: pb.MarketDataBatch, rows: range) -> Fields:
    c = batch.depths
    sequences = _plain(c.sequence, "Q")
    return [
        {
            "order_book": pb.OrderBook(
                bids=_levels(batch, row, c.bid_price, c.bid_size, c.bid_count),
                asks=_levels(batch, row, c.ask_price, c.ask_size, c.ask_count),
                sequence=sequences[row],
            )
        }
        for row in rows
    ]


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


def _prices(batch: pb.MarketDataBatch, rows: range) -> Fields:
    values = decimals(batch.prices.value, batch.rows, batch.price_precision, rows)
    return [{"price": pb.PriceUpdate(value=value)} for value in values]


def _funding(batch: pb.MarketDataBatch, rows: range) -> Fields:
    c = batch.funding_rates
    minutes, nexts = _plain(c.interval_minutes, "I"), _plain(c.next_funding_ns, "Q")
    return [
        {
            "funding_rate": pb.FundingRateUpdate(
                rate=c.rate[row],
                interval=Duration(seconds=minutes[row] * 60) if minutes[row] else None,
                next_funding_time=to_timestamp(nexts[row]) if nexts[row] else None,
            )
        }
        for row in rows
    ]


_READERS: dict[str, Callable[[pb.MarketDataBatch, range], Fields]] = {
    "quotes": _quotes,
    "trades": _trades,
    "bars": _bars,
    "deltas": _deltas,
    "depths": _depths,
    "prices": _prices,
    "funding_rates": _funding,
}
