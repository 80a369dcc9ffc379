"""The columns of a ``MarketDataBatch`` → rows as a catalog stores them; values stay exact."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mesh.marketdata.v1 import live_pb2 as live
from services.market_data.domain import Series
from services.market_data.tables import BINARY, DECIMAL, KINDS, LEVELS, stored_schema

type Array = NDArray[Any]

OWN_PRECISION = frozenset({"MARK_PRICE", "INDEX_PRICE"})
"""Kinds whose values have decimals of their own: venues average them."""


class TooPrecise(Exception):
    """A value has more decimals than the instrument."""


@dataclass(frozen=True)
class Precision:
    """Decimals of an instrument's prices and sizes."""

    price: int
    size: int


def rows_of(
    series: Series, batches: Sequence[live.MarketDataBatch], precision: Precision
) -> pa.Table:
    """Return the rows of batches (at least one), in their order.

    Raises ``TooPrecise`` for a value that the instrument's precision cannot hold.
    """
    if series.kind in OWN_PRECISION:
        most = max(batch.price_precision for batch in batches)
        precision = Precision(max(precision.price, most), precision.size)
    schema = stored_schema(series, precision.price, precision.size)
    return pa.concat_tables([_table(series.kind, batch, precision, schema) for batch in batches])


def _table(
    kind: str, batch: live.MarketDataBatch, precision: Precision, schema: pa.Schema
) -> pa.Table:
    columns = _COLUMNS[kind](batch, _Numbers(batch, precision))
    columns["ts_event"] = np.frombuffer(batch.ts_event, "<u8")
    columns["ts_init"] = np.frombuffer(batch.ts_init, "<u8")
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


class _Numbers:
    """Integers of a batch as the 16 bytes that Nautilus stores."""

    def __init__(self, batch: live.MarketDataBatch, precision: Precision) -> None:
        self._batch = batch
        self._precision = precision

    def price(self, content: bytes) -> pa.Array:
        """Return prices."""
        return _stored(content, self._rows, self._batch.price_precision, self._precision.price)

    def size(self, content: bytes) -> pa.Array:
        """Return sizes."""
        return _stored(content, self._rows, self._batch.size_precision, self._precision.size)

    @property
    def _rows(self) -> int:
        return int(self._batch.rows)


def _stored(content: bytes, rows: int, given: int, wanted: int) -> pa.Array:
    """Return ``rows`` integers scaled by ``10**given`` as stored; each may be many (levels)."""
    pairs = _pairs(content, rows)
    values = pa.Array.from_buffers(
        pa.decimal128(38, given), len(pairs), [None, pa.py_buffer(pairs.tobytes())]
    )
    if given > wanted:
        try:
            values = values.cast(pa.decimal128(38, wanted))
        except pa.ArrowInvalid:
            raise TooPrecise(f"a value has more than {wanted} decimals") from None
    scaled = values.cast(DECIMAL)
    return pa.Array.from_buffers(BINARY, len(scaled), scaled.buffers(), offset=scaled.offset)


def _pairs(content: bytes, rows: int) -> Array:
    """Return integers of 8 or 16 bytes as pairs (low, high) of 64 bits."""
    if len(content) == 16 * rows:
        wide: Array = np.frombuffer(content, "<i8").reshape(-1, 2)
        return wide
    low = np.frombuffer(content, "<i8")
    pairs: Array = np.stack([low, low >> 63], axis=1)
    return pairs


def _quotes(batch: live.MarketDataBatch, numbers: _Numbers) -> dict[str, Any]:
    quotes = batch.quotes
    return {
        "bid_price": numbers.price(quotes.bid_price),
        "ask_price": numbers.price(quotes.ask_price),
        "bid_size": numbers.size(quotes.bid_size),
        "ask_size": numbers.size(quotes.ask_size),
    }


def _trades(batch: live.MarketDataBatch, numbers: _Numbers) -> dict[str, Any]:
    trades = batch.trades
    return {
        "price": numbers.price(trades.price),
        "size": numbers.size(trades.size),
        "aggressor_side": np.frombuffer(trades.aggressor_side, "u1"),
        "trade_id": list(trades.trade_id),
    }


def _bars(batch: live.MarketDataBatch, numbers: _Numbers) -> dict[str, Any]:
    bars = batch.bars
    prices = {name: numbers.price(getattr(bars, name)) for name in ("open", "high", "low", "close")}
    return {**prices, "volume": numbers.size(bars.volume)}


def _deltas(batch: live.MarketDataBatch, numbers: _Numbers) -> dict[str, Any]:
    deltas = batch.deltas
    return {
        "action": np.frombuffer(deltas.action, "u1"),
        "side": np.frombuffer(deltas.side, "u1"),
        "price": numbers.price(deltas.price),
        "size": numbers.size(deltas.size),
        "order_id": np.frombuffer(deltas.order_id, "<u8"),
        "flags": np.frombuffer(deltas.flags, "u1"),
        "sequence": np.frombuffer(deltas.sequence, "<u8"),
    }


def _depths(batch: live.MarketDataBatch, numbers: _Numbers) -> dict[str, Any]:
    depths, levels = batch.depths, len(LEVELS)
    made: dict[str, Any] = {
        "flags": np.frombuffer(depths.flags, "u1"),
        "sequence": np.frombuffer(depths.sequence, "<u8"),
    }
    for side in ("bid", "ask"):
        for what, scaled in (("price", numbers.price), ("size", numbers.size)):
            column = getattr(depths, f"{side}_{what}")
            for level in LEVELS:
                made[f"{side}_{what}_{level}"] = scaled(_level(column, batch.rows, level))
        counts = np.frombuffer(getattr(depths, f"{side}_count"), "<u4").reshape(-1, levels)
        made |= {f"{side}_count_{level}": counts[:, level] for level in LEVELS}
    return made


def _level(column: bytes, rows: int, level: int) -> bytes:
    """Return one level of every row."""
    items = np.frombuffer(column, np.uint8).reshape(rows, len(LEVELS), -1)
    content: bytes = items[:, level].tobytes()
    return content


def _prices(batch: live.MarketDataBatch, numbers: _Numbers) -> dict[str, Any]:
    return {"value": numbers.price(batch.prices.value)}


def _funding(batch: live.MarketDataBatch, _: _Numbers) -> dict[str, Any]:
    rates = batch.funding_rates
    minutes = np.frombuffer(rates.interval_minutes, "<u4")
    following = np.frombuffer(rates.next_funding_ns, "<u8")
    return {
        "rate": [f'"{rate}"'.encode() for rate in rates.rate],
        "interval": pa.array(minutes.astype("u2"), mask=minutes == 0),
        "next_funding_ns": pa.array(following, mask=following == 0),
    }


_COLUMNS: dict[str, Callable[[live.MarketDataBatch, _Numbers], dict[str, Any]]] = {
    "QUOTE_TICK": _quotes,
    "TRADE_TICK": _trades,
    "BAR": _bars,
    "ORDER_BOOK_DELTA": _deltas,
    "ORDER_BOOK_DEPTH10": _depths,
    "MARK_PRICE": _prices,
    "INDEX_PRICE": _prices,
    "FUNDING_RATE": _funding,
}

assert set(_COLUMNS) == set(KINDS)
