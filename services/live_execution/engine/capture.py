"""Events of a trader's bus → facts, journalled before anybody else on the bus sees them."""

from collections.abc import Iterable
from typing import Any

from nautilus_trader.model.currencies import Currency
from nautilus_trader.model.events import (
    AccountState,
    OrderDenied,
    OrderEvent,
    OrderFilled,
    OrderInitialized,
    PositionEvent,
)
from nautilus_trader.model.identifiers import AccountId, ClientOrderId, InstrumentId
from nautilus_trader.model.instruments import SyntheticInstrument
from nautilus_trader.model.orders import Order
from nautilus_trader.system.kernel import NautilusKernel

from mesh.execution.v1.events_pb2 import TraderFact
from meshkit.nautilus.execution import to_fact
from services.live_execution.engine.memory import Memory
from services.live_execution.trader.ports import Outside

FIRST = 1_000_000
"""Priority on the bus: above the portfolio's (10) and those of strategies (0)."""


class Capture:
    """Records what happens on a node's bus. Nothing is recorded before ``begin``."""

    def __init__(self, kernel: NautilusKernel, outside: Outside) -> None:
        self._outside = outside
        self._cache = kernel.cache
        self._trader_id = str(kernel.trader_id)
        self._counts: dict[ClientOrderId, int] = {}
        """How many of an order's events are recorded, by client order id."""
        self._links: dict[ClientOrderId, tuple[Any, Any]] = {}
        self._states: dict[AccountId, Any] = {}
        self._memory: Memory | None = None
        handlers = {
            "events.order.*": self._on_order,
            # The engine publishes a fill here before it does so among the order's events.
            "events.fills.*": self._on_order,
            "events.position.*": self._on_position,
            "events.account.*": self._on_account,
            "events.system.*": self._on_component,
        }
        for topic, handler in handlers.items():
            kernel.msgbus.subscribe(topic=topic, handler=handler, priority=FIRST)

    def begin(self, memory: Memory) -> None:
        """Record from now on; what is in the cache by now was recorded in an earlier life."""
        for order in self._cache.orders():
            self._counts[order.client_order_id] = order.event_count
            self._note_links(order.client_order_id)
        for account in self._cache.accounts():
            self._states[account.id] = account.last_event.id
        self._memory = memory

    def define(self, instrument_id: InstrumentId) -> None:
        """Record the definition of an instrument, unless it is recorded already."""
        facts: list[TraderFact] = []
        self._define(instrument_id, facts)
        self._record(facts)

    def _on_order(self, event: OrderEvent) -> None:
        if self._memory is None:
            return
        facts: list[TraderFact] = []
        order = self._cache.order(event.client_order_id)
        if order is None or not self._is_of(order, event):
            if order is None:
                self._first_event(event, facts)
        else:
            self._follow(order, event, facts)
        self._record(facts)

    def _is_of(self, order: Order, event: OrderEvent) -> bool:
        """Whether an event is the order's, and not of a second one that took its client order id.

        Nautilus announces such an order and denies it, and neither is applied to the first.
        """
        special = type(event) is OrderInitialized or type(event) is OrderDenied
        return not special or any(each is event for each in order.events)

    def _first_event(self, event: OrderEvent, facts: list[TraderFact]) -> None:
        """Record the event of an order that is not in the cache yet: a strategy's first."""
        if event.client_order_id in self._counts:
            return
        if type(event) is OrderInitialized:
            self._counts[event.client_order_id] = 1
            self._catch_up_primary(event, facts)
        self._add(event, facts)

    def _catch_up_primary(self, event: OrderInitialized, facts: list[TraderFact]) -> None:
        """Record that an execution algorithm has cut the order that it slices: no event tells."""
        primary = event.exec_spawn_id
        if primary is not None and primary != event.client_order_id:
            order = self._cache.order(primary)
            if order is not None:
                self._follow(order, order.last_event, facts)

    def _follow(self, order: Order, event: OrderEvent, facts: list[TraderFact]) -> None:
        """Record the events of an order that are not recorded yet; those too that nobody told.

        An order that reconciliation makes is never announced, and one that an emulator trails or
        an algorithm slices changes in silence. An event that the order did not take is one, too.
        """
        key = order.client_order_id
        done, count = self._counts.get(key, 0), order.event_count
        if count == done + 1 and order.last_event is event:
            fresh = [event]
        else:
            known = order.events
            fresh = known[done:]
            if not any(each is event for each in known):
                fresh.append(event)
        self._counts[key] = count
        for each in fresh:
            if done == 0 and type(each) is OrderInitialized:
                self._catch_up_primary(each, facts)
            self._add(each, facts)

    def _add(self, event: OrderEvent, facts: list[TraderFact]) -> None:
        self._define(event.instrument_id, facts)
        if type(event) is OrderFilled:
            self._define_currency(event.commission.currency, facts)
            self._define_currency(event.currency, facts)
        elif type(event) is OrderInitialized and event.trigger_instrument_id is not None:
            self._define(event.trigger_instrument_id, facts)
        fact = self._fact(event)
        former = self._links.get(event.client_order_id, (None, None))
        position_id, client_id = self._note_links(event.client_order_id)
        if client_id is not None and client_id != former[1]:
            fact.order.client_id = str(client_id)
        if type(event) is not OrderFilled and position_id is not None and position_id != former[0]:
            fact.order.position_id = str(position_id)
        facts.append(fact)

    def _note_links(self, key: ClientOrderId) -> tuple[Any, Any]:
        """Keep which position and client the cache has for an order; return them."""
        links = (self._cache.position_id(key), self._cache.client_id(key))
        if links != (None, None):
            self._links[key] = links
        return links

    def _on_position(self, event: PositionEvent) -> None:
        if self._memory is None:
            return
        facts: list[TraderFact] = []
        self._define(event.instrument_id, facts)
        facts.append(self._fact(event))
        self._record(facts)

    def _on_account(self, event: AccountState) -> None:
        """Record a state; the portfolio tells the same one with every event of an order."""
        if self._memory is None or self._states.get(event.account_id) == event.id:
            return
        self._states[event.account_id] = event.id
        facts: list[TraderFact] = []
        self._define_currencies(event, facts)
        facts.append(self._fact(event))
        self._record(facts)

    def _define_currencies(self, event: AccountState, facts: list[TraderFact]) -> None:
        self._define_currency(event.base_currency, facts)
        for balance in event.balances:
            self._define_currency(balance.currency, facts)
        for margin in event.margins:
            self._define_currency(margin.currency, facts)

    def _on_component(self, event: Any) -> None:
        if self._memory is not None:
            self._record([self._fact(event)])

    def _define(self, instrument_id: InstrumentId, facts: list[TraderFact]) -> None:
        memory = self._memory
        key = instrument_id.value
        if memory is None or key in memory.instruments:
            return
        instrument: Any = self._cache.instrument(instrument_id)
        if instrument is None and instrument_id.is_synthetic():
            instrument = self._cache.synthetic(instrument_id)
        if instrument is None:
            return
        memory.instruments.add(key)
        for currency in _currencies(instrument):
            self._define_currency(currency, facts)
        facts.append(self._fact(instrument))

    def _define_currency(self, currency: Currency | None, facts: list[TraderFact]) -> None:
        if self._memory is None or currency is None or currency.code in self._memory.currencies:
            return
        self._memory.currencies.add(currency.code)
        facts.append(self._fact(currency))

    def _fact(self, event: object) -> TraderFact:
        fact = to_fact(event, self._trader_id)
        if fact is None:
            raise TypeError(f"{type(event).__name__} has no fact")
        return fact

    def _record(self, facts: list[TraderFact]) -> None:
        if facts:
            self._outside.record(*facts)


def _currencies(instrument: Any) -> Iterable[Currency]:
    if isinstance(instrument, SyntheticInstrument):
        return ()
    base, settlement = instrument.get_base_currency(), instrument.get_settlement_currency()
    return [each for each in (base, instrument.quote_currency, settlement) if each is not None]
