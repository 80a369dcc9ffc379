"""Catalog rows as batches, and batches as Nautilus objects: exact for every kind."""

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from nautilus_trader.model.data import (
    Bar,
    BarType,
    BookOrder,
    IndexPriceUpdate,
    MarkPriceUpdate,
    OrderBookDelta,
    OrderBookDepth10,
    QuoteTick,
    TradeTick,
)
from nautilus_trader.model.enums import AggressorSide, BookAction, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, TradeId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from mesh.marketdata.v1.live_pb2 import Channel
from mesh.marketdata.v1.marketdata_pb2 import DataKind
from meshkit.nautilus.ticks import grouped, objects_of
from services.market_data.domain import Series
from services.market_data.live.stored_columns import batch_of

ID = InstrumentId.from_str("X/Y.SIM")
BAR_TYPE = BarType.from_str("X/Y.SIM-1-MINUTE-LAST-EXTERNAL")
ROWS = 50
SMALL, LARGE, HUGE = (2, 3, 10**5), (9, 9, 10**8), (16, 16, 10**5)
"""Price precision, size precision, and the size of numbers: 8 bytes as doubles, 8 and 16."""


def made(kind: str, price_decimals: int, size_decimals: int, largest: int) -> list[Any]:
    """Make random objects of a kind."""
    random.seed(7)

    def number(decimals: int) -> Decimal:
        return Decimal(random.randrange(1, largest * 10**decimals)).scaleb(-decimals)

    def price() -> Price:
        return Price.from_str(f"{number(price_decimals):.{price_decimals}f}")

    def size() -> Quantity:
        return Quantity.from_str(f"{number(size_decimals):.{size_decimals}f}")

    def order(side: OrderSide) -> BookOrder:
        return BookOrder(side, price(), size(), 0)

    def one(i: int) -> Any:
        times = (10**18 + i, 10**18 + 3 * i)
        if kind == "QUOTE_TICK":
            return QuoteTick(ID, price(), price(), size(), size(), *times)
        if kind == "TRADE_TICK":
            return TradeTick(ID, price(), size(), AggressorSide(i % 3), TradeId(f"t{i}"), *times)
        if kind == "BAR":
            low, *middle, high = sorted(price() for _ in range(4))
            return Bar(BAR_TYPE, middle[0], high, low, middle[1], size(), *times)
        if kind == "ORDER_BOOK_DELTA":
            action, side = BookAction(1 + i % 3), OrderSide(1 + i % 2)
            book_order = BookOrder(side, price(), size(), i)
            return OrderBookDelta(ID, action, book_order, 128 * (i % 2), 2**63 + i, *times)
        if kind == "ORDER_BOOK_DEPTH10":
            bids, asks = ([order(OrderSide(s)) for _ in range(10)] for s in (1, 2))
            counts = [[j + i for j in range(len(bids))] for _ in range(2)]
            return OrderBookDepth10(ID, bids, asks, *counts, i % 5, i, *times)
        update = MarkPriceUpdate if kind == "MARK_PRICE" else IndexPriceUpdate
        return update(ID, price(), *times)

    return [one(i) for i in range(ROWS)]


EVERY = ("QUOTE_TICK", "TRADE_TICK", "BAR", "ORDER_BOOK_DELTA", "ORDER_BOOK_DEPTH10")
ROUNDED = ("MARK_PRICE", "INDEX_PRICE")
"""Nautilus writes these through doubles, so that what it wrote is exact for small numbers only."""
CASES = [
    *((kind, shape) for kind in EVERY for shape in (SMALL, LARGE, HUGE)),
    *((kind, SMALL) for kind in ROUNDED),
]


@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_every_kind_comes_back_equal(
    kind: str, shape: tuple[int, int, int], tmp_path: Path
) -> None:
    """What Nautilus wrote into a catalog is what a reader of batches gets, value for value."""
    objects = made(kind, *shape)
    ParquetDataCatalog(str(tmp_path)).write_data(objects)
    (file,) = tmp_path.rglob("*.parquet")
    rows = pq.read_table(file).combine_chunks().to_batches()[0]
    bar_type = str(BAR_TYPE) if kind == "BAR" else ""
    channel = Channel(
        kind=DataKind.Value(f"DATA_KIND_{kind}"), instrument_id=str(ID), bar_type=bar_type
    )
    batch = batch_of(Series(kind, str(ID), bar_type), channel, rows)
    assert [type(o).to_dict(o) for o in objects_of(batch)] == [type(o).to_dict(o) for o in objects]
    assert batch.rows == ROWS


def test_deltas_are_grouped_as_the_venue_sent_them() -> None:
    """An event ends with its last flag, and the rest of a batch is an event."""
    deltas = made("ORDER_BOOK_DELTA", *SMALL)[:5]  # flagged: the second and the fourth
    assert [len(group.deltas) for group in grouped(deltas)] == [2, 2, 1]
