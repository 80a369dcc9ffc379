"""The trader's own limits."""

from typing import Any

from nautilus_trader.model.orders import Order

from services.live_execution.trader.ports import Refusal


class Limits:
    """Bounds of one trader, looked at before each order."""

    def __init__(self, kernel: Any) -> None:
        self._cache = kernel.cache
        self._portfolio = kernel.portfolio

    def reduces(self, order: Order) -> bool:
        """Whether an order only makes a position smaller."""
        return bool(order.is_reduce_only)

    def refusal(self, order: Order, *, reducing: bool) -> Refusal | None:
        """Return why a new order may not be sent."""
        return None

    def refusal_of_change(self, order: Order, command: Any) -> Refusal | None:
        """Return why an order may not be changed so."""
        return None
