"""Orders, positions and accounts as functions of the facts, in the way of Nautilus' own classes.

Pure: a message and an event give another message. What Nautilus would refuse (a transition that
its order does not have) leaves the order as it is.
"""

from decimal import Decimal

from mesh.common.v1.enums_pb2 import OrderStatus as Status
from mesh.common.v1.enums_pb2 import PositionSide, TriggerType
from mesh.common.v1.types_pb2 import Money
from mesh.execution.v1 import events_pb2 as events
from mesh.execution.v1.events_pb2 import OrderEvent, OrderUnknown, Position, PositionEvent
from mesh.execution.v1.order_pb2 import Order, OrderSource
from meshkit import times
from services.live_execution.transitions import may as _may
from services.live_execution.transitions import where as _where

MANUAL, SAFETY, EXTERNAL = "Desk-MANUAL", "Desk-SAFETY", "EXTERNAL"
"""Strategy ids of orders that no strategy made."""

CLOSED = frozenset(
    {
        Status.ORDER_STATUS_DENIED,
        Status.ORDER_STATUS_REJECTED,
        Status.ORDER_STATUS_CANCELED,
        Status.ORDER_STATUS_EXPIRED,
        Status.ORDER_STATUS_FILLED,
        Status.ORDER_STATUS_VOIDED,
    }
)

_PENDING = frozenset({Status.ORDER_STATUS_PENDING_UPDATE, Status.ORDER_STATUS_PENDING_CANCEL})

_SOURCES = {
    MANUAL: OrderSource.ORDER_SOURCE_MANUAL,
    SAFETY: OrderSource.ORDER_SOURCE_SAFETY,
    EXTERNAL: OrderSource.ORDER_SOURCE_EXTERNAL,
}

_NEXT = {
    events.ORDER_EVENT_TYPE_DENIED: Status.ORDER_STATUS_DENIED,
    events.ORDER_EVENT_TYPE_EMULATED: Status.ORDER_STATUS_EMULATED,
    events.ORDER_EVENT_TYPE_RELEASED: Status.ORDER_STATUS_RELEASED,
    events.ORDER_EVENT_TYPE_SUBMITTED: Status.ORDER_STATUS_SUBMITTED,
    events.ORDER_EVENT_TYPE_ACCEPTED: Status.ORDER_STATUS_ACCEPTED,
    events.ORDER_EVENT_TYPE_REJECTED: Status.ORDER_STATUS_REJECTED,
    events.ORDER_EVENT_TYPE_CANCELED: Status.ORDER_STATUS_CANCELED,
    events.ORDER_EVENT_TYPE_EXPIRED: Status.ORDER_STATUS_EXPIRED,
    events.ORDER_EVENT_TYPE_TRIGGERED: Status.ORDER_STATUS_TRIGGERED,
    events.ORDER_EVENT_TYPE_PENDING_UPDATE: Status.ORDER_STATUS_PENDING_UPDATE,
    events.ORDER_EVENT_TYPE_PENDING_CANCEL: Status.ORDER_STATUS_PENDING_CANCEL,
}

_BACK = {
    events.ORDER_EVENT_TYPE_MODIFY_REJECTED: Status.ORDER_STATUS_PENDING_UPDATE,
    events.ORDER_EVENT_TYPE_UPDATED: Status.ORDER_STATUS_PENDING_UPDATE,
    events.ORDER_EVENT_TYPE_CANCEL_REJECTED: Status.ORDER_STATUS_PENDING_CANCEL,
}
"""Events that end a pending change: the order goes back to where it was."""


def source(strategy_id: str) -> OrderSource.ValueType:
    """Return who made an order of this strategy id."""
    return _SOURCES.get(strategy_id, OrderSource.ORDER_SOURCE_STRATEGY)


def is_open(order: Order) -> bool:
    """Whether an order may yet be filled, also when it has not reached its venue."""
    return order.status not in CLOSED


def order(before: Order | None, event: OrderEvent, number: int, submitter: str = "") -> Order:
    """Return an order after an event, the fact of this number.

    ``before`` is None for an order of which nothing is known. ``submitter`` is the caller's
    subject, used when the order is made.
    """
    if event.type == events.ORDER_EVENT_TYPE_INITIALIZED:
        made = _made(event, submitter)
        if before is not None:  # held by the emulator, and made anew to be sent
            made.submitter = before.submitter
            made.ts_init.CopyFrom(before.ts_init)
        return _last(made, event, number)
    after = Order()
    after.CopyFrom(before if before is not None else _found(event))
    was = after.status
    if not _step(after, event):
        return after
    if was not in _PENDING:
        after.previous_status = was
    after.unknown = False
    return _last(after, event, number)


def unknown(before: Order | None, fact: OrderUnknown, number: int) -> Order | None:
    """Return an order whose outcome is not known; None for one that nobody knows."""
    if before is None:
        return None
    after = Order()
    after.CopyFrom(before)
    after.unknown = True
    after.fact_number = number
    return after


def _step(order: Order, event: OrderEvent) -> bool:
    """Apply the event; return whether the order can have it where it stands."""
    if event.type == events.ORDER_EVENT_TYPE_FILLED:
        return _filled(order, event)
    if event.type in _BACK:
        return _back(order, event)
    following = _NEXT.get(event.type)
    if following is None or not _may(order.status, following):
        return False
    order.status = _where(order.status, following)
    if event.venue_order_id and event.type == events.ORDER_EVENT_TYPE_ACCEPTED:
        order.venue_order_id = event.venue_order_id
    if event.account_id:
        order.account_id = event.account_id
    if event.type == events.ORDER_EVENT_TYPE_RELEASED:
        order.emulation_trigger = TriggerType.TRIGGER_TYPE_UNSPECIFIED
    if event.reason and order.status in CLOSED:
        order.reason = event.reason
    return True


def _back(order: Order, event: OrderEvent) -> bool:
    if order.status == _BACK[event.type]:
        if not _may(order.status, order.previous_status):
            return False
        order.status = _where(order.status, order.previous_status)
    if event.type == events.ORDER_EVENT_TYPE_UPDATED:
        _updated(order, event)
    return True


def _updated(order: Order, event: OrderEvent) -> None:
    if order.venue_order_id and event.venue_order_id:
        order.venue_order_id = event.venue_order_id
    if event.updated.quantity:
        order.quantity = event.updated.quantity
        order.leaves_qty = _left(order.quantity, order.filled_qty, order.quantity)
    if event.updated.price:
        order.price = event.updated.price
    if event.updated.trigger_price:
        order.trigger_price = event.updated.trigger_price


def _filled(order: Order, event: OrderEvent) -> bool:
    fill = event.filled
    filled = _sum(order.filled_qty, fill.last_qty)
    whole = Decimal(filled) >= Decimal(order.quantity or "0")
    following = Status.ORDER_STATUS_FILLED if whole else Status.ORDER_STATUS_PARTIALLY_FILLED
    if not _may(order.status, following):
        return False
    order.status = following
    order.venue_order_id = event.venue_order_id or order.venue_order_id
    order.account_id = event.account_id or order.account_id
    order.position_id = fill.position_id or order.position_id
    order.strategy_id = event.strategy_id or order.strategy_id
    order.avg_px = _average(order, float(fill.last_qty), float(fill.last_px), float(filled))
    order.filled_qty = filled
    order.leaves_qty = _left(order.quantity, filled, filled)
    if fill.commission.currency:
        _charge(order, fill.commission)
    return True


def _average(order: Order, quantity: float, price: float, filled: float) -> float:
    """In doubles and in this order of operations, as ``Order._calculate_avg_px``."""
    if not order.avg_px or filled <= 0:
        return price
    return ((order.avg_px * (filled - quantity)) + (price * quantity)) / filled


def _charge(order: Order, commission: Money) -> None:
    for each in order.commissions:
        if each.currency == commission.currency:
            each.amount = _sum(each.amount, commission.amount)
            return
    order.commissions.append(commission)


def _made(event: OrderEvent, submitter: str) -> Order:
    init = event.initialized
    made = Order(
        trader_id=event.trader_id,
        client_order_id=event.client_order_id,
        venue_order_id=event.venue_order_id,
        strategy_id=event.strategy_id,
        instrument_id=event.instrument_id,
        account_id=event.account_id,
        side=init.order_side,
        type=init.order_type,
        time_in_force=init.time_in_force,
        status=Status.ORDER_STATUS_INITIALIZED,
        previous_status=Status.ORDER_STATUS_INITIALIZED,
        quantity=init.quantity,
        filled_qty=_text(Decimal(init.quantity or "0") * 0),
        leaves_qty=init.quantity,
        post_only=init.post_only,
        reduce_only=init.reduce_only,
        emulation_trigger=init.emulation_trigger,
        contingency_type=init.contingency_type,
        order_list_id=init.order_list_id,
        linked_order_ids=init.linked_order_ids,
        parent_order_id=init.parent_order_id,
        tags=init.tags,
        source=source(event.strategy_id),
        submitter=submitter,
        ts_init=event.ts_init,
    )
    _take_options(made, event)
    return made


def _take_options(order: Order, event: OrderEvent) -> None:
    options = event.initialized.options.fields
    for name in ("price", "trigger_price", "display_qty"):
        if name in options:
            setattr(order, name, options[name].string_value)
    expires = options["expire_time_ns"].string_value if "expire_time_ns" in options else ""
    if expires and int(expires):
        order.expire_time.CopyFrom(times.to_timestamp(int(expires)))


def _found(event: OrderEvent) -> Order:
    """Return an order whose beginning is not among the facts."""
    return Order(
        trader_id=event.trader_id,
        client_order_id=event.client_order_id,
        venue_order_id=event.venue_order_id,
        strategy_id=event.strategy_id,
        instrument_id=event.instrument_id,
        account_id=event.account_id,
        side=event.filled.order_side,
        type=event.filled.order_type,
        status=Status.ORDER_STATUS_SUBMITTED,  # the least from which all may follow
        previous_status=Status.ORDER_STATUS_SUBMITTED,
        source=source(event.strategy_id),
        ts_init=event.ts_init,
    )


def _last(order: Order, event: OrderEvent, number: int) -> Order:
    order.fact_number = number
    order.ts_last.CopyFrom(event.ts_event)
    return order


def position(before: Position | None, event: PositionEvent) -> Position | None:
    """Return a position after an event; None when only an adjustment of it is known."""
    if event.type != events.POSITION_EVENT_TYPE_ADJUSTED:
        return event.position
    if before is None:
        return None
    after = Position()
    after.CopyFrom(before)
    if event.quantity_change:
        _resize(after, _sum(before.signed_qty, event.quantity_change))
    if event.HasField("pnl_change"):
        after.realized_pnl.amount = _sum(before.realized_pnl.amount, event.pnl_change.amount)
        after.realized_pnl.currency = event.pnl_change.currency
    return after


def is_position_open(position: Position) -> bool:
    """Whether a position holds something."""
    return position.side not in (
        PositionSide.POSITION_SIDE_FLAT,
        PositionSide.POSITION_SIDE_UNSPECIFIED,
    )


def _resize(position: Position, signed: str) -> None:
    size = Decimal(signed)
    position.signed_qty = signed
    position.quantity = _text(abs(size))
    position.peak_qty = _text(max(abs(size), Decimal(position.peak_qty or "0")))
    if size:
        long = size > 0
        position.side = (
            PositionSide.POSITION_SIDE_LONG if long else PositionSide.POSITION_SIDE_SHORT
        )
    else:
        position.side = PositionSide.POSITION_SIDE_FLAT


def _sum(one: str, other: str) -> str:
    return _text(Decimal(one or "0") + Decimal(other or "0"))


def _left(quantity: str, filled: str, like: str) -> str:
    """Return what is left of a quantity, never less than nothing, with the decimals of ``like``."""
    left = max(Decimal(quantity or "0") - Decimal(filled or "0"), Decimal(0))
    return _text(left.quantize(Decimal(like or "0")))


def _text(number: Decimal) -> str:
    return format(number, "f")
