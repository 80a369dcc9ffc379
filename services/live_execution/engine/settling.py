"""Waits until what was submitted is on record: journalled as an intent, held, or denied."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from nautilus_trader.model.events import (
    OrderInitialized,
    OrderPendingCancel,
    OrderPendingUpdate,
)

BEFORE = (OrderInitialized, OrderPendingCancel, OrderPendingUpdate)
"""Events of this process alone, before anything is decided."""


class Settling:
    """Orders whose way to a venue somebody waits for."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Event] = {}

    def expect(self, client_order_ids: Sequence[str]) -> None:
        """Begin to look for these orders; before they are submitted."""
        self._waiting.update({each: asyncio.Event() for each in client_order_ids})

    async def settled(self, client_order_ids: Sequence[str], timeout_s: float) -> bool:
        """Wait until all are on record, and look for them no more; say whether they are."""
        try:
            async with asyncio.timeout(timeout_s):
                for each in client_order_ids:
                    await self._waiting[each].wait()
        except TimeoutError:
            return False
        finally:
            self.forget(client_order_ids)
        return True

    def forget(self, client_order_ids: Sequence[str]) -> None:
        """Look for these orders no more."""
        for each in client_order_ids:
            self._waiting.pop(each, None)

    def note(self, client_order_ids: Iterable[str]) -> None:
        """Note that orders are on record."""
        if self._waiting:
            for each in client_order_ids:
                if (event := self._waiting.get(each)) is not None:
                    event.set()

    def on_event(self, event: Any) -> None:
        """Take an order event from the bus: one that says what became of a command."""
        if self._waiting and not isinstance(event, BEFORE):
            self.note((str(event.client_order_id),))
