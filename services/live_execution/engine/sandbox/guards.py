"""What a sandbox refuses by itself, where Nautilus' would raise and end the process."""

from typing import Any

from nautilus_trader.core.data import Data
from nautilus_trader.execution.matching_core import MatchingCore
from nautilus_trader.model.data import Bar, QuoteTick, TradeTick
from nautilus_trader.model.enums import (
    BookType,
    ContingencyType,
    OrderType,
    TrailingOffsetType,
    TriggerType,
    order_type_to_str,
    trigger_type_to_str,
)
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.orders import Order

TRAILING = (OrderType.TRAILING_STOP_MARKET, OrderType.TRAILING_STOP_LIMIT)
OFFSETS = (TrailingOffsetType.PRICE, TrailingOffsetType.BASIS_POINTS, TrailingOffsetType.TICKS)
LAST = (TriggerType.LAST_PRICE, TriggerType.MARK_PRICE)
BID_ASK = (TriggerType.DEFAULT, TriggerType.BID_ASK)


def prices_missing(order: Order, core: MatchingCore) -> str:
    """Return which price a trailing order follows that the market does not have; else empty."""
    if order.order_type not in TRAILING:
        return ""
    trigger = order.trigger_type
    quoted = core.bid is not None and core.ask is not None
    if trigger not in BID_ASK and core.last is None:
        return "last trade"
    if trigger not in LAST and not quoted:
        return "bid and ask"
    return ""


def brings(data: Data | None, order: Order, exchange: Any) -> bool:
    """Say whether data sets, before orders are matched, the prices that a trailing order follows.

    Of a bar the last price is set after its first match.
    """
    if not isinstance(data, QuoteTick | TradeTick) or data.instrument_id != order.instrument_id:
        return False
    if isinstance(data, TradeTick):
        return bool(exchange.trade_execution)
    quoted = isinstance(data, QuoteTick) and exchange.book_type == BookType.L1_MBP
    return quoted and order.trigger_type in BID_ASK


def order_refusal(order: Order, cache: Any, core: MatchingCore) -> str:
    """Return why an order of a known instrument cannot be matched; empty when it can."""
    if order.order_type in TRAILING:
        if order.trigger_type not in (*LAST, *BID_ASK, TriggerType.LAST_OR_BID_ASK):
            name = trigger_type_to_str(order.trigger_type)
            return f"TRIGGER_UNSUPPORTED: a sandbox does not trail {name}. Use BID_ASK."
        if order.trailing_offset_type not in OFFSETS:
            return "TRIGGER_UNSUPPORTED: a sandbox trails by PRICE, BASIS_POINTS or TICKS alone."
        if missing := prices_missing(order, core):
            kind = order_type_to_str(order.order_type)
            return f"NO_MARKET: no {missing} of {order.instrument_id} yet, which a {kind} follows."
    if order.parent_order_id is not None:
        parent = cache.order(order.parent_order_id)
        if parent is None or parent.contingency_type != ContingencyType.OTO:
            return f"PARENT_UNKNOWN: {order.parent_order_id} is no OTO order of this trader."
    for linked in order.linked_order_ids or ():
        if cache.order(linked) is None:
            return f"LINK_UNKNOWN: {linked} is no order of this trader. Send both in one list."
    return ""


def change_refusal(command: Any, instrument: Instrument) -> str:
    """Return why a modification does not fit the instrument; empty when it does."""
    if command.quantity is not None and command.quantity.precision > instrument.size_precision:
        return f"the quantity has more than {instrument.size_precision} decimals"
    for price in (command.price, command.trigger_price):
        if price is not None and price.precision > instrument.price_precision:
            return f"the price has more than {instrument.price_precision} decimals"
    return ""


def misfit(data: Data, instrument: Instrument) -> str:
    """Return what of some data does not have the instrument's precision; empty when all has."""
    if isinstance(data, QuoteTick):
        fits = (
            data.bid_price.precision == data.ask_price.precision == instrument.price_precision
            and data.bid_size.precision == data.ask_size.precision == instrument.size_precision
        )
    elif isinstance(data, TradeTick):
        fits = (
            data.price.precision == instrument.price_precision
            and data.size.precision == instrument.size_precision
        )
    elif isinstance(data, Bar):
        prices = (data.open, data.high, data.low, data.close)
        fits = (
            all(price.precision == instrument.price_precision for price in prices)
            and data.volume.precision == instrument.size_precision
        )
    else:
        return ""
    if fits:
        return ""
    return (
        f"{type(data).__name__} of another precision than the instrument's "
        f"({instrument.price_precision} decimals of price, {instrument.size_precision} of size)"
    )
