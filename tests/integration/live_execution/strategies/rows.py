"""Data of every kind of one instrument, at times of the test's choosing."""

from collections.abc import Iterator

from nautilus_trader.core.data import Data
from nautilus_trader.model.data import (
    Bar,
    BarType,
    BookOrder,
    FundingRateUpdate,
    IndexPriceUpdate,
    InstrumentClose,
    InstrumentStatus,
    MarkPriceUpdate,
    OrderBookDelta,
    OrderBookDeltas,
    OrderBookDepth10,
    QuoteTick,
    TradeTick,
)
from nautilus_trader.model.enums import (
    AggressorSide,
    BookAction,
    InstrumentCloseType,
    MarketStatusAction,
    OrderSide,
)
from nautilus_trader.model.identifiers import TradeId
from nautilus_trader.model.objects import Price

from integration.nautilus.witness import BTC

MINUTES = BarType.from_str(f"{BTC.id}-1-MINUTE-LAST-EXTERNAL")


def trade(ts: int, price: float = 30_000.0) -> TradeTick:
    """Return a trade."""
    side = AggressorSide.BUYER
    made = BTC.make_price(price), BTC.make_qty(1), side, TradeId(str(ts))
    return TradeTick(BTC.id, *made, ts, ts)


def quote(ts: int, price: float = 30_000.0) -> QuoteTick:
    """Return a quote."""
    sizes = BTC.make_qty(5), BTC.make_qty(5)
    return QuoteTick(BTC.id, BTC.make_price(price), BTC.make_price(price + 1), *sizes, ts, ts)


def bar(ts: int, close: float = 30_000.0) -> Bar:
    """Return a bar that closes at ``ts``."""
    prices = (BTC.make_price(close + move) for move in (0, 5, -5, 0))
    return Bar(MINUTES, *prices, BTC.make_qty(1), ts, ts)


def of_every_kind(ts: int) -> Iterator[Data]:
    """Yield data of every kind a strategy can subscribe to, one after the other."""
    price = BTC.make_price(30_000)
    order = BookOrder(OrderSide.BUY, price, BTC.make_qty(1), 1)
    delta = OrderBookDelta(BTC.id, BookAction.ADD, order, 128, 0, ts, ts)
    yield quote(ts)
    yield trade(ts + 1)
    yield bar(ts + 2)
    yield MarkPriceUpdate(BTC.id, price, ts + 3, ts + 3)
    yield IndexPriceUpdate(BTC.id, price, ts + 4, ts + 4)
    yield FundingRateUpdate(BTC.id, 0, ts + 5, ts + 5)
    yield InstrumentStatus(BTC.id, MarketStatusAction.TRADING, ts + 6, ts + 6)
    kind = InstrumentCloseType.END_OF_SESSION
    yield InstrumentClose(BTC.id, Price.from_str("30000.00"), kind, ts + 7, ts + 7)
    yield OrderBookDeltas(BTC.id, [delta])
    yield depth(ts + 8)


def depth(ts: int) -> OrderBookDepth10:
    """Return a book of ten levels a side."""
    sides = ((OrderSide.BUY, -1), (OrderSide.SELL, 1))
    bids, asks = (
        [
            BookOrder(side, BTC.make_price(30_000.5 + sign * (n + 0.5)), BTC.make_qty(1), n)
            for n in range(10)
        ]
        for side, sign in sides
    )
    return OrderBookDepth10(BTC.id, bids, asks, [1] * 10, [1] * 10, 0, 0, ts, ts)
