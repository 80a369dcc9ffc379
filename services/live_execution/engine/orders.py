"""Orders of callers: submitted, modified, cancelled and closed through the manual desk."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from decimal import Decimal
from typing import Any

from nautilus_trader.model.enums import OrderSide, OrderStatus
from nautilus_trader.model.identifiers import (
    ClientOrderId,
    InstrumentId,
    PositionId,
    StrategyId,
)
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.model.orders import Order, OrderList

from mesh.execution.v1.order_pb2 import (
    CancelAllCommand,
    CancelCommand,
    CloseCommand,
    ModifyCommand,
    OrderTicket,
    SubmitCommand,
)
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from meshkit.errors import FieldViolation
from meshkit.nautilus.enums import to_nautilus
from services.live_execution.engine.desk import Desk
from services.live_execution.engine.refused import Refused, invalid
from services.live_execution.engine.settling import Settling
from services.live_execution.tickets import check_list, check_modify, check_ticket, is_instrument_id

SETTLE_S = 10.0
"""How long (s) a submission may take to be on record before the next command is taken."""

type Find = Callable[[InstrumentId], Awaitable[Instrument | None]]
"""Finds an instrument that the trader does not have yet; None when there is none."""


class Orders:
    """What callers want done about orders, on one node.

    Every method returns the client order ids that it made or touched, and raises ``Refused`` when
    nothing was done.
    """

    def __init__(
        self, kernel: Any, desk: Desk, settling: Settling, venues: Collection[str], find: Find
    ) -> None:
        self._kernel = kernel
        self._venues = venues
        self._cache = kernel.cache
        self._desk = desk
        self._settling = settling
        self._find = find
        self.doubtful: Callable[[str], bool] = lambda key: False
        """Whether an order was about to be sent, and nothing more is known."""
        self.real: Collection[str] = ()
        """Venues that are no sandbox."""

    # -- submit

    async def submit(self, command: SubmitCommand) -> Sequence[str]:
        """Submit an order or a list; what was submitted before is not submitted again."""
        tickets = list(command.orders)
        instruments = [await self._instrument(ticket) for ticket in tickets]
        self._check(command, tickets, instruments)
        ids = [ticket.client_order_id for ticket in tickets]
        known = [self._cache.order(ClientOrderId(each)) for each in ids]
        if any(o is not None and o.strategy_id != self._desk.id for o in known):
            raise Refused("ORDER_ID_REUSED", "An order of a strategy has this client order id.")
        sent = [o is not None and o.status != OrderStatus.INITIALIZED for o in known]
        if all(sent):
            return ids
        if any(sent) and not self._is_list(command, known):
            raise Refused("ORDER_ID_REUSED", "Another order has one of these client order ids.")
        if any(sent):
            return ids  # the rest of the list waits for its parent
        real = tickets[0].instrument_id.rpartition(".")[2] in self.real
        if real and any(self.doubtful(each) for each in ids):
            text = "It may be at the venue: its process ended as it was sent. Look there first."
            raise Refused("ORDER_ID_REUSED", text)
        self._settling.expect(ids)
        if command.order_list_id:
            self._submit_list(command.order_list_id, tickets, instruments)
        else:
            self._submit_one(tickets[0], instruments[0], known[0])
        held = [t.client_order_id for t in tickets if not t.exec_algorithm_id]
        await self._settling.settled(held[:1], SETTLE_S)
        return ids

    @staticmethod
    def _is_list(command: SubmitCommand, known: Sequence[Order | None]) -> bool:
        return {str(o.order_list_id) for o in known if o is not None} == {command.order_list_id}

    async def make(self, ticket: OrderTicket) -> tuple[Order, Instrument]:
        """Return the order of a ticket, which is not sent, and its instrument."""
        instrument = await self._instrument(ticket)
        self._check(SubmitCommand(), [ticket], [instrument])
        now = self._desk.clock.timestamp_ns()
        return self._desk.maker.order(ticket, instrument, now), instrument

    def _submit_one(self, ticket: OrderTicket, instrument: Instrument, known: Order | None) -> None:
        now = self._desk.clock.timestamp_ns()
        order = known if known is not None else self._desk.maker.order(ticket, instrument, now)
        self._desk.send(order, PositionId(ticket.position_id) if ticket.position_id else None)

    def _submit_list(
        self, list_id: str, tickets: Sequence[OrderTicket], instruments: Sequence[Instrument]
    ) -> None:
        now = self._desk.clock.timestamp_ns()
        made = self._desk.maker.order_list(tickets, instruments, list_id, now)
        orders = [self._cache.order(order.client_order_id) or order for order in made.orders]
        self._desk.send_list(OrderList(made.id, orders))

    async def _instrument(self, ticket: OrderTicket) -> Instrument:
        text = ticket.instrument_id
        if not is_instrument_id(text):
            raise invalid(check_ticket(ticket, listed=True))
        instrument_id = InstrumentId.from_str(text)
        if str(instrument_id.venue) not in self._venues:
            known = ", ".join(sorted(self._venues))
            text = f"is of {instrument_id.venue}; the trader's venues are {known}"
            raise invalid([FieldViolation("instrument_id", text)])
        found: Instrument | None = self._cache.instrument(instrument_id)
        found = found or await self._find(instrument_id)
        if found is None:
            raise Refused("INSTRUMENT_NOT_FOUND", f"The trader's data has no {text}.")
        return found

    def _check(
        self,
        command: SubmitCommand,
        tickets: Sequence[OrderTicket],
        instruments: Sequence[Instrument],
    ) -> None:
        now = self._desk.clock.timestamp_ns()
        definitions = [_bounds(each) for each in instruments]
        if command.order_list_id:
            found = check_list(tickets, command.order_list_id, definitions=definitions, now_ns=now)
        else:
            found = check_ticket(tickets[0], definitions[0], now_ns=now)
        algorithms = {str(each) for each in self._kernel.trader.exec_algorithm_ids()}
        for ticket in tickets:
            if ticket.exec_algorithm_id and ticket.exec_algorithm_id not in algorithms:
                text = "is no execution algorithm of the trader"
                found.append(FieldViolation("exec_algorithm_id", text))
        if found:
            raise invalid(found)

    # -- modify, cancel

    async def modify(self, command: ModifyCommand) -> Sequence[str]:
        """Modify an order of any strategy."""
        order = self._open_order(command.client_order_id)
        instrument = self._cache.instrument(order.instrument_id)
        found = check_modify(command, _bounds(instrument))
        for name, has in (("price", order.has_price), ("trigger_price", order.has_trigger_price)):
            if getattr(command, name) and not has:
                found.append(FieldViolation(name, "is not for an order of this type"))
        if found:
            raise invalid(found)
        changes = _changes(command, order, instrument)
        if not changes:
            raise invalid([FieldViolation("quantity", "price and trigger_price are those it has")])
        ids = [command.client_order_id]
        self._settling.expect(ids)
        if not self._desk.modify(order, **changes):
            self._settling.forget(ids)
            raise _closed(order)
        await self._settling.settled(ids, SETTLE_S)
        return ids

    async def cancel(self, command: CancelCommand) -> Sequence[str]:
        """Cancel orders by id; refused when none of them can be cancelled."""
        orders = [self._cache.order(ClientOrderId(each)) for each in command.client_order_ids]
        known = [order for order in orders if order is not None]
        if not known:
            raise _unknown(", ".join(command.client_order_ids))
        canceled = await self._cancel(known)
        if not canceled and all(not order.is_pending_cancel for order in known):
            raise _closed(known[0])
        return canceled

    async def _cancel(self, orders: Sequence[Order]) -> Sequence[str]:
        ids = [str(order.client_order_id) for order in orders]
        self._settling.expect(ids)
        canceled = [str(o.client_order_id) for o in orders if self._desk.cancel(o)]
        await self._settling.settled(canceled, SETTLE_S)
        self._settling.forget(ids)
        return canceled

    async def cancel_all(self, command: CancelAllCommand) -> Sequence[str]:
        """Cancel every order that fits."""
        orders = self._desk.working(**_filters(command))
        if command.side:
            side = to_nautilus(OrderSide, command.side)
            if side != OrderSide.NO_ORDER_SIDE:
                orders = [order for order in orders if order.side == side]
        return await self._cancel(orders)

    # -- close

    async def close(self, command: CloseCommand, cause: str) -> Sequence[str]:
        """Close positions that fit at the market."""
        if command.position_id:
            found = self._cache.position(PositionId(command.position_id))
            if found is None or found.is_closed:
                text = f"The trader has no open position {command.position_id}."
                raise Refused("POSITION_NOT_FOUND", text)
            positions = [found]
        else:
            positions = self._cache.positions_open(**_filters(command))
        ids = [self._desk.closing_id(position, cause) for position in positions]
        self._settling.expect(ids)
        made = [self._desk.close(position, cause) for position in positions]
        sent = [str(order.client_order_id) for order in made if order is not None]
        await self._settling.settled(sent, SETTLE_S)
        self._settling.forget(ids)
        return sent

    def _open_order(self, client_order_id: str) -> Order:
        order: Order | None = self._cache.order(ClientOrderId(client_order_id))
        if order is None:
            raise _unknown(client_order_id)
        if order.is_closed or order.is_pending_cancel:
            raise _closed(order)
        return order


def _unknown(what: str) -> Refused:
    return Refused("ORDER_NOT_FOUND", f"The trader has no order {what}.")


def _closed(order: Order) -> Refused:
    text = f"Order {order.client_order_id} is {order.status_string()}: there is nothing to change."
    return Refused("ORDER_CLOSED", text)


def _filters(command: CancelAllCommand | CloseCommand) -> dict[str, Any]:
    instrument, strategy = command.instrument_id, command.strategy_id
    return {
        "instrument_id": InstrumentId.from_str(instrument) if instrument else None,
        "strategy_id": StrategyId(strategy) if strategy else None,
    }


def _bounds(instrument: Instrument) -> InstrumentDefinition:
    """Return what tickets are compared with."""
    return InstrumentDefinition(
        instrument_id=str(instrument.id),
        price_precision=instrument.price_precision,
        size_precision=instrument.size_precision,
        price_increment=str(instrument.price_increment),
        size_increment=str(instrument.size_increment),
        max_quantity=_text(instrument.max_quantity),
        min_quantity=_text(instrument.min_quantity),
        max_price=_text(instrument.max_price),
        min_price=_text(instrument.min_price),
    )


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _changes(command: ModifyCommand, order: Order, instrument: Instrument) -> dict[str, Any]:
    """Return what a modification changes of an order; what it has already is left out."""
    found: dict[str, Any] = {}
    if command.quantity:
        found["quantity"] = Quantity(Decimal(command.quantity), instrument.size_precision)
    for name in ("price", "trigger_price"):
        if text := getattr(command, name):
            found[name] = Price(Decimal(text), instrument.price_precision)
    return {name: value for name, value in found.items() if value != getattr(order, name)}
