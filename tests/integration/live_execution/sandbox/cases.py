"""Cases of orders: quotes and what is done at which."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.enums import (
    ContingencyType,
    OrderSide,
    OrderType,
    TimeInForce,
    TrailingOffsetType,
)
from nautilus_trader.model.identifiers import OrderListId
from nautilus_trader.model.orders import LimitOrder, OrderList

from integration.live_execution.sandbox.scripted import Case, P, Q, Quote, Scripted
from integration.nautilus.witness import BTC

BUY, SELL = OrderSide.BUY, OrderSide.SELL
IOC, FOK, DAY = TimeInForce.IOC, TimeInForce.FOK, TimeInForce.DAY
OPEN = TimeInForce.AT_THE_OPEN
Act = Callable[[Scripted], None]

FLAT: list[Quote] = [(30000, 30001, 1), (30000, 30001, 1), (30000, 30001, 1)]
DOWN: list[Quote] = [(30000, 30001, 1), (29900, 29901, 1), (29790, 29791, 1), (29700, 29701, 1)]
UP: list[Quote] = [(30000, 30001, 1), (30100, 30101, 1), (30210, 30211, 1), (30300, 30301, 1)]
WAVE: list[Quote] = [*UP, *reversed(UP), *DOWN[1:]]


THIN: list[Quote] = [(29949, 29950, 0.4), (29949, 29950, 0.4)]


def limit(side: OrderSide, size: float, price: float, name: str = "o", **more: Any) -> Act:
    """Submit a limit order."""

    def act(s: Scripted) -> None:
        s.send(**{name: s.make.limit(BTC.id, side, Q(size), P(price), **more)})

    return act


def market(side: OrderSide, size: float, name: str = "o", **more: Any) -> Act:
    """Submit a market order."""

    def act(s: Scripted) -> None:
        s.send(**{name: s.make.market(BTC.id, side, Q(size), **more)})

    return act


def other(kind: str, side: OrderSide, size: float, *prices: float) -> Act:
    """Submit an order of another type."""

    def act(s: Scripted) -> None:
        s.send(o=getattr(s.make, kind)(BTC.id, side, Q(size), *map(P, prices)))

    return act


def bracket(entry: float = 0, stop: float = 29800, **more: Any) -> Act:
    """Submit a bracket: with a limit as entry where that has a price."""

    def act(s: Scripted) -> None:
        fields: dict[str, Any] = {"sl_trigger_price": P(stop), "tp_price": P(30200)} | more
        if entry:
            fields |= {"entry_order_type": OrderType.LIMIT, "entry_price": P(entry)}
        s.send_list(s.make.bracket(BTC.id, BUY, Q(1), **fields), "entry", "stop", "target")

    return act


def trailing(kind: str, **more: Any) -> Act:
    """Submit a trailing stop."""

    def act(s: Scripted) -> None:
        offset = {"trailing_offset": Decimal(50), "trailing_offset_type": TrailingOffsetType.PRICE}
        make = getattr(s.make, f"trailing_stop_{kind}")
        s.send(trail=make(BTC.id, SELL, Q(1), **(offset | more)))

    return act


def pair(kind: ContingencyType, size: float = 3) -> Act:
    """Send two limits that are tied to each other."""

    def act(s: Scripted) -> None:
        ids = [s.make.generate_client_order_id() for _ in range(2)]
        list_id = OrderListId(f"L-{kind.name}")
        orders = [
            LimitOrder(
                trader_id=s.trader_id,
                strategy_id=s.id,
                instrument_id=BTC.id,
                client_order_id=ids[i],
                order_side=side,
                quantity=Q(size),
                price=P(price),
                init_id=UUID4(),
                ts_init=s.clock.timestamp_ns(),
                contingency_type=kind,
                order_list_id=list_id,
                linked_order_ids=[ids[1 - i]],
            )
            for i, (side, price) in enumerate([(BUY, 29901), (SELL, 30500)])
        ]
        s.send_list(OrderList(list_id, orders), "one", "other")

    return act


def cancel(name: str) -> Act:
    """Cancel an order."""
    return lambda s: s.cancel_order(s.of(name))


def modify(name: str, quantity: float | None = None, price: float | None = None) -> Act:
    """Modify an order."""

    def act(s: Scripted) -> None:
        new = (quantity and Q(quantity), price and P(price))
        s.modify_order(s.of(name), *(each or None for each in new))

    return act


def both(*acts: Act) -> Act:
    """Do one after the other."""

    def act(s: Scripted) -> None:
        for each in acts:
            each(s)

    return act


BASIS_POINTS = TrailingOffsetType.BASIS_POINTS
TWO = both(limit(BUY, 1, 29000), limit(SELL, 1, 31000, name="t"))

CASES = [
    Case("market above the size at the best price", FLAT, {0: market(BUY, 3)}),
    Case("market IOC", FLAT, {0: market(BUY, 3, time_in_force=IOC)}),
    Case("market in quote quantity", FLAT, {0: market(BUY, 30001, quote_quantity=True)}),
    Case("limit that crosses", FLAT, {0: limit(BUY, 3, 30005)}),
    Case("limit at the best price", FLAT, {0: limit(BUY, 3, 30001)}),
    Case("limit, price comes to it", DOWN, {0: limit(BUY, 1, 29901)}),
    Case("limit, price goes through", DOWN, {0: limit(BUY, 5, 29850)}),
    Case("limit IOC in part", FLAT, {0: limit(BUY, 5, 30001, time_in_force=IOC)}),
    Case("limit IOC away", FLAT, {0: limit(BUY, 1, 29000, time_in_force=IOC)}),
    Case("limit FOK in full", FLAT, {0: limit(BUY, 1, 30001, time_in_force=FOK)}),
    Case("limit FOK too big", FLAT, {0: limit(BUY, 5, 30001, time_in_force=FOK)}),
    Case("limit DAY", DOWN, {0: limit(BUY, 1, 29000, time_in_force=DAY)}),
    Case("limit AT_THE_OPEN", FLAT, {0: limit(BUY, 1, 29000, time_in_force=OPEN)}),
    Case("post-only that would take", FLAT, {0: limit(BUY, 1, 30001, post_only=True)}),
    Case("post-only that rests", DOWN, {0: limit(BUY, 1, 29950, post_only=True)}),
    Case("iceberg", DOWN, {0: limit(BUY, 5, 29950, display_qty=Q(1))}),
    Case("stop market", DOWN, {0: other("stop_market", SELL, 2, 29850)}),
    Case("stop market in the market", DOWN, {0: other("stop_market", SELL, 1, 30100)}),
    Case("stop limit", WAVE, {0: other("stop_limit", BUY, 1, 30150, 30200)}),
    Case("market if touched", DOWN, {0: other("market_if_touched", BUY, 2, 29850)}),
    Case("limit if touched", WAVE, {0: other("limit_if_touched", BUY, 1, 29750, 29850)}),
    Case("market to limit", FLAT, {0: other("market_to_limit", BUY, 3)}),
    Case("trailing stop market", WAVE, {0: trailing("market")}),
    Case("trailing stop, activated", WAVE, {0: trailing("market", activation_price=P(30200))}),
    Case("trailing stop limit", WAVE, {0: trailing("limit", limit_offset=Decimal(5))}),
    Case(
        "trailing by basis points",
        WAVE,
        {0: trailing("market", trailing_offset_type=BASIS_POINTS)},
    ),
    Case("bracket, target reached", UP, {0: bracket()}),
    Case("bracket, stop reached", DOWN, {0: bracket()}),
    Case(
        "bracket after a closed position",
        WAVE,
        {0: market(BUY, 1, name="a"), 1: both(market(SELL, 1, name="b"), bracket())},
    ),
    Case("bracket, entry rests", WAVE, {0: bracket(29950, 29750)}),
    Case("bracket, entry in parts", [FLAT[0], *THIN, *DOWN], {0: bracket(29950)}),
    Case("bracket, entry cancelled", UP, {0: bracket(29000), 1: cancel("entry")}),
    Case("bracket, entry rejected", UP, {0: bracket(30500, entry_post_only=True)}),
    Case("bracket, held child cancelled", UP, {0: bracket(29000), 1: cancel("stop")}),
    Case("bracket, held child modified", UP, {0: bracket(29000), 1: modify("target", None, 30400)}),
    Case("OCO", DOWN, {0: pair(ContingencyType.OCO)}),
    Case("OUO in parts", [*DOWN[:2], DOWN[1], DOWN[1]], {0: pair(ContingencyType.OUO)}),
    Case("reduce-only without a position", FLAT, {0: limit(SELL, 1, 30500, reduce_only=True)}),
    Case(
        "reduce-only above the position",
        FLAT,
        {0: market(BUY, 1), 1: market(SELL, 3, name="c", reduce_only=True)},
    ),
    Case("modified, then reached", DOWN, {0: limit(BUY, 1, 29000), 1: modify("o", 2, 29800)}),
    Case("modified into the market", DOWN, {0: limit(BUY, 1, 29000), 1: modify("o", None, 29950)}),
    Case("modified below the filled", FLAT, {0: limit(BUY, 9, 30001), 1: modify("o", 0.5)}),
    Case("cancelled", FLAT, {0: limit(BUY, 1, 29000), 1: cancel("o")}),
    Case("all cancelled", FLAT, {0: TWO, 1: lambda s: s.cancel_all_orders(BTC.id)}),
    Case(
        "some cancelled at once",
        FLAT,
        {0: TWO, 1: lambda s: s.cancel_orders([s.of("o"), s.of("t")])},
    ),
]
