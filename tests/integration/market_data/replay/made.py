"""Made-up data of every kind, in a catalog that Nautilus writes."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from nautilus_trader.model.data import (
    Bar,
    BarType,
    BookOrder,
    FundingRateUpdate,
    IndexPriceUpdate,
    MarkPriceUpdate,
    OrderBookDelta,
    OrderBookDepth10,
    QuoteTick,
    TradeTick,
)
from nautilus_trader.model.enums import AggressorSide, BookAction, OrderSide
from nautilus_trader.model.identifiers import TradeId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.persistence.catalog import ParquetDataCatalog
from nautilus_trader.test_kit.providers import TestInstrumentProvider

from mesh.marketdata.v1 import live_pb2 as live
from meshkit.nautilus.ticks import objects_of
from services.market_data.live import frames

START = 1_704_067_200_000_000_000 + 12_345_678_901
"""2024-01-01, some seconds into its first minute."""

SECOND, MINUTE = 10**9, 60 * 10**9
BTC = TestInstrumentProvider.btcusdt_binance()
AUD = TestInstrumentProvider.default_fx_ccy("AUD/USD")
F_LAST = 128


def quotes(
    count: int, step: int = SECOND // 5, instrument: Any = AUD, at: int = START
) -> list[Any]:
    """Return quotes, ``step`` nanoseconds apart."""
    rng = np.random.default_rng(count)
    walk = 0.7 + np.cumsum(rng.integers(-5, 6, count)) * 1e-5
    sizes = rng.integers(1, 1_000_000, count)
    return [
        QuoteTick(
            instrument.id,
            _price(bid, instrument),
            _price(bid + 0.0002, instrument),
            _size(size, instrument),
            _size(size + 1, instrument),
            at + i * step,
            at + i * step,
        )
        for i, (bid, size) in enumerate(zip(walk, sizes, strict=True))
    ]


def trades(
    count: int, step: int = SECOND // 5, instrument: Any = BTC, at: int = START
) -> list[Any]:
    """Return trades; each third has the time of the one before it."""
    rng = np.random.default_rng(count + 1)
    walk = 30_000 + np.cumsum(rng.normal(0, 1, count))
    sizes = rng.integers(1, 2_000_000, count) / 1e6
    return [
        TradeTick(
            instrument.id,
            _price(price, instrument),
            Quantity(size, instrument.size_precision),
            AggressorSide.BUYER if i % 2 else AggressorSide.SELLER,
            TradeId(str(i)),
            at + (i - i % 3 // 2) * step,
            at + (i - i % 3 // 2) * step,
        )
        for i, (price, size) in enumerate(zip(walk, sizes, strict=True))
    ]


def bars(count: int, instrument: Any = BTC) -> list[Any]:
    """Return bars of a minute, of the venue."""
    bar_type = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
    first = (START // MINUTE + 1) * MINUTE
    made = []
    for i in range(count):
        prices = (_price(30_000 + i + more, instrument) for more in (0, 5, -5, 2))
        volume = Quantity(i + 1, instrument.size_precision)
        made.append(Bar(bar_type, *prices, volume, first + i * MINUTE, first + i * MINUTE))
    return made


def deltas(events: int, instrument: Any = BTC) -> list[Any]:
    """Return changes of a book: a whole one at first, then two changes an event."""
    nothing = _price(0, instrument), _size(0, instrument)
    order = BookOrder(OrderSide.NO_ORDER_SIDE, *nothing, 0)
    made = [OrderBookDelta(instrument.id, BookAction.CLEAR, order, 0, 1, START, START)]
    for i in range(20):
        side = OrderSide.BUY if i % 2 else OrderSide.SELL
        made.append(_delta(BookAction.ADD, side, i // 2, 1 + i, 0, 1, START, instrument))
    for event in range(events):
        at = START + (event + 1) * SECOND // 2
        level, size = event % 10, event % 7
        action = BookAction.UPDATE if size else BookAction.DELETE
        made.append(_delta(action, OrderSide.BUY, level, size, 0, event + 2, at, instrument))
        made.append(
            _delta(BookAction.UPDATE, OrderSide.SELL, level, 3, F_LAST, event + 2, at, instrument)
        )
    return made


def _delta(
    action: BookAction,
    side: OrderSide,
    level: int,
    size: int,
    flags: int,
    sequence: int,
    at: int,
    instrument: Any,
) -> OrderBookDelta:
    away = level + 1 if side == OrderSide.SELL else -level
    price = Price(30_000 + away, instrument.price_precision)
    order = BookOrder(side, price, Quantity(size, instrument.size_precision), 0)
    return OrderBookDelta(instrument.id, action, order, flags, sequence, at, at)


def depths(count: int, instrument: Any = BTC) -> list[Any]:
    """Return books of ten levels."""
    made = []
    for i in range(count):
        sides = [
            [
                BookOrder(
                    side,
                    Price(30_000 + i + sign * (n + 1), instrument.price_precision),
                    Quantity(n + 1, instrument.size_precision),
                    0,
                )
                for n in range(10)
            ]
            for side, sign in ((OrderSide.BUY, -1), (OrderSide.SELL, 1))
        ]
        at = START + i * SECOND
        made.append(OrderBookDepth10(instrument.id, *sides, [1] * 10, [2] * 10, 0, i, at, at))
    return made


def values(kind: Any, count: int, instrument: Any = BTC) -> list[Any]:
    """Return mark or index prices."""
    return [
        kind(instrument.id, _price(30_000 + i, instrument), START + i * SECOND, START + i * SECOND)
        for i in range(count)
    ]


def rates(count: int, instrument: Any = BTC) -> list[Any]:
    """Return funding rates."""
    return [
        FundingRateUpdate(
            instrument.id,
            Decimal("0.0001") + Decimal(i) / 10**8,
            START + i * SECOND,
            START + i * SECOND,
            480,
            START + MINUTE,
        )
        for i in range(count)
    ]


def _price(value: float, instrument: Any) -> Price:
    return Price(value, instrument.price_precision)


def _size(value: float, instrument: Any) -> Quantity:
    return Quantity(value, instrument.size_precision)


EVERY: dict[tuple[str, str, str], list[Any]] = {
    ("QUOTE_TICK", str(AUD.id), ""): quotes(2_000),
    ("TRADE_TICK", str(BTC.id), ""): trades(2_000),
    ("BAR", str(BTC.id), f"{BTC.id}-1-MINUTE-LAST-EXTERNAL"): bars(7),
    ("ORDER_BOOK_DELTA", str(BTC.id), ""): deltas(500),
    ("ORDER_BOOK_DEPTH10", str(BTC.id), ""): depths(50),
    ("MARK_PRICE", str(BTC.id), ""): values(MarkPriceUpdate, 50),
    ("INDEX_PRICE", str(BTC.id), ""): values(IndexPriceUpdate, 50),
    ("FUNDING_RATE", str(BTC.id), ""): rates(20),
}
"""Rows of every kind, by channel."""


def write(root: Path, *series: Sequence[Any]) -> None:
    """Write series to a catalog, with their instruments."""
    catalog = ParquetDataCatalog(str(root))
    catalog.write_data([BTC, AUD])
    for rows in series:
        catalog.write_data(list(rows))


def rows_of(batches: Sequence[frames.Batch]) -> list[dict[str, Any]]:
    """Return the rows of batches as Nautilus describes them."""
    made = [
        row
        for batch in batches
        for row in objects_of(live.MarketDataBatch.FromString(batch.payload))
    ]
    return described(made)


def described(rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Return rows as Nautilus describes them."""
    return [type(row).to_dict(row) for row in rows]


def times(batches: Sequence[frames.Batch]) -> list[int]:
    """Return ``ts_init`` of the rows of batches."""
    made: list[int] = []
    for batch in batches:
        parsed = live.MarketDataBatch.FromString(batch.payload)
        made += np.frombuffer(parsed.ts_init, "<u8").tolist()
    return made
