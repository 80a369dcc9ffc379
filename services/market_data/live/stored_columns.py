"""Rows of a catalog file → the columns of a ``MarketDataBatch``, without looking at each value.

A catalog stores a price as 16 bytes, scaled by 10^16; a batch has integers at the instrument's
precision, 8 bytes each where they fit.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mesh.marketdata.v1 import live_pb2 as live
from services.market_data.domain import Series
from services.market_data.tables import DECIMAL, LEVELS

type Array = NDArray[Any]


def batch_of(series: Series, channel: live.Channel, rows: pa.RecordBatch) -> live.MarketDataBatch:
    """Return rows of a series as a batch; precisions are read from the schema's metadata."""
    metadata = rows.schema.metadata
    price = int(metadata.get(b"price_precision", b"0"))
    size = int(metadata.get(b"size_precision", b"0"))
    batch = live.MarketDataBatch(
        channel=channel,
        rows=rows.num_rows,
        price_precision=price,
        size_precision=size,
        ts_event=_plain(rows, "ts_event"),
        ts_init=_plain(rows, "ts_init"),
    )
    _COLUMNS[series.kind](batch, rows, price, size)
    return batch


def _quotes(batch: live.MarketDataBatch, rows: pa.RecordBatch, price: int, size: int) -> None:
    batch.quotes.bid_price = _integers(rows, "bid_price", price)
    batch.quotes.ask_price = _integers(rows, "ask_price", price)
    batch.quotes.bid_size = _integers(rows, "bid_size", size)
    batch.quotes.ask_size = _integers(rows, "ask_size", size)


def _trades(batch: live.MarketDataBatch, rows: pa.RecordBatch, price: int, size: int) -> None:
    batch.trades.price = _integers(rows, "price", price)
    batch.trades.size = _integers(rows, "size", size)
    batch.trades.aggressor_side = _plain(rows, "aggressor_side")
    batch.trades.trade_id.extend(rows.column("trade_id").to_pylist())


def _bars(batch: live.MarketDataBatch, rows: pa.RecordBatch, price: int, size: int) -> None:
    for name in ("open", "high", "low", "close"):
        setattr(batch.bars, name, _integers(rows, name, price))
    batch.bars.volume = _integers(rows, "volume", size)


def _deltas(batch: live.MarketDataBatch, rows: pa.RecordBatch, price: int, size: int) -> None:
    batch.deltas.price = _integers(rows, "price", price)
    batch.deltas.size = _integers(rows, "size", size)
    for name in ("action", "side", "order_id", "flags", "sequence"):
        setattr(batch.deltas, name, _plain(rows, name))


def _depths(batch: live.MarketDataBatch, rows: pa.RecordBatch, price: int, size: int) -> None:
    for side in ("bid", "ask"):
        for what, precision in (("price", price), ("size", size)):
            columns = [_halves(rows, f"{side}_{what}_{i}", precision) for i in LEVELS]
            setattr(batch.depths, f"{side}_{what}", _packed(np.concatenate(columns, axis=1)))
        counts = [rows.column(f"{side}_count_{i}").to_numpy() for i in LEVELS]
        setattr(batch.depths, f"{side}_count", np.stack(counts, axis=1).astype("<u4").tobytes())
    batch.depths.flags = _plain(rows, "flags")
    batch.depths.sequence = _plain(rows, "sequence")


def _prices(batch: live.MarketDataBatch, rows: pa.RecordBatch, price: int, _: int) -> None:
    batch.prices.value = _integers(rows, "value", price)


def _funding(batch: live.MarketDataBatch, rows: pa.RecordBatch, _: int, __: int) -> None:
    texts = pc.utf8_trim(rows.column("rate").cast(pa.string()), characters='"')
    batch.funding_rates.rate.extend(texts.to_pylist())
    interval = rows.column("interval").fill_null(0).to_numpy(zero_copy_only=False)
    batch.funding_rates.interval_minutes = interval.astype("<u4").tobytes()
    following = rows.column("next_funding_ns").fill_null(0).to_numpy(zero_copy_only=False)
    batch.funding_rates.next_funding_ns = following.astype("<u8").tobytes()


_COLUMNS = {
    "QUOTE_TICK": _quotes,
    "TRADE_TICK": _trades,
    "BAR": _bars,
    "ORDER_BOOK_DELTA": _deltas,
    "ORDER_BOOK_DEPTH10": _depths,
    "MARK_PRICE": _prices,
    "INDEX_PRICE": _prices,
    "FUNDING_RATE": _funding,
}


def _plain(rows: pa.RecordBatch, name: str) -> bytes:
    content: bytes = rows.column(name).to_numpy(zero_copy_only=False).tobytes()
    return content


def _integers(rows: pa.RecordBatch, name: str, precision: int) -> bytes:
    return _packed(_halves(rows, name, precision))


def _halves(rows: pa.RecordBatch, name: str, precision: int) -> Array:
    """Return values as pairs (low, high) of 64 bits: shape (rows, 2), scaled by the precision."""
    column = rows.column(name)
    scaled = pa.Array.from_buffers(DECIMAL, len(column), column.buffers(), offset=column.offset)
    if precision != DECIMAL.scale:
        scaled = scaled.cast(pa.decimal128(38, precision))  # exact: a remainder raises
    whole: Array = np.frombuffer(scaled.buffers()[1], "<i8").reshape(-1, 2)
    return whole[scaled.offset : scaled.offset + len(scaled)]


def _packed(halves: Array) -> bytes:
    """Return pairs of 64 bits as 8 bytes each where all fit, else as 16."""
    pairs = halves.reshape(-1, 2)
    low, high = pairs[:, 0], pairs[:, 1]
    fits = bool(np.all(high == low >> 63))
    content: bytes = (low if fits else pairs).tobytes()
    return content
