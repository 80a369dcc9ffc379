"""``MarketDataBatch`` → Nautilus objects, every value exact."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from nautilus_trader.core.data import Data
from nautilus_trader.model.data import (
    Bar,
    BarType,
    BookOrder,
    FundingRateUpdate,
    IndexPriceUpdate,
    MarkPriceUpdate,
    OrderBookDelta,
    OrderBookDeltas,
    OrderBookDepth10,
    QuoteTick,
    TradeTick,
)
from nautilus_trader.model.enums import AggressorSide, BookAction, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, TradeId
from nautilus_trader.model.objects import FIXED_PRECISION, Price
from numpy.typing import NDArray

from mesh.marketdata.v1.live_pb2 import MarketDataBatch

EXACT = 2**53
"""Integers up to here are exact as doubles, and so are prices made of them by Nautilus."""

F_LAST = 128
LEVELS = 10


def objects_of(batch: MarketDataBatch) -> list[Data]:
    """Return the rows of a batch as Nautilus objects, in order; deltas singly."""
    kind = batch.WhichOneof("columns")
    return _MAKERS[kind](batch) if kind else []


def grouped(deltas: Sequence[OrderBookDelta]) -> list[OrderBookDeltas]:
    """Return deltas as the events that venues sent: one ends with ``F_LAST``, or with the batch."""
    groups: list[OrderBookDeltas] = []
    start = 0
    for end, delta in enumerate(deltas, 1):
        if delta.flags & F_LAST or end == len(deltas):
            groups.append(OrderBookDeltas(delta.instrument_id, list(deltas[start:end])))
            start = end
    return groups


def _quotes(batch: MarketDataBatch) -> list[Data]:
    columns = batch.quotes
    prices = [columns.bid_price, columns.ask_price]
    sizes = [columns.bid_size, columns.ask_size]
    instrument_id = InstrumentId.from_str(batch.channel.instrument_id)
    price, size = batch.price_precision, batch.size_precision
    doubles = _doubles(batch, prices, sizes)
    if doubles:
        made: list[Data] = QuoteTick.from_raw_arrays_to_list(
            instrument_id, price, size, *doubles, *_times(batch)
        )
        return made
    bid, ask, bid_size, ask_size = _raws(batch, prices, sizes)
    rows = zip(bid, ask, bid_size, ask_size, *_stamps(batch), strict=True)
    return [
        QuoteTick.from_raw(instrument_id, b, a, price, price, bs, sz, size, size, event, init)
        for b, a, bs, sz, event, init in rows
    ]


def _trades(batch: MarketDataBatch) -> list[Data]:
    columns = batch.trades
    instrument_id = InstrumentId.from_str(batch.channel.instrument_id)
    price, size = batch.price_precision, batch.size_precision
    doubles = _doubles(batch, [columns.price], [columns.size])
    if doubles:
        sides = np.frombuffer(columns.aggressor_side, np.uint8).copy()
        made: list[Data] = TradeTick.from_raw_arrays_to_list(
            instrument_id, price, size, *doubles, sides, list(columns.trade_id), *_times(batch)
        )
        return made
    prices, sizes = _raws(batch, [columns.price], [columns.size])
    rows = zip(
        prices, sizes, columns.aggressor_side, columns.trade_id, *_stamps(batch), strict=True
    )
    return [
        TradeTick.from_raw(
            instrument_id, p, price, s, size, AggressorSide(side), TradeId(trade_id), event, init
        )
        for p, s, side, trade_id, event, init in rows
    ]


def _bars(batch: MarketDataBatch) -> list[Data]:
    columns = batch.bars
    bar_type = BarType.from_str(batch.channel.bar_type)
    price, size = batch.price_precision, batch.size_precision
    prices = [columns.open, columns.high, columns.low, columns.close]
    doubles = _doubles(batch, prices, [columns.volume])
    if doubles:
        made: list[Data] = Bar.from_raw_arrays_to_list(
            bar_type, price, size, *doubles, *_times(batch)
        )
        return made
    rows = zip(*_raws(batch, prices, [columns.volume]), *_stamps(batch), strict=True)
    return [
        Bar.from_raw(bar_type, o, h, low, c, price, volume, size, event, init)
        for o, h, low, c, volume, event, init in rows
    ]


def _deltas(batch: MarketDataBatch) -> list[Data]:
    columns = batch.deltas
    instrument_id = InstrumentId.from_str(batch.channel.instrument_id)
    rows = zip(
        columns.action,
        columns.side,
        *_raws(batch, [columns.price], [columns.size]),
        np.frombuffer(columns.order_id, "<u8").tolist(),
        columns.flags,
        np.frombuffer(columns.sequence, "<u8").tolist(),
        *_stamps(batch),
        strict=True,
    )
    return [
        OrderBookDelta.from_raw(
            instrument_id,
            BookAction(action),
            OrderSide(side),
            price,
            batch.price_precision,
            size,
            batch.size_precision,
            order_id,
            flags,
            sequence,
            event,
            init,
        )
        for action, side, price, size, order_id, flags, sequence, event, init in rows
    ]


def _depths(batch: MarketDataBatch) -> list[Data]:
    columns = batch.depths
    instrument_id = InstrumentId.from_str(batch.channel.instrument_id)
    bids = _levels(batch, OrderSide.BUY, columns.bid_price, columns.bid_size)
    asks = _levels(batch, OrderSide.SELL, columns.ask_price, columns.ask_size)
    bid_counts = np.frombuffer(columns.bid_count, "<u4").reshape(-1, LEVELS).tolist()
    ask_counts = np.frombuffer(columns.ask_count, "<u4").reshape(-1, LEVELS).tolist()
    sequences = np.frombuffer(columns.sequence, "<u8").tolist()
    rows = zip(
        bids, asks, bid_counts, ask_counts, columns.flags, sequences, *_stamps(batch), strict=True
    )
    return [OrderBookDepth10(instrument_id, *row) for row in rows]


def _levels(
    batch: MarketDataBatch, side: OrderSide, prices: bytes, sizes: bytes
) -> list[list[BookOrder]]:
    """Return ten orders a row; a level that is not there is an order of no side and no size."""
    prices_, sizes_ = _raws(batch, [prices], [sizes])
    price, size = batch.price_precision, batch.size_precision
    orders = [
        BookOrder.from_raw(side if s else OrderSide.NO_ORDER_SIDE, p, price, s, size, 0)
        for p, s in zip(prices_, sizes_, strict=True)
    ]
    return [orders[i : i + LEVELS] for i in range(0, len(orders), LEVELS)]


def _prices(batch: MarketDataBatch) -> list[Data]:
    instrument_id = InstrumentId.from_str(batch.channel.instrument_id)
    (values,) = _raws(batch, [batch.prices.value], [])
    make = MarkPriceUpdate if batch.channel.kind == MARK_PRICE else IndexPriceUpdate
    rows = zip(values, *_stamps(batch), strict=True)
    return [
        make(instrument_id, Price.from_raw(value, batch.price_precision), event, init)
        for value, event, init in rows
    ]


MARK_PRICE = 6
"""``DATA_KIND_MARK_PRICE``."""


def _funding_rates(batch: MarketDataBatch) -> list[Data]:
    columns = batch.funding_rates
    instrument_id = InstrumentId.from_str(batch.channel.instrument_id)
    minutes = np.frombuffer(columns.interval_minutes, "<u4").tolist()
    following = np.frombuffer(columns.next_funding_ns, "<u8").tolist()
    rows = zip(columns.rate, minutes, following, *_stamps(batch), strict=True)
    return [
        FundingRateUpdate(
            instrument_id, Decimal(rate), event, init, interval or None, next_ns or None
        )
        for rate, interval, next_ns, event, init in rows
    ]


_MAKERS: dict[str, Callable[[MarketDataBatch], list[Data]]] = {
    "quotes": _quotes,
    "trades": _trades,
    "bars": _bars,
    "deltas": _deltas,
    "depths": _depths,
    "prices": _prices,
    "funding_rates": _funding_rates,
}


def _doubles(
    batch: MarketDataBatch, prices: Sequence[bytes], sizes: Sequence[bytes]
) -> list[NDArray[Any]] | None:
    """Return columns as doubles; None when one has a value that is not exact as such."""
    made = []
    for precision, columns in ((batch.price_precision, prices), (batch.size_precision, sizes)):
        for column in columns:
            if len(column) != 8 * batch.rows:
                return None
            values = np.frombuffer(column, "<i8")
            if batch.rows and max(int(values.max()), -int(values.min())) > EXACT:
                return None
            made.append(values / 10.0**precision)
    return made


def _raws(
    batch: MarketDataBatch, prices: Sequence[bytes], sizes: Sequence[bytes]
) -> list[list[int]]:
    """Return columns as Nautilus' raw integers."""
    up = {p: 10 ** (FIXED_PRECISION - p) for p in (batch.price_precision, batch.size_precision)}
    return [
        *([v * up[batch.price_precision] for v in _integers(c, batch.rows)] for c in prices),
        *([v * up[batch.size_precision] for v in _integers(c, batch.rows)] for c in sizes),
    ]


def _integers(column: bytes, rows: int) -> list[int]:
    """Return a column's integers: 8 or 16 bytes each, as its length says (ten levels a row too)."""
    if rows and len(column) in (16 * rows, 16 * rows * LEVELS):
        return [
            int.from_bytes(column[i : i + 16], "little", signed=True)
            for i in range(0, len(column), 16)
        ]
    integers: list[int] = np.frombuffer(column, "<i8").tolist()
    return integers


def _times(batch: MarketDataBatch) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return times as arrays that Nautilus may write to, which it asks for."""
    return np.frombuffer(batch.ts_event, "<u8").copy(), np.frombuffer(batch.ts_init, "<u8").copy()


def _stamps(batch: MarketDataBatch) -> tuple[list[int], list[int]]:
    return np.frombuffer(batch.ts_event, "<u8").tolist(), np.frombuffer(
        batch.ts_init, "<u8"
    ).tolist()
