"""Nautilus objects → ``MarketDataUpdate``, numbers as decimal strings."""

from collections.abc import Callable
from typing import Any

from nautilus_trader.model.enums import AggressorSide, BookAction, OrderSide

from mesh.marketdata.v1 import live_pb2 as live
from meshkit.nautilus import enums
from meshkit.times import to_timestamp

MINUTE = 60


def update(kind: str, channel: live.Channel, item: Any) -> live.MarketDataUpdate:
    """Return a piece of data of a channel as readers see it."""
    made = live.MarketDataUpdate(
        channel=channel,
        event_time=to_timestamp(item.ts_event),
        init_time=to_timestamp(item.ts_init),
    )
    _WRITERS[kind](made, item)
    return made


def _quote(made: live.MarketDataUpdate, item: Any) -> None:
    made.quote.bid_price = str(item.bid_price)
    made.quote.ask_price = str(item.ask_price)
    made.quote.bid_size = str(item.bid_size)
    made.quote.ask_size = str(item.ask_size)


def _trade(made: live.MarketDataUpdate, item: Any) -> None:
    made.trade.price = str(item.price)
    made.trade.size = str(item.size)
    made.trade.aggressor_side = enums.to_proto(AggressorSide, item.aggressor_side)  # type: ignore[assignment]  # a number
    made.trade.trade_id = item.trade_id.value


def _bar(made: live.MarketDataUpdate, item: Any) -> None:
    for name in ("open", "high", "low", "close", "volume"):
        setattr(made.bar, name, str(getattr(item, name)))


def _delta(made: live.MarketDataUpdate, item: Any) -> None:
    made.delta.action = enums.to_proto(BookAction, item.action)  # type: ignore[assignment]  # a number
    if item.order.side:
        made.delta.side = enums.to_proto(OrderSide, item.order.side)  # type: ignore[assignment]  # a number
    made.delta.price = str(item.order.price)
    made.delta.size = str(item.order.size)
    made.delta.order_id = item.order.order_id
    made.delta.flags = item.flags
    made.delta.sequence = item.sequence


def _depth(made: live.MarketDataUpdate, item: Any) -> None:
    for name, orders, counts in (
        ("bids", item.bids, item.bid_counts),
        ("asks", item.asks, item.ask_counts),
    ):
        levels = getattr(made.order_book, name)
        for order, count in zip(orders, counts, strict=True):
            if order.size:
                levels.add(price=str(order.price), size=str(order.size), count=count)
    made.order_book.sequence = item.sequence


def _price(made: live.MarketDataUpdate, item: Any) -> None:
    made.price.value = str(item.value)


def _funding(made: live.MarketDataUpdate, item: Any) -> None:
    made.funding_rate.rate = format(item.rate, "f")
    if item.interval:
        made.funding_rate.interval.seconds = item.interval * MINUTE
    if item.next_funding_ns:
        made.funding_rate.next_funding_time.CopyFrom(to_timestamp(item.next_funding_ns))


_WRITERS: dict[str, Callable[[live.MarketDataUpdate, Any], None]] = {
    "QUOTE_TICK": _quote,
    "TRADE_TICK": _trade,
    "BAR": _bar,
    "ORDER_BOOK_DELTA": _delta,
    "ORDER_BOOK_DEPTH10": _depth,
    "MARK_PRICE": _price,
    "INDEX_PRICE": _price,
    "FUNDING_RATE": _funding,
}
