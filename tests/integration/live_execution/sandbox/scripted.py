"""A strategy that does what a script says at each quote, and notes what becomes of its orders."""

from collections.abc import Callable, Mapping
from typing import Any

from nautilus_trader.config import StrategyConfig
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.events import OrderEvent
from nautilus_trader.model.orders import Order, OrderList
from nautilus_trader.trading.strategy import Strategy

from integration.nautilus.witness import BTC
from services.live_execution.engine.memory import Memory
from services.live_execution.engine.restoring import continue_ids

P, Q = BTC.make_price, BTC.make_qty
SECOND = 1_000_000_000
Told = dict[str, list[str]]
Quote = tuple[float, float, float]


class Scripted(Strategy):
    """Does a case's acts at its quotes; ``told`` has the events of its orders by their names."""

    def __init__(self, case: "Case", before: "Scripted | None" = None) -> None:
        super().__init__(StrategyConfig(order_id_tag="S"))
        self.case = case
        self.count: int = before.count if before else 0
        self.orders: dict[str, Order] = dict(before.orders) if before else {}
        self.told: Told = before.told if before else {}
        self.memory = Memory()
        self.noting = True

    def on_start(self) -> None:
        """Ask for quotes."""
        continue_ids(self, self.memory)
        self.subscribe_quote_ticks(BTC.id)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Do what is to be done at this quote."""
        act = self.case.acts.get(self.count)
        self.count += 1
        if act is not None:
            act(self)

    def on_order_event(self, event: OrderEvent) -> None:
        """Note an event."""
        names = [k for k, o in self.orders.items() if o.client_order_id == event.client_order_id]
        if names and self.noting:
            self.told.setdefault(names[0], []).append(_text(event))

    # -- for the acts

    @property
    def make(self) -> Any:
        """The factory of orders."""
        return self.order_factory

    def send(self, **orders: Order) -> None:
        """Submit orders by their names."""
        for name, order in orders.items():
            self.orders[name] = order
            self.submit_order(order)

    def send_list(self, order_list: OrderList, *names: str) -> None:
        """Submit a list."""
        self.orders |= dict(zip(names, order_list.orders, strict=True))
        self.submit_order_list(order_list)

    def of(self, name: str) -> Order:
        """Return an order as it is now."""
        return self.cache.order(self.orders[name].client_order_id)


def _text(event: Any) -> str:
    kind = type(event).__name__.removeprefix("Order")
    if kind == "Filled":
        return f"Filled {event.last_qty}@{event.last_px}"
    if kind == "Updated":
        return f"Updated {event.quantity}@{event.price}/{event.trigger_price}"
    return kind


class Case:
    """A name, quotes (bid, ask, size of both) and what is done at which."""

    def __init__(self, name: str, quotes: list[Quote], acts: Mapping[int, Any]) -> None:
        self.name = name
        self.quotes = quotes
        self.acts: Mapping[int, Callable[[Scripted], None]] = acts

    def ticks(self, start_ns: int) -> list[QuoteTick]:
        """Return the quotes, one a second."""
        return [
            QuoteTick(BTC.id, P(bid), P(ask), Q(size), Q(size), ts, ts)
            for ts, (bid, ask, size) in enumerate(self.quotes)
            for ts in [start_ns + ts * SECOND]
        ]
