"""Goes on asking real venues about orders in flight until they say what became of them."""

import asyncio
from collections.abc import Collection
from typing import Any

import msgspec
from nautilus_trader.model.enums import OrderStatus
from nautilus_trader.model.orders import Order
from nautilus_trader.system.kernel import NautilusKernel

from mesh.execution.v1.events_pb2 import OrderUnknown, TraderFact
from services.live_execution.engine.intents_asking import Answer, ask
from services.live_execution.engine.memory import Memory
from services.live_execution.engine.remembering import Remembering

ABSENCES = 3
"""How often a venue must say that it has no such order, before that is believed."""

AT_ONCE = 4
"""How many questions are under way at once: venues count them."""

NOT_AT_VENUE = "NOT_AT_VENUE: the venue was asked three times and does not know the order."
UNCHANGED = "NOT_AT_VENUE: the venue was asked and has the order as it was."


class Pace(msgspec.Struct, frozen=True):
    """When orders are asked for, in seconds."""

    patience: float = 5.0
    """How long an order may be in flight before it is asked for."""
    first: float = 2.0
    """Until the second question; each one is twice as far as the last."""
    most: float = 60.0
    look: float = 1.0
    """How often it is looked for orders in flight."""


class _Case(msgspec.Struct):
    """An order that is asked for."""

    at: float
    asked: int = 0
    absent: int = 0


class Resolver:
    """Asks about the orders in flight at ``real`` venues; ``run`` is its task.

    Nautilus' own check of orders in flight gives up and calls them rejected: it must be off.
    """

    def __init__(
        self,
        kernel: NautilusKernel,
        outside: Remembering,
        real: Collection[str],
        pace: Pace | None = None,
    ) -> None:
        self._kernel = kernel
        self._outside = outside
        self._real = frozenset(real)
        self._pace = pace or Pace()
        self._cases: dict[str, _Case] = {}
        self._few = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Ask, for ever. At first about all that an earlier process has left in flight."""
        if not self._real:
            return
        await self.look(patience=0.0)
        while True:
            await asyncio.sleep(self._pace.look)
            await self.look(self._pace.patience)

    async def look(self, patience: float) -> None:
        """Ask about every order in flight for ``patience`` seconds whose next question is due."""
        now = asyncio.get_running_loop().time()
        orders = {str(each.client_order_id): each for each in self._in_flight()}
        for key in self._cases.keys() - orders.keys():
            del self._cases[key]
        for key, order in orders.items():
            if key not in self._cases and self._age(order) >= patience:
                self._cases[key] = _Case(now)
        due = [orders[key] for key, case in self._cases.items() if case.at <= now]
        await asyncio.gather(*(self._ask(order) for order in due))

    def _in_flight(self) -> list[Order]:
        found = self._kernel.cache.orders_inflight()
        return [each for each in found if each.instrument_id.venue.value in self._real]

    def _age(self, order: Order) -> float:
        age: int = self._kernel.clock.timestamp_ns() - order.last_event.ts_init
        return age / 1e9

    async def _ask(self, order: Order) -> None:
        key = str(order.client_order_id)
        case = self._cases[key]
        client: Any = next(iter(self._kernel.exec_engine.get_clients_for_orders([order])), None)
        answer = Answer.SILENT
        if client is not None:
            async with self._few:
                answer = await ask(self._kernel, client, order)
        case.asked += 1
        wait = min(self._pace.first * 2 ** (case.asked - 1), self._pace.most)
        case.at = asyncio.get_running_loop().time() + wait
        if answer is Answer.ABSENT:
            case.absent += 1
        elif answer is Answer.SILENT:
            case.absent = 0
            self._tell_unknown(order, case, wait)
        if order.is_inflight and client is not None:
            self._conclude(client, order, answer, case)

    def _tell_unknown(self, order: Order, case: _Case, wait: float) -> None:
        """Say once that it is not known what became of an order."""
        memory: Memory | None = self._outside.memory
        key = str(order.client_order_id)
        if memory is None or key in memory.unknown or not order.is_inflight:
            return
        venue = order.instrument_id.venue
        text = f"{venue} does not say what became of it (asked {case.asked} times). It is asked"
        text += f" again in {wait:.0f} s and then on; do not submit it again."
        fact = OrderUnknown(client_order_id=key, message=text)
        self._outside.record(TraderFact(unknown=fact))

    def _conclude(self, client: Any, order: Order, answer: Answer, case: _Case) -> None:
        """Turn an answer into the event that reconciling it has not made."""
        ids = (order.strategy_id, order.instrument_id, order.client_order_id)
        now = self._kernel.clock.timestamp_ns()
        submitted = order.status == OrderStatus.SUBMITTED
        if answer is Answer.TOLD and not submitted:
            tell = client.generate_order_modify_rejected
            if order.status == OrderStatus.PENDING_CANCEL:
                tell = client.generate_order_cancel_rejected
            tell(*ids, order.venue_order_id, UNCHANGED, now)
        elif answer is Answer.ABSENT and case.absent >= ABSENCES:
            if submitted:
                client.generate_order_rejected(*ids, NOT_AT_VENUE, now)
            else:
                client.generate_order_canceled(*ids, order.venue_order_id, now)
