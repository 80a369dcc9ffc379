"""Ticks as Nautilus has them, and as a feed's process sends them."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from nautilus_trader.model.data import (
    Bar,
    BarType,
    BookOrder,
    FundingRateUpdate,
    OrderBookDelta,
    TradeTick,
)
from nautilus_trader.model.enums import AggressorSide, BookAction, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, TradeId
from nautilus_trader.model.objects import Price, Quantity

from mesh.marketdata.v1.live_pb2 import Channel as ChannelMessage
from mesh.marketdata.v1.live_pb2 import MarketDataBatch
from mesh.marketdata.v1.marketdata_pb2 import DataKind
from services.market_data.engine.feed.columns import fill
from services.market_data.live.domain import Channel

ID = InstrumentId.from_str("X/Y.SIM")
BAR_TYPE = BarType.from_str("X/Y.SIM-1-MINUTE-LAST-EXTERNAL")
PRICE, SIZE = 3, 0
START = 1_700_000_000 * 10**9
SECOND, MINUTE = 10**9, 60 * 10**9
LAG = 5 * 10**6
"""Nanoseconds from an event to its arrival, of what is live."""


def channel_of(kind: str) -> Channel:
    """Return the channel of a kind."""
    return Channel(kind, str(ID), str(BAR_TYPE) if kind == "BAR" else "")


def channel_message(channel: Channel) -> ChannelMessage:
    """Return a channel as a message."""
    return ChannelMessage(
        kind=DataKind.Value(f"DATA_KIND_{channel.kind}"),
        instrument_id=channel.instrument_id,
        bar_type=channel.bar_type,
    )


def batches_of(kind: str, rows: Sequence[Any], size: int = 100) -> list[MarketDataBatch]:
    """Return ticks as batches of a feed's process."""
    channel = channel_of(kind)
    made = []
    for start in range(0, len(rows), size):
        batch = MarketDataBatch(channel=channel_message(channel))
        fill(kind, rows[start : start + size], batch, PRICE, SIZE)
        made.append(batch)
    return made


def trade(number: int, event: int | None = None, lag: int = LAG) -> TradeTick:
    """Return a trade; its id is its number, one each second unless told otherwise."""
    time = START + number * SECOND if event is None else event
    return TradeTick(
        ID,
        Price.from_str(f"1.{number % 1000:03d}"),
        Quantity.from_int(number % 7 + 1),
        AggressorSide.BUYER if number % 2 else AggressorSide.SELLER,
        TradeId(str(number)),
        time,
        time + lag,
    )


def bar(number: int, lag: int = LAG) -> Bar:
    """Return the bar of a minute."""
    time = START + number * MINUTE
    low, high = Price.from_str("1.000"), Price.from_str(f"1.{number % 900 + 100:03d}")
    return Bar(BAR_TYPE, low, high, low, high, Quantity.from_int(number + 1), time, time + lag)


def book(number: int, start: int = START) -> list[OrderBookDelta]:
    """Return a snapshot of a book, CLEAR and two levels."""
    time = start + number * SECOND
    clear = OrderBookDelta.clear(ID, number, time, time + LAG)
    return [clear, *(level(number, side, start) for side in (OrderSide.BUY, OrderSide.SELL))]


def level(number: int, side: OrderSide = OrderSide.BUY, start: int = START) -> OrderBookDelta:
    """Return a change of a level."""
    time = start + number * SECOND
    price = Price.from_str("1.000" if side == OrderSide.BUY else "1.001")
    order = BookOrder(side, price, Quantity.from_int(number + 1), 0)
    return OrderBookDelta(ID, BookAction.ADD, order, 128, number, time, time + LAG)


def funding(number: int) -> FundingRateUpdate:
    """Return a funding rate."""
    time = START + number * SECOND
    rate = Decimal(number - 20).scaleb(-6)
    return FundingRateUpdate(ID, rate, time, time + LAG, 480 if number % 2 else None, None)
