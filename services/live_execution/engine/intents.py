"""Orders whose process ended before anybody heard what became of them.

What was never sent is denied. What may have been sent to a real venue is asked for there, by its
client order id, until the venue says; nothing is guessed, and nothing is sent a second time. (A
sandbox dies with its process: ``engine.sandbox`` says what it never got.)
"""

from collections.abc import Collection

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.enums import OrderStatus
from nautilus_trader.model.events import OrderDenied, OrderEvent, OrderSubmitted
from nautilus_trader.model.identifiers import AccountId
from nautilus_trader.model.orders import Order
from nautilus_trader.system.kernel import NautilusKernel

from services.live_execution.engine.memory import Memory
from services.live_execution.names import DESK_MANUAL

NOT_SENT = "NOT_SENT: the trader's process ended before the order was sent. Submit a new one."
SLICED = (
    "NOT_SENT: the trader's process ended, and with it what sliced the order. Submit a new one."
)


def settle_unsent(kernel: NautilusKernel, memory: Memory, real: Collection[str]) -> None:
    """Deny the orders that were never sent; take as sent those that may have been.

    After the cache is restored and events are captured, before the node starts. ``real`` are the
    venues that live on when the trader's process dies. An order that waits in the trader for its
    parent, or in an emulator, still does.
    """
    for order in kernel.cache.orders():
        if order.status != OrderStatus.INITIALIZED or _waits(kernel, order):
            continue
        key = order.client_order_id.value
        if _comes_again(order, key in memory.intents, real):
            continue
        if key in memory.intents and order.instrument_id.venue.value in real:
            account = kernel.cache.account_for_venue(order.instrument_id.venue)
            if account is not None:
                _process(kernel, _submitted(kernel, order, account.id))
        else:
            reason = SLICED if order.exec_algorithm_id is not None else NOT_SENT
            _process(kernel, _denied(kernel, order, reason))


def _comes_again(order: Order, intended: bool, real: Collection[str]) -> bool:
    """Whether a caller's command, which is not on record as taken, will send the order."""
    if order.strategy_id.value != DESK_MANUAL or order.exec_algorithm_id is not None:
        return False
    return not intended or order.instrument_id.venue.value not in real


def _waits(kernel: NautilusKernel, order: Order) -> bool:
    parent = order.parent_order_id and kernel.cache.order(order.parent_order_id)
    return bool(parent) and not parent.is_closed and parent.status != OrderStatus.INITIALIZED


def _process(kernel: NautilusKernel, event: OrderEvent) -> None:
    """Have an event handled at once: the engine's queue is not read before the node starts."""
    kernel.exec_engine._handle_event_with_tracking(event)


def _denied(kernel: NautilusKernel, order: Order, reason: str) -> OrderDenied:
    return OrderDenied(
        trader_id=order.trader_id,
        strategy_id=order.strategy_id,
        instrument_id=order.instrument_id,
        client_order_id=order.client_order_id,
        reason=reason,
        event_id=UUID4(),
        ts_init=kernel.clock.timestamp_ns(),
    )


def _submitted(kernel: NautilusKernel, order: Order, account_id: AccountId) -> OrderSubmitted:
    now = kernel.clock.timestamp_ns()
    return OrderSubmitted(
        trader_id=order.trader_id,
        strategy_id=order.strategy_id,
        instrument_id=order.instrument_id,
        client_order_id=order.client_order_id,
        account_id=account_id,
        event_id=UUID4(),
        ts_event=now,
        ts_init=now,
    )
