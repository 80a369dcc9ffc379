"""Facts → Nautilus' objects, in the state in which they were when the last fact was written."""

from contextlib import suppress
from typing import Any

from nautilus_trader.accounting.accounts.base import Account
from nautilus_trader.accounting.factory import AccountFactory
from nautilus_trader.core.fsm import InvalidStateTrigger
from nautilus_trader.model.currencies import Currency
from nautilus_trader.model.enums import ContingencyType, OrderStatus, OrderType
from nautilus_trader.model.events import (
    OrderEvent,
    OrderFilled,
    OrderInitialized,
)
from nautilus_trader.model.identifiers import PositionId
from nautilus_trader.model.orders import LimitOrder, MarketOrder, Order, OrderUnpacker
from nautilus_trader.model.position import Position

from mesh.execution.v1 import events_pb2 as pb
from meshkit.nautilus.execution import from_fact
from services.live_execution.engine.learning import learn
from services.live_execution.engine.memory import Memory
from services.live_execution.engine.restoring_positions import Positions


class Ledger:
    """Orders, positions and accounts, by their ids as text."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.currencies: dict[str, Currency] = {}
        self.instruments: dict[str, Any] = {}
        self.accounts: dict[str, Account] = {}
        self._states: dict[str, pb.TraderFact] = {}
        self.orders: dict[str, Order] = {}
        self.holdings = Positions()
        self.order_positions: dict[str, str] = {}
        """The position that each order is for, by client order id."""
        self.order_clients: dict[str, str] = {}
        """The adapter's client that was named for it."""

    def apply(self, fact: pb.TraderFact) -> None:
        """Take a fact that follows on all that were taken."""
        kind = fact.WhichOneof("fact")
        if kind == "order":
            event = self.order(fact.order, fact)
            if isinstance(event, OrderFilled):
                self._fill(event)
        elif kind == "position":
            self._position(fact)
        elif kind == "account":
            self.account(fact)
        elif kind in {"instrument", "currency"}:
            self.define(fact)
        learn(self.memory, fact)

    def define(self, fact: pb.TraderFact) -> None:
        """Take the definition of an instrument or a currency."""
        made = from_fact(fact)
        if isinstance(made, Currency):
            # What follows is read with its precision.
            Currency.register(made, overwrite=True)
            self.currencies[made.code] = made
        else:
            self.instruments[made.id.value] = made

    def account(self, fact: pb.TraderFact) -> None:
        """Take the state of an account: the first one at once, of the others the last in the end.

        Most facts are states of accounts, and each of them holds the whole.
        """
        key = fact.account.account_id
        if key in self.accounts:
            self._states[key] = fact
        else:
            self.accounts[key] = AccountFactory.create(from_fact(fact))

    def finish(self) -> None:
        """Bring to an end what waits for a fact that never came."""
        self.holdings.settle()
        for key, fact in self._states.items():
            self.accounts[key].apply(from_fact(fact))

    def order(self, event: pb.OrderEvent, fact: pb.TraderFact) -> OrderEvent | None:
        """Take an event of an order; return it if it has done something."""
        key = event.client_order_id
        made: OrderEvent = from_fact(fact)
        if event.position_id:
            self.order_positions[key] = event.position_id
        if event.client_id:
            self.order_clients[key] = event.client_id
        order = self.orders.get(key)
        if isinstance(made, OrderInitialized):
            self._initialized(key, order, made)
            return None
        if order is None:
            return made
        return made if _applied(order, made) else None

    def _initialized(self, key: str, order: Order | None, event: OrderInitialized) -> None:
        if order is None:
            self.orders[key] = OrderUnpacker.from_init(event)
        elif order.status in {OrderStatus.EMULATED, OrderStatus.INITIALIZED}:
            self.orders[key] = _released(order, event)

    def _fill(self, fill: OrderFilled) -> None:
        key = fill.client_order_id.value
        order = self.orders.get(key)
        instrument = self.instruments.get(fill.instrument_id.value)
        account = self.accounts.get(fill.account_id.value)
        if instrument is None or account is None or instrument.is_spread():
            return
        _charge(account, fill)
        self.holdings.fill(instrument, order, fill)
        if fill.position_id is None:
            return
        position = self.holdings.positions.get(fill.position_id.value)
        if position is not None and position.opening_order_id == fill.client_order_id:
            self.order_positions[key] = position.id.value
        if order is not None:
            self._tie_others(order, position, fill)

    def _tie_others(self, order: Order, position: Position | None, fill: OrderFilled) -> None:
        """Give a position to the orders that a filled one releases, or of which it is a slice."""
        if order.exec_spawn_id is not None:
            self._tie(order.exec_spawn_id.value, fill.position_id)
        if order.contingency_type != ContingencyType.OTO:
            return
        if position is not None and position.is_open:
            for linked in order.linked_order_ids or []:
                self._tie(linked.value, position.id)

    def _tie(self, key: str, position_id: PositionId) -> None:
        """Tie an order to a position as the cache does (its own field only Nautilus sets)."""
        if key in self.orders:
            self.order_positions.setdefault(key, position_id.value)

    def _position(self, fact: pb.TraderFact) -> None:
        self.holdings.opened(fact.position)
        adjusted = from_fact(fact)
        if adjusted is not None:
            self.holdings.adjust(adjusted)


def _applied(order: Order, event: OrderEvent) -> bool:
    """Apply an event as the engine does; return whether it goes on with it."""
    try:
        order.apply(event)
    except InvalidStateTrigger:
        return True  # the engine goes on, and a fill counts although the order did not take it
    except (ValueError, KeyError):
        return False
    return True


def _released(order: Order, event: OrderInitialized) -> Order:
    """Return the order that an emulator makes of one that it releases, with all its events.

    Nautilus gives no way to lend it the recorded event: that event's id alone is another one.
    """
    if event.order_type == OrderType.MARKET:
        return MarketOrder.transform_py(order, event.ts_init)
    if event.order_type == OrderType.LIMIT:
        return LimitOrder.transform_py(order, event.ts_init)
    return OrderUnpacker.from_init(event)


def _charge(account: Account, fill: OrderFilled) -> None:
    """Add a commission to what an account has paid; its balances come with its states."""
    base = account.base_currency
    if account.calculate_account_state and base in {None, fill.commission.currency}:
        with suppress(ValueError):
            account.update_commissions(fill.commission)
