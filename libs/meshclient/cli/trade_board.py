"""What a live table of trading shows: traders, positions, open orders, accounts. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from mesh.common.v1 import enums_pb2 as enums
from mesh.execution.v1 import events_pb2 as events
from mesh.execution.v1 import order_pb2 as pb
from mesh.execution.v1 import trader_pb2
from mesh.execution.v1.events_pb2 import TraderFact
from meshclient import words
from meshclient.cli.board import Note
from meshclient.cli.order_folding import folded, is_open
from meshclient.cli.order_view import order_price, word
from meshclient.cli.trader_view import state_name
from meshclient.facts import Told
from meshclient.traders import change_of

type Key = tuple[str, str]
"""Trader id and the id of the thing in it."""

_LOUD = {
    events.ORDER_EVENT_TYPE_DENIED: "failed",
    events.ORDER_EVENT_TYPE_REJECTED: "failed",
    events.ORDER_EVENT_TYPE_MODIFY_REJECTED: "failed",
    events.ORDER_EVENT_TYPE_CANCEL_REJECTED: "failed",
    events.ORDER_EVENT_TYPE_FILLED: "mended",
}
_QUIET = {
    events.ORDER_EVENT_TYPE_PENDING_UPDATE,
    events.ORDER_EVENT_TYPE_PENDING_CANCEL,
    events.ORDER_EVENT_TYPE_INITIALIZED,
    events.ORDER_EVENT_TYPE_RELEASED,
    events.ORDER_EVENT_TYPE_SUBMITTED,
}


@dataclass
class TradeBoard:
    """Takes what is read and what is told, and gives what is now."""

    traders: dict[str, trader_pb2.Trader] = field(default_factory=dict)
    orders: dict[Key, pb.Order] = field(default_factory=dict)
    positions: dict[Key, events.Position] = field(default_factory=dict)
    accounts: dict[Key, events.AccountState] = field(default_factory=dict)
    data_times: dict[str, int] = field(default_factory=dict)
    """Unix nanoseconds of the clock of each trader on a replay."""

    def load(
        self,
        traders: Iterable[trader_pb2.Trader] = (),
        orders: Iterable[pb.Order] = (),
        positions: Iterable[events.Position] = (),
        accounts: Iterable[events.AccountState] = (),
    ) -> None:
        """Take what was read. Facts that it holds already are not applied again."""
        for trader in traders:
            self._trader(trader)
        for order in orders:
            self.orders[order.trader_id, order.client_order_id] = order
        for position in positions:
            self.positions[position.trader_id, position.position_id] = position
        for account in accounts:
            self.accounts[account.trader_id, account.account_id] = account

    def take(self, told: Told[trader_pb2.TraderChanged | TraderFact]) -> Note | None:
        """Take a fact; return what is worth a line of its own."""
        changed = change_of(told.fact)
        if changed is not None:
            return self._change(changed)
        assert isinstance(told.fact, TraderFact)  # the other kind is a change
        trader_id = told.subject or told.event.stream.rpartition(":")[2]
        return self._fact(trader_id, told.number, told.fact)

    def open_orders(self) -> list[pb.Order]:
        """Return the orders at work, the newest first."""
        found = [order for order in self.orders.values() if is_open(order)]
        return sorted(found, key=lambda order: -order.ts_init.ToNanoseconds())

    def open_positions(self) -> list[events.Position]:
        """Return the open positions by trader and id."""
        held = {key: each for key, each in self.positions.items() if not closed(each)}
        return [held[key] for key in sorted(held)]

    def realised(self, trader_id: str = "") -> dict[str, Decimal]:
        """Return the realised P&L by currency, of all traders when none is named.

        Of sandboxes it is what their accounts have gained, commissions included. Of other accounts,
        to which money comes and goes, it is that of the positions that are known.
        """
        named = [trader_id] if trader_id else {key for key, _ in (*self.positions, *self.accounts)}
        found: dict[str, Decimal] = {}
        for each in named:
            _add(found, self._gained(each))
        return found

    def _gained(self, trader_id: str) -> dict[str, Decimal]:
        trader, now = self.traders.get(trader_id), self.balances(trader_id)
        venues = trader.spec.venues if trader is not None else ()
        if not now or not venues or not all(each.HasField("sandbox") for each in venues):
            held = self.positions.values()
            return _sums(each.realized_pnl for each in held if _of(each, trader_id))
        began = _sums(money for each in venues for money in each.sandbox.starting_balances)
        return {currency: now[currency] - began.get(currency, Decimal()) for currency in now}

    def unrealised(self, trader_id: str = "") -> dict[str, Decimal]:
        """Return the unrealised P&L of the open positions by currency."""
        found = (each for each in self.open_positions() if _of(each, trader_id))
        return _sums(each.unrealized_pnl for each in found)

    def balances(self, trader_id: str) -> dict[str, Decimal]:
        """Return the totals of a trader's accounts by currency."""
        return _sums(
            _Amount(each.total, each.currency)
            for (of, _), account in self.accounts.items()
            for each in account.balances
            if of == trader_id
        )

    def _trader(self, trader: trader_pb2.Trader) -> None:
        self.traders[trader.trader_id] = trader
        if trader.HasField("data_time") and trader.spec.data.HasField("replay"):
            self._clock(trader.trader_id, trader.data_time.ToNanoseconds())

    def _clock(self, trader_id: str, nanos: int) -> None:
        self.data_times[trader_id] = max(nanos, self.data_times.get(trader_id, 0))

    def _change(self, changed: trader_pb2.TraderChanged) -> Note | None:
        trader = changed.trader
        before = self.traders.get(trader.trader_id)
        if changed.deleted:
            self.traders.pop(trader.trader_id, None)
            return Note("gap", f"{trader.trader_id} deleted")
        if not trader.trader_id:
            return None
        self._trader(trader)
        if before is not None and (before.state, before.reason) == (trader.state, trader.reason):
            return None
        told = " ".join(filter(None, (trader.reason, trader.message)))
        text = f"{trader.trader_id} {state_name(trader.state)}"
        return Note(_style(trader.state), f"{text}: {told}" if told else text)

    def _fact(self, trader_id: str, number: int, fact: TraderFact) -> Note | None:
        match fact.WhichOneof("fact"):
            case "order":
                return self._order(trader_id, number, fact.order)
            case "position":
                self._position(fact.position)
            case "account":
                self.accounts[trader_id, fact.account.account_id] = fact.account
            case "clock":
                self._clock(trader_id, fact.clock.ts.ToNanoseconds())
            case "failed":
                failed = fact.failed
                where = f"{failed.file}:{failed.line}" if failed.file else failed.handler
                return Note("failed", f"{failed.instance_id} raised at {where}: {failed.message}")
            case "limit":
                limit = fact.limit
                action = word(trader_pb2.LimitAction, limit.action) or "reducing"
                text = f"{trader_id} {limit.limit} {limit.bound} broken by {limit.value}: {action}"
                return Note("failed", text)
            case "unknown":
                unknown = fact.unknown
                text = f"{unknown.client_order_id} UNKNOWN: {unknown.message}"
                return Note("failed", text)
            case "flatten":
                flat = fact.flatten.flat
                text = f"{trader_id} {'FLAT' if flat else 'NOT FLAT'}"
                return Note("mended" if flat else "failed", text)
        return None

    def _order(self, trader_id: str, number: int, event: events.OrderEvent) -> Note | None:
        key = trader_id, event.client_order_id
        known = self.orders.get(key)
        if known is not None and known.fact_number >= number:
            return None  # what was read when this was on its way holds it
        order = folded(known, trader_id, number, event)
        self.orders[key] = order
        return None if event.type in _QUIET else _note(order, event)

    def _position(self, event: events.PositionEvent) -> None:
        if event.type != events.POSITION_EVENT_TYPE_ADJUSTED:
            self.positions[event.position.trader_id, event.position.position_id] = event.position


def closed(position: events.Position) -> bool:
    """Whether nothing is left of a position."""
    return position.side == enums.POSITION_SIDE_FLAT or position.HasField("ts_closed")


@dataclass(frozen=True)
class _Amount:
    amount: str
    currency: str


def _sums(amounts: Iterable[object]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for each in amounts:
        currency = getattr(each, "currency", "")
        if currency:
            found[currency] = found.get(currency, Decimal()) + _number(getattr(each, "amount", ""))
    return found


def _add(found: dict[str, Decimal], more: dict[str, Decimal]) -> None:
    for currency, amount in more.items():
        found[currency] = found.get(currency, Decimal()) + amount


def _number(text: str) -> Decimal:
    try:
        return Decimal(text or "0")
    except InvalidOperation:
        return Decimal()


def _of(position: events.Position, trader_id: str) -> bool:
    return trader_id in {"", position.trader_id}


def _style(state: int) -> str:
    if state in (trader_pb2.TRADER_STATE_FAILED, trader_pb2.TRADER_STATE_HALTED):
        return "failed"
    return "mended" if state == trader_pb2.TRADER_STATE_RUNNING else "gap"


def _note(order: pb.Order, event: events.OrderEvent) -> Note:
    side = word(enums.OrderSide, order.side).upper()
    what = f"{order.trader_id}  {side} {order.quantity} {order.instrument_id}"
    happened = words.name(events.OrderEventType, event.type).lower().replace("_", " ")
    if event.type == events.ORDER_EVENT_TYPE_FILLED:
        part = "" if order.status == enums.ORDER_STATUS_FILLED else f" of {order.quantity}"
        told = f"filled {event.filled.last_qty}{part} at {event.filled.last_px}"
    else:
        place = order_price(order)
        told = " ".join(filter(None, (happened, place, event.reason)))
    return Note(_LOUD.get(event.type, ""), f"{what}  {told}  {order.client_order_id}")


def pnl_text(sums: dict[str, Decimal]) -> str:
    """Return sums by currency with their signs."""
    return " ".join(f"{amount:+,.2f} {currency}" for currency, amount in sorted(sums.items()))
