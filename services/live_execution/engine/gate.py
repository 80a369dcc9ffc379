"""The gate: what is sent to a venue passes here, whoever made it.

It stands at the execution clients, behind Nautilus' engines: orders of strategies, of desks, of
execution algorithms and those that the emulator releases go through it. Each is asked about right
before it is sent; what may go is journalled as an intent first, what may not is denied.
"""

import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol

from nautilus_trader.execution.client import ExecutionClient
from nautilus_trader.model.identifiers import InstrumentId, PositionId
from nautilus_trader.model.orders import Order

from mesh.execution.v1.events_pb2 import OrderIntent, TraderFact
from services.live_execution.engine.desk import SAFETY, Desk
from services.live_execution.engine.intents_forgotten import refusal_of_used
from services.live_execution.engine.remembering import Remembering
from services.live_execution.trader.ports import Refusal

log = logging.getLogger("trader.gate")

LATER = ("_submit_order", "_submit_order_list")
"""Coroutines of adapters: what they do is done some turns of the loop later."""

type Send = Callable[[Any], Coroutine[Any, Any, None]]

READS = ("query_order", "query_account")


class Bounds(Protocol):
    """The trader's own limits; see ``Limits``."""

    def reduces(
        self, order: Order, beside: Sequence[Order] = (), position_id: PositionId | None = None
    ) -> bool:
        """Whether an order only makes a position smaller, with those that go with it."""

    def let_go(self, orders: Iterable[Order]) -> None:
        """Count orders as at work from now on."""

    def refusal(
        self, order: Order, *, reducing: bool, beside: Sequence[Order] = ()
    ) -> Refusal | None:
        """Return why a new order may not be sent, with those that go with it."""

    def refusal_of_change(self, order: Order, command: Any) -> Refusal | None:
        """Return why an order may not be changed so."""


class Gate:
    """Stands at every execution client that is registered with a node's engine.

    Orders that the ``safety`` desk has sent pass halts and limits: a tag that anybody can write
    proves nothing. ``settled`` is called with the client order ids of intents.
    """

    def __init__(
        self,
        kernel: Any,
        outside: Remembering,
        bounds: Bounds,
        safety: Desk,
        settled: Callable[[Iterable[str]], None],
    ) -> None:
        self._kernel = kernel
        self._cache = kernel.cache
        self._outside = outside
        self._bounds = bounds
        self._safe = safety.sent
        self._settled = settled

    def install(self) -> None:
        """Stand at the clients that the engine has now: call it after ``build``."""
        for client in self._kernel.exec_engine._clients.values():
            _Door(self, client).install()

    # -- what may go

    def refusal(
        self, order: Order, beside: Sequence[Order] = (), position_id: PositionId | None = None
    ) -> Refusal | None:
        """Return why a new order may not be sent now."""
        used = refusal_of_used(order, self._outside.memory)
        if used is not None:
            return used
        tag = self._tag(order)
        reducing = tag == SAFETY or self._bounds.reduces(order, beside, position_id)
        outside = self.halted(order, reducing)
        if outside is not None or tag == SAFETY:
            return outside  # what makes a trader flat is above its limits
        return _checked(lambda: self._bounds.refusal(order, reducing=reducing, beside=beside))

    def halted(self, order: Order, reducing: bool) -> Refusal | None:
        """Return why the lease or a halt forbids an order now."""
        return self._outside.refusal(
            venue=str(order.instrument_id.venue), order_id_tag=self._tag(order), reducing=reducing
        )

    def late(self, order: Order, position_id: PositionId | None) -> Refusal | None:
        """Return why an order that was let go may not be sent after all."""
        reducing = self._tag(order) == SAFETY or self._bounds.reduces(order, (), position_id)
        return self.halted(order, reducing)

    def refusal_of_change(self, order: Order | None, command: Any) -> Refusal | None:
        """Return why an order may not be modified now."""
        if order is None:
            return None  # unknown here: the venue says so
        quantity = command.quantity
        same = command.price is None and command.trigger_price is None
        grows = quantity is not None and quantity > order.quantity
        smaller = same and quantity is not None and not grows
        reducing = smaller or (order.is_reduce_only and not grows and self._bounds.reduces(order))
        outside = self._outside.refusal(
            venue=str(order.instrument_id.venue), order_id_tag=self._tag(order), reducing=reducing
        )
        return outside or _checked(lambda: self._bounds.refusal_of_change(order, command))

    def refusal_of_cancel(self, instrument_id: InstrumentId, strategy_id: Any) -> Refusal | None:
        """Return why nothing may be cancelled: another process has the trader."""
        return self._outside.refusal(
            venue=str(instrument_id.venue),
            order_id_tag=strategy_id.get_tag(),
            reducing=True,
            cancel=True,
        )

    def _tag(self, order: Order) -> str:
        """Return the order id tag that an order is asked about with."""
        if order.client_order_id in self._safe:
            return SAFETY
        tag: str = order.strategy_id.get_tag()
        return "" if tag == SAFETY else tag

    # -- what is written down

    def intend(self, action: str, client: ExecutionClient, command: Any, orders: Any) -> None:
        """Journal what is about to be sent."""
        ids = [str(order_id) for order_id in orders]
        intent = OrderIntent(
            action=action,
            client_order_ids=ids,
            client_id=str(client.id),
            instrument_id=str(command.instrument_id),
            strategy_id=str(command.strategy_id),
        )
        if action == "MODIFY":
            _set_changes(intent, command)
        self._outside.record(TraderFact(intent=intent))
        if action.startswith("SUBMIT"):
            found = (self._cache.order(order_id) for order_id in orders)
            self._bounds.let_go(order for order in found if order is not None)
        self._settled(ids)

    def order(self, client_order_id: Any) -> Order | None:
        """Return an order of the cache."""
        found: Order | None = self._cache.order(client_order_id)
        return found

    def pending_cancels(self, instrument_id: InstrumentId, strategy_id: Any) -> list[Order]:
        """Return a strategy's orders whose cancellation is on its way."""
        working = self._cache.orders_open(instrument_id=instrument_id, strategy_id=strategy_id)
        return [order for order in working if order.is_pending_cancel]


class _Door:
    """The gate at one client: its methods, each with what is asked and written before it."""

    def __init__(self, gate: Gate, client: ExecutionClient) -> None:
        self._gate = gate
        self._client = client
        self._inner = {name: getattr(client, name) for name in (*_GUARDED, *READS)}

    def install(self) -> None:
        for name in self._inner:
            setattr(self._client, name, getattr(self, name))
        for name in LATER:
            if hasattr(self._client, name):
                setattr(self._client, name, self._later(getattr(self._client, name)))

    def _later(self, send: Send) -> Send:
        """Ask once more when the adapter's task begins: it may have waited, or been stopped."""

        async def later(command: Any) -> None:
            orders = _orders(command)
            position_id = command.position_id
            found = (self._gate.late(order, position_id) for order in orders)
            refusal = next((each for each in found if each is not None), None)
            if refusal is None:
                await send(command)
                return
            for order in orders:
                self._deny(order, refusal)

        return later

    def submit_order(self, command: Any) -> None:
        order = command.order
        refusal = self._gate.refusal(order, (), command.position_id)
        if refusal is not None:
            self._deny(order, refusal)
            return
        self._gate.intend("SUBMIT", self._client, command, [order.client_order_id])
        self._inner["submit_order"](command)

    def submit_order_list(self, command: Any) -> None:
        orders = [order for order in command.order_list.orders if not order.is_closed]
        refusals = (self._gate.refusal(order, orders[:i]) for i, order in enumerate(orders))
        refusal = next((each for each in refusals if each is not None), None)
        if refusal is not None:
            for order in orders:
                self._deny(order, refusal)
            return
        ids = [order.client_order_id for order in orders]
        self._gate.intend("SUBMIT_LIST", self._client, command, ids)
        self._inner["submit_order_list"](command)

    def modify_order(self, command: Any) -> None:
        order = self._gate.order(command.client_order_id)
        refusal = self._gate.refusal_of_change(order, command)
        if refusal is not None:
            self._reject(self._client.generate_order_modify_rejected, command, refusal)
            return
        self._gate.intend("MODIFY", self._client, command, [command.client_order_id])
        self._inner["modify_order"](command)

    def cancel_order(self, command: Any) -> None:
        refusal = self._gate.refusal_of_cancel(command.instrument_id, command.strategy_id)
        if refusal is not None:
            self._reject(self._client.generate_order_cancel_rejected, command, refusal)
            return
        self._gate.intend("CANCEL", self._client, command, [command.client_order_id])
        self._inner["cancel_order"](command)

    def cancel_all_orders(self, command: Any) -> None:
        waiting = self._gate.pending_cancels(command.instrument_id, command.strategy_id)
        refusal = self._gate.refusal_of_cancel(command.instrument_id, command.strategy_id)
        if refusal is not None:
            for order in waiting:
                self._reject(self._client.generate_order_cancel_rejected, order, refusal)
            return
        ids = [order.client_order_id for order in waiting]
        self._gate.intend("CANCEL_ALL", self._client, command, ids)
        self._inner["cancel_all_orders"](command)

    def batch_cancel_orders(self, command: Any) -> None:
        refusal = self._gate.refusal_of_cancel(command.instrument_id, command.strategy_id)
        if refusal is not None:
            for cancel in command.cancels:
                self._reject(self._client.generate_order_cancel_rejected, cancel, refusal)
            return
        ids = [cancel.client_order_id for cancel in command.cancels]
        self._gate.intend("BATCH_CANCEL", self._client, command, ids)
        self._inner["batch_cancel_orders"](command)

    def query_order(self, command: Any) -> None:
        """Ask the venue: it changes nothing there, and answers reach this process alone."""
        self._inner["query_order"](command)

    def query_account(self, command: Any) -> None:
        """Ask the venue, as ``query_order``."""
        self._inner["query_account"](command)

    def _deny(self, order: Order, refusal: Refusal) -> None:
        if order.is_closed:
            return
        self._client.generate_order_denied(
            order.strategy_id,
            order.instrument_id,
            order.client_order_id,
            _text(refusal),
            self._client._clock.timestamp_ns(),
        )

    def _reject(self, generate: Callable[..., None], what: Any, refusal: Refusal) -> None:
        generate(
            what.strategy_id,
            what.instrument_id,
            what.client_order_id,
            what.venue_order_id,
            _text(refusal),
            self._client._clock.timestamp_ns(),
        )


def _orders(command: Any) -> list[Order]:
    """Return the orders of a submission that are not sent yet."""
    listed = getattr(command, "order_list", None)
    orders = [command.order] if listed is None else listed.orders
    return [order for order in orders if order.is_active_local]


_GUARDED = (
    "submit_order",
    "submit_order_list",
    "modify_order",
    "cancel_order",
    "cancel_all_orders",
    "batch_cancel_orders",
)


def _checked(look: Callable[[], Refusal | None]) -> Refusal | None:
    """Return what a look at the limits says; what cannot be compared is not sent."""
    try:
        return look()
    except Exception:
        log.exception("an order could not be compared with the limits")
        return Refusal("INTERNAL", "It could not be compared with the limits; see the log.")


def _text(refusal: Refusal) -> str:
    return f"{refusal.reason}: {refusal.message}"


def _set_changes(intent: OrderIntent, command: Any) -> None:
    for name in ("quantity", "price", "trigger_price"):
        value = getattr(command, name)
        if value is not None:
            intent.params[name] = str(value)
