"""Orders whose last command was under way when the process of an earlier life ended."""

from typing import Any

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import CancelOrder
from nautilus_trader.model.enums import OrderStatus
from nautilus_trader.model.orders import Order

REASON = "LOST: the trader's process ended before the order reached the sandbox. Submit a new one."
UNCHANGED = "LOST: the trader's process ended before the change reached the sandbox."


def tell_lost(client: Any) -> None:
    """Tell what became of commands that were under way: the venue is of this process alone."""
    for order in client._cache.orders_inflight(venue=client.venue):
        if order.status == OrderStatus.SUBMITTED:
            if not is_held(order, client._cache):
                client.generate_order_rejected(*_ids(order), REASON, client._clock.timestamp_ns())
        elif order.status == OrderStatus.PENDING_CANCEL:
            client.cancel_order(_cancel(order, client._clock.timestamp_ns()))
        else:
            now = client._clock.timestamp_ns()
            client.generate_order_modify_rejected(
                *_ids(order), order.venue_order_id, UNCHANGED, now
            )


def is_held(order: Order, cache: Any) -> bool:
    """Say whether a submitted order waits for the fill of its parent."""
    parent = order.parent_order_id and cache.order(order.parent_order_id)
    return bool(parent) and not parent.is_closed


def _ids(order: Order) -> tuple[Any, Any, Any]:
    return order.strategy_id, order.instrument_id, order.client_order_id


def _cancel(order: Order, now_ns: int) -> CancelOrder:
    return CancelOrder(
        trader_id=order.trader_id,
        strategy_id=order.strategy_id,
        instrument_id=order.instrument_id,
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        command_id=UUID4(),
        ts_init=now_ns,
    )
