"""The way to an execution algorithm: open while it runs.

Nautilus drops what is sent to an algorithm that does not run, and the order stays for ever as it
is. Here it is denied, and what it held can be cancelled.
"""

from typing import Any

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import CancelOrder, SubmitOrder, SubmitOrderList
from nautilus_trader.model.events import OrderCanceled, OrderDenied
from nautilus_trader.model.orders import Order


class Door:
    """The endpoint of an execution algorithm, over all its instances."""

    def __init__(self, kernel: Any, name: str) -> None:
        self._kernel = kernel
        self._name = name
        self.made: Any = None

    def __call__(self, command: Any) -> None:
        """Hand a command to the algorithm, or answer it in its place."""
        if self.made is not None and self.made.is_running:
            self.made.execute(command)
        elif isinstance(command, SubmitOrder):
            self._deny(command.order)
        elif isinstance(command, SubmitOrderList):
            for order in command.order_list.orders:
                self._deny(order)
        elif isinstance(command, CancelOrder):
            order = self._kernel.cache.order(command.client_order_id)
            if order is not None and order.is_active_local and not order.is_closed:
                self._cancel(order)

    def _deny(self, order: Order) -> None:
        if order.is_closed:
            return
        now = self._kernel.clock.timestamp_ns()
        reason = f"EXEC_ALGORITHM_NOT_RUNNING: '{self._name}' has failed or is stopped. Start it."
        event = OrderDenied(
            trader_id=order.trader_id,
            strategy_id=order.strategy_id,
            instrument_id=order.instrument_id,
            client_order_id=order.client_order_id,
            reason=reason,
            event_id=UUID4(),
            ts_init=now,
        )
        self._apply(order, event)

    def _cancel(self, order: Order) -> None:
        now = self._kernel.clock.timestamp_ns()
        event = OrderCanceled(
            trader_id=order.trader_id,
            strategy_id=order.strategy_id,
            instrument_id=order.instrument_id,
            client_order_id=order.client_order_id,
            venue_order_id=order.venue_order_id,
            account_id=order.account_id,
            event_id=UUID4(),
            ts_event=now,
            ts_init=now,
        )
        self._apply(order, event)

    def _apply(self, order: Order, event: Any) -> None:
        order.apply(event)
        self._kernel.cache.update_order(order)
        self._kernel.msgbus.publish(f"events.order.{order.strategy_id}", event)
