"""Order tickets → Nautilus orders of every type."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model import orders as classes
from nautilus_trader.model.enums import (
    ContingencyType,
    OrderSide,
    TimeInForce,
    TrailingOffsetType,
    TriggerType,
)
from nautilus_trader.model.identifiers import (
    ClientOrderId,
    ExecAlgorithmId,
    InstrumentId,
    OrderListId,
    StrategyId,
    TraderId,
)
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.model.orders import Order, OrderList

from mesh.common.v1 import enums_pb2 as ours
from mesh.execution.v1.order_pb2 import OrderTicket
from meshkit.nautilus.enums import to_nautilus
from meshkit.structs import to_json
from meshkit.times import to_nanos

type Values = dict[str, Any]


class Maker:
    """Makes the orders of one strategy."""

    def __init__(self, trader_id: TraderId, strategy_id: StrategyId) -> None:
        self._trader_id = trader_id
        self._strategy_id = strategy_id

    def order(
        self,
        ticket: OrderTicket,
        instrument: Instrument,
        ts_ns: int,
        order_list_id: OrderListId | None = None,
    ) -> Order:
        """Return the order of a checked ticket, made at ``ts_ns`` (unix ns)."""
        make, options = KINDS[ticket.type]
        values: Values = {
            "trader_id": self._trader_id,
            "strategy_id": self._strategy_id,
            "instrument_id": instrument.id,
            "client_order_id": ClientOrderId(ticket.client_order_id),
            "order_side": to_nautilus(OrderSide, ticket.side),
            "quantity": _quantity(ticket.quantity, instrument),
            "init_id": UUID4(),
            "ts_init": ts_ns,
            "time_in_force": _or(TimeInForce, ticket.time_in_force, TimeInForce.GTC),
            "reduce_only": ticket.reduce_only,
            "quote_quantity": ticket.quote_quantity,
            **_list_values(ticket, order_list_id),
            **_algorithm(ticket),
            "tags": list(ticket.tags) or None,
        }
        if ticket.type != ours.ORDER_TYPE_MARKET:
            values["expire_time_ns"] = _expire(ticket)
        for name in options:
            values[name] = OPTIONS[name](ticket, instrument)
        return make(**values)

    def order_list(
        self,
        tickets: Sequence[OrderTicket],
        instruments: Sequence[Instrument],
        order_list_id: str,
        ts_ns: int,
    ) -> OrderList:
        """Return the list of checked tickets."""
        list_id = OrderListId(order_list_id)
        pairs = zip(tickets, instruments, strict=True)
        return OrderList(list_id, [self.order(t, i, ts_ns, list_id) for t, i in pairs])


def _or[E](kind: type[E], number: int, default: E) -> E:
    """Return the Nautilus value; the default where nothing was said."""
    return to_nautilus(kind, number) if number else default  # type: ignore[type-var]  # its enums


def _quantity(text: str, instrument: Instrument) -> Quantity:
    """Return a quantity of the instrument's precision, as its own ``make_qty`` does."""
    return Quantity(Decimal(text), instrument.size_precision)


def _price(text: str, instrument: Instrument) -> Price:
    return Price(Decimal(text), instrument.price_precision)


def _expire(ticket: OrderTicket) -> int:
    return to_nanos(ticket.expire_time) if ticket.HasField("expire_time") else 0


def _ids(values: Sequence[str]) -> list[ClientOrderId] | None:
    return [ClientOrderId(value) for value in values] or None


def _list_values(ticket: OrderTicket, order_list_id: OrderListId | None) -> Values:
    parent = ticket.parent_order_id
    none = ContingencyType.NO_CONTINGENCY
    return {
        "contingency_type": _or(ContingencyType, ticket.contingency_type, none),
        "order_list_id": order_list_id,
        "linked_order_ids": _ids(ticket.linked_order_ids),
        "parent_order_id": ClientOrderId(parent) if parent else None,
    }


def _algorithm(ticket: OrderTicket) -> Values:
    if not ticket.exec_algorithm_id:
        return {}
    return {
        "exec_algorithm_id": ExecAlgorithmId(ticket.exec_algorithm_id),
        "exec_algorithm_params": to_json(ticket.exec_algorithm_params),
        "exec_spawn_id": ClientOrderId(ticket.client_order_id),  # it is its own root
    }


def _priced(field: str) -> Callable[[OrderTicket, Instrument], Price | None]:
    def read(ticket: OrderTicket, instrument: Instrument) -> Price | None:
        text = getattr(ticket, field)
        return _price(text, instrument) if text else None

    return read


def _decimal(field: str) -> Callable[[OrderTicket, Instrument], Decimal | None]:
    def read(ticket: OrderTicket, _: Instrument) -> Decimal | None:
        text = getattr(ticket, field)
        return Decimal(text) if text else None

    return read


def _display(ticket: OrderTicket, instrument: Instrument) -> Quantity | None:
    return _quantity(ticket.display_qty, instrument) if ticket.display_qty else None


def _trigger_instrument(ticket: OrderTicket, _: Instrument) -> InstrumentId | None:
    text = ticket.trigger_instrument_id
    return InstrumentId.from_str(text) if text else None


def _trigger_type(ticket: OrderTicket, _: Instrument) -> TriggerType:
    found = _or(TriggerType, ticket.trigger_type, TriggerType.DEFAULT)
    return TriggerType.DEFAULT if found == TriggerType.NO_TRIGGER else found


OPTIONS: dict[str, Callable[[OrderTicket, Instrument], Any]] = {
    "price": _priced("price"),
    "trigger_price": _priced("trigger_price"),
    "activation_price": _priced("activation_price"),
    "trigger_type": _trigger_type,
    "post_only": lambda ticket, _: ticket.post_only,
    "display_qty": _display,
    "emulation_trigger": lambda ticket, _: _or(
        TriggerType, ticket.emulation_trigger, TriggerType.NO_TRIGGER
    ),
    "trigger_instrument_id": _trigger_instrument,
    "trailing_offset": _decimal("trailing_offset"),
    "limit_offset": _decimal("limit_offset"),
    "trailing_offset_type": lambda ticket, _: _or(
        TrailingOffsetType, ticket.trailing_offset_type, TrailingOffsetType.PRICE
    ),
}
"""How an option of an order is read from a ticket."""

_EMULATED = ("emulation_trigger", "trigger_instrument_id")
_STOP = ("trigger_price", "trigger_type", *_EMULATED)
_LIMIT = ("price", "post_only", "display_qty")
_TRAILING = (*_STOP, "trailing_offset", "trailing_offset_type", "activation_price")

KINDS: dict[int, tuple[Callable[..., Order], tuple[str, ...]]] = {
    ours.ORDER_TYPE_MARKET: (classes.MarketOrder, ()),
    ours.ORDER_TYPE_LIMIT: (classes.LimitOrder, (*_LIMIT, *_EMULATED)),
    ours.ORDER_TYPE_STOP_MARKET: (classes.StopMarketOrder, _STOP),
    ours.ORDER_TYPE_STOP_LIMIT: (classes.StopLimitOrder, (*_LIMIT, *_STOP)),
    ours.ORDER_TYPE_MARKET_TO_LIMIT: (classes.MarketToLimitOrder, ("display_qty",)),
    ours.ORDER_TYPE_MARKET_IF_TOUCHED: (classes.MarketIfTouchedOrder, _STOP),
    ours.ORDER_TYPE_LIMIT_IF_TOUCHED: (classes.LimitIfTouchedOrder, (*_LIMIT, *_STOP)),
    ours.ORDER_TYPE_TRAILING_STOP_MARKET: (classes.TrailingStopMarketOrder, _TRAILING),
    ours.ORDER_TYPE_TRAILING_STOP_LIMIT: (
        classes.TrailingStopLimitOrder,
        (*_LIMIT, *_TRAILING, "limit_offset"),
    ),
}
"""By ``OrderType``: the class, and its options beside what all have."""
