"""Orders followed through their events, for a live table. What counts is ``ListOrders``."""

from decimal import Decimal

from mesh.common.v1 import enums_pb2 as enums
from mesh.execution.v1 import events_pb2 as events
from mesh.execution.v1 import order_pb2 as pb

_CLOSED = {
    enums.ORDER_STATUS_DENIED,
    enums.ORDER_STATUS_REJECTED,
    enums.ORDER_STATUS_CANCELED,
    enums.ORDER_STATUS_EXPIRED,
    enums.ORDER_STATUS_FILLED,
    enums.ORDER_STATUS_VOIDED,
}
_STATUS: dict[int, enums.OrderStatus.ValueType] = {
    events.ORDER_EVENT_TYPE_INITIALIZED: enums.ORDER_STATUS_INITIALIZED,
    events.ORDER_EVENT_TYPE_DENIED: enums.ORDER_STATUS_DENIED,
    events.ORDER_EVENT_TYPE_EMULATED: enums.ORDER_STATUS_EMULATED,
    events.ORDER_EVENT_TYPE_RELEASED: enums.ORDER_STATUS_RELEASED,
    events.ORDER_EVENT_TYPE_SUBMITTED: enums.ORDER_STATUS_SUBMITTED,
    events.ORDER_EVENT_TYPE_ACCEPTED: enums.ORDER_STATUS_ACCEPTED,
    events.ORDER_EVENT_TYPE_REJECTED: enums.ORDER_STATUS_REJECTED,
    events.ORDER_EVENT_TYPE_CANCELED: enums.ORDER_STATUS_CANCELED,
    events.ORDER_EVENT_TYPE_EXPIRED: enums.ORDER_STATUS_EXPIRED,
    events.ORDER_EVENT_TYPE_TRIGGERED: enums.ORDER_STATUS_TRIGGERED,
    events.ORDER_EVENT_TYPE_PENDING_UPDATE: enums.ORDER_STATUS_PENDING_UPDATE,
    events.ORDER_EVENT_TYPE_PENDING_CANCEL: enums.ORDER_STATUS_PENDING_CANCEL,
}
_SETTLED = {  # what ends a request to change: the order is at work again
    events.ORDER_EVENT_TYPE_UPDATED,
    events.ORDER_EVENT_TYPE_MODIFY_REJECTED,
    events.ORDER_EVENT_TYPE_CANCEL_REJECTED,
}
_PENDING = {enums.ORDER_STATUS_PENDING_UPDATE, enums.ORDER_STATUS_PENDING_CANCEL}


def is_open(order: pb.Order) -> bool:
    """Whether an order is at work, or on its way."""
    return order.status not in _CLOSED


def folded(
    before: pb.Order | None, trader_id: str, number: int, event: events.OrderEvent
) -> pb.Order:
    """Return an order after an event; None before it was ever seen."""
    order = pb.Order(trader_id=trader_id, client_order_id=event.client_order_id)
    if before is not None:
        order.CopyFrom(before)
    order.fact_number = number
    order.ts_last.CopyFrom(event.ts_event)
    for name in ("strategy_id", "instrument_id", "venue_order_id", "account_id", "reason"):
        if value := getattr(event, name):
            setattr(order, name, value)
    if event.type == events.ORDER_EVENT_TYPE_INITIALIZED:
        _begin(order, event)
    elif event.type == events.ORDER_EVENT_TYPE_FILLED:
        _fill(order, event.filled)
    elif event.type == events.ORDER_EVENT_TYPE_UPDATED:
        _update(order, event.updated)
    order.status = _status(order, event.type)
    return order


def _status(order: pb.Order, kind: int) -> enums.OrderStatus.ValueType:
    if kind == events.ORDER_EVENT_TYPE_FILLED:
        done = Decimal(order.filled_qty) >= Decimal(order.quantity or "0")
        return enums.ORDER_STATUS_FILLED if done else enums.ORDER_STATUS_PARTIALLY_FILLED
    if kind in _SETTLED and order.status in _PENDING:
        partly = Decimal(order.filled_qty or "0") > 0
        return enums.ORDER_STATUS_PARTIALLY_FILLED if partly else enums.ORDER_STATUS_ACCEPTED
    return _STATUS.get(kind, order.status)


def _begin(order: pb.Order, event: events.OrderEvent) -> None:
    first = event.initialized
    order.side, order.type, order.quantity = first.order_side, first.order_type, first.quantity
    order.time_in_force = first.time_in_force
    order.post_only, order.reduce_only = first.post_only, first.reduce_only
    order.filled_qty = order.filled_qty or "0"
    order.ts_init.CopyFrom(event.ts_init)
    for name in ("price", "trigger_price", "display_qty"):
        if name in first.options and isinstance(first.options[name], str):
            setattr(order, name, first.options[name])


def _fill(order: pb.Order, fill: events.OrderFilled) -> None:
    before, last = Decimal(order.filled_qty or "0"), Decimal(fill.last_qty or "0")
    filled = before + last
    if filled:
        paid = Decimal(str(order.avg_px)) * before + Decimal(fill.last_px or "0") * last
        order.avg_px = float(paid / filled)
    order.filled_qty = f"{filled:f}"
    order.position_id = fill.position_id or order.position_id


def _update(order: pb.Order, update: events.OrderUpdated) -> None:
    order.quantity = update.quantity or order.quantity
    order.price = update.price or order.price
    order.trigger_price = update.trigger_price or order.trigger_price
