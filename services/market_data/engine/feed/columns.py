"""Nautilus ticks → the columns of a ``MarketDataBatch``."""

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mesh.marketdata.v1 import live_pb2 as live
from services.market_data.engine.feed.memory import structs

type Rows = Sequence[Any]
type Array = NDArray[Any]

FEW = 16
"""Rows up to which attributes are faster than arrays."""

FIXED = 16
"""Decimals by which Nautilus scales what it calls raw."""

LEVELS = 10
BIG = 16
"""Bytes of an integer of a column that has one which does not fit into 8."""


def fill(kind: str, rows: Rows, batch: live.MarketDataBatch, price: int, size: int) -> None:
    """Put rows of one kind (at least one) into a batch.

    ``price`` and ``size`` are the instrument's precisions; a row of more decimals raises the
    batch's.
    """
    batch.rows = len(rows)
    _FILLERS[kind](rows, batch, price, size)


def _quotes(rows: Rows, batch: live.MarketDataBatch, price: int, size: int) -> None:
    table = structs(rows) if len(rows) > FEW else None
    if table is None:
        _times(rows, batch)
        prices = [[x.bid_price for x in rows], [x.ask_price for x in rows]]
        sizes = [[x.bid_size for x in rows], [x.ask_size for x in rows]]
        bid, ask = _plain(batch, "price_precision", prices, price)
        bid_size, ask_size = _plain(batch, "size_precision", sizes, size)
    else:
        _stamps(table, batch)
        values = table["values"]
        bid, ask = _packed(batch, "price_precision", [values[:, 0], values[:, 1]], price)
        bid_size, ask_size = _packed(batch, "size_precision", [values[:, 2], values[:, 3]], size)
    quotes = batch.quotes
    quotes.bid_price, quotes.ask_price = bid, ask
    quotes.bid_size, quotes.ask_size = bid_size, ask_size


def _trades(rows: Rows, batch: live.MarketDataBatch, price: int, size: int) -> None:
    trades = batch.trades
    table = structs(rows) if len(rows) > FEW else None
    if table is None:
        _times(rows, batch)
        (trades.price,) = _plain(batch, "price_precision", [[x.price for x in rows]], price)
        (trades.size,) = _plain(batch, "size_precision", [[x.size for x in rows]], size)
        trades.aggressor_side = bytes([x.aggressor_side for x in rows])
    else:
        _stamps(table, batch)
        values = table["values"]
        (trades.price,) = _packed(batch, "price_precision", [values[:, 0]], price)
        (trades.size,) = _packed(batch, "size_precision", [values[:, 1]], size)
        trades.aggressor_side = table["aggressor_side"].astype("u1").tobytes()
    trades.trade_id.extend([x.trade_id.value for x in rows])


def _bars(rows: Rows, batch: live.MarketDataBatch, price: int, size: int) -> None:
    _times(rows, batch)
    names = ("open", "high", "low", "close")
    columns = [[getattr(x, name) for x in rows] for name in names]
    for name, column in zip(names, _plain(batch, "price_precision", columns, price), strict=True):
        setattr(batch.bars, name, column)
    (batch.bars.volume,) = _plain(batch, "size_precision", [[x.volume for x in rows]], size)


def _deltas(rows: Rows, batch: live.MarketDataBatch, price: int, size: int) -> None:
    deltas = batch.deltas
    table = structs(rows) if len(rows) > FEW else None
    if table is None:
        _times(rows, batch)
        orders = [x.order for x in rows]
        (deltas.price,) = _plain(batch, "price_precision", [[o.price for o in orders]], price)
        (deltas.size,) = _plain(batch, "size_precision", [[o.size for o in orders]], size)
        deltas.action = bytes([x.action for x in rows])
        deltas.side = bytes([o.side for o in orders])
        deltas.order_id = _unsigned([o.order_id for o in orders])
        deltas.flags = bytes([x.flags for x in rows])
        deltas.sequence = _unsigned([x.sequence for x in rows])
        return
    _stamps(table, batch)
    order = table["order"]
    (deltas.price,) = _packed(batch, "price_precision", [order["price"]], price)
    (deltas.size,) = _packed(batch, "size_precision", [order["size"]], size)
    deltas.action = table["action"].astype("u1").tobytes()
    deltas.side = order["side"].astype("u1").tobytes()
    deltas.order_id = order["order_id"].tobytes()
    deltas.flags = table["flags"].tobytes()
    deltas.sequence = table["sequence"].tobytes()


def _depths(rows: Rows, batch: live.MarketDataBatch, price: int, size: int) -> None:
    depths = batch.depths
    sides = [[_ladder(x.bids) for x in rows], [_ladder(x.asks) for x in rows]]
    prices = [[o.price for orders in side for o in orders] for side in sides]
    sizes = [[o.size for orders in side for o in orders] for side in sides]
    _times(rows, batch)
    depths.bid_price, depths.ask_price = _plain(batch, "price_precision", prices, price)
    depths.bid_size, depths.ask_size = _plain(batch, "size_precision", sizes, size)
    depths.bid_count = _counts([x.bid_counts for x in rows])
    depths.ask_count = _counts([x.ask_counts for x in rows])
    depths.flags = bytes([x.flags for x in rows])
    depths.sequence = _unsigned([x.sequence for x in rows])


def _ladder(orders: list[Any]) -> list[Any]:
    if len(orders) != LEVELS:
        raise ValueError(f"a depth of {len(orders)} levels instead of {LEVELS}")
    return orders


def _counts(rows: list[list[int]]) -> bytes:
    flat = [count for counts in rows for count in counts]
    return struct.pack(f"<{len(flat)}I", *flat)


def _prices(rows: Rows, batch: live.MarketDataBatch, price: int, _: int) -> None:
    _times(rows, batch)
    (batch.prices.value,) = _plain(batch, "price_precision", [[x.value for x in rows]], price)


def _funding(rows: Rows, batch: live.MarketDataBatch, price: int, size: int) -> None:
    _times(rows, batch)
    rates = batch.funding_rates
    rates.rate.extend([format(x.rate, "f") for x in rows])
    minutes = [x.interval or 0 for x in rows]
    rates.interval_minutes = struct.pack(f"<{len(rows)}I", *minutes)
    rates.next_funding_ns = _unsigned([x.next_funding_ns or 0 for x in rows])


_FILLERS: dict[str, Callable[[Rows, live.MarketDataBatch, int, int], None]] = {
    "QUOTE_TICK": _quotes,
    "TRADE_TICK": _trades,
    "BAR": _bars,
    "ORDER_BOOK_DELTA": _deltas,
    "ORDER_BOOK_DEPTH10": _depths,
    "MARK_PRICE": _prices,
    "INDEX_PRICE": _prices,
    "FUNDING_RATE": _funding,
}

KINDS = frozenset(_FILLERS)


# -- times


def _times(rows: Rows, batch: live.MarketDataBatch) -> None:
    batch.ts_event = _unsigned([x.ts_event for x in rows])
    batch.ts_init = _unsigned([x.ts_init for x in rows])


def _stamps(table: Array, batch: live.MarketDataBatch) -> None:
    batch.ts_event = table["ts_event"].tobytes()
    batch.ts_init = table["ts_init"].tobytes()


def _unsigned(values: list[int]) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


# -- prices and sizes


def _plain(batch: live.MarketDataBatch, field: str, columns: list[Any], least: int) -> list[bytes]:
    """Return columns of prices or quantities as integers of one precision, noted in the batch."""
    precision = max(least, max(x.precision for column in columns for x in column))
    setattr(batch, field, precision)
    unit = 10 ** (FIXED - precision)
    return [integers([x.raw // unit for x in column]) for column in columns]


def integers(values: list[int]) -> bytes:
    """Return integers as 8 bytes each, or 16 when one does not fit."""
    try:
        return struct.pack(f"<{len(values)}q", *values)
    except struct.error:
        return b"".join(value.to_bytes(BIG, "little", signed=True) for value in values)


def _packed(
    batch: live.MarketDataBatch, field: str, columns: list[Array], least: int
) -> list[bytes]:
    """Return what ``_plain`` does, of columns of structs."""
    precision = max(least, max(int(column["precision"].max()) for column in columns))
    setattr(batch, field, precision)
    return [_divided(column["raw"], FIXED - precision) for column in columns]


def _divided(raw: Array, zeros: int) -> bytes:
    """Return 128-bit integers (low, high), shape (rows, 2), divided by 10**zeros.

    The division leaves no remainder, so it is exact modulo 2**64: a shift by the twos, and a
    multiplication by the inverse of the fives. It holds when the result fits into 64 bits.
    """
    low, high = raw[:, 0], raw[:, 1].view("<i8")
    half = max(1, 10**zeros // 2)
    if zeros == 0:
        if not np.array_equal(high, low.view("<i8") >> 63):
            return raw.tobytes()
        return low.tobytes()
    if high.min() < -half or high.max() >= half:
        return _divided_big(raw, zeros)
    shift = np.uint64(zeros)
    shifted = (low >> shift) | (high.view("<u8") << (np.uint64(64) - shift))
    content: bytes = (shifted * _INVERSE[zeros]).tobytes()
    return content


def _divided_big(raw: Array, zeros: int) -> bytes:
    unit = 10**zeros
    values = (int.from_bytes(row.tobytes(), "little", signed=True) // unit for row in raw)
    return b"".join(value.to_bytes(BIG, "little", signed=True) for value in values)


_INVERSE = [np.uint64(pow(5**zeros, -1, 2**64)) for zeros in range(FIXED + 1)]
