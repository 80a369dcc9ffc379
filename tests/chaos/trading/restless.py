"""A strategy that orders without pause, whatever becomes of it; its orders name its process."""

import os
from datetime import timedelta

from nautilus_trader.config import StrategyConfig
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.trading.strategy import Strategy


class RestlessConfig(StrategyConfig, frozen=True):
    """Which instrument, how often, and how many orders rest from the beginning."""

    instrument_id: InstrumentId
    millis: int = 20
    resting: int = 100


class Restless(Strategy):
    """Buys, now and then sells a little of it, and cancels one of the orders that rest."""

    def __init__(self, config: RestlessConfig) -> None:
        super().__init__(config)
        self.turn = 0

    def on_start(self) -> None:
        """Begin."""
        self.made = self.cache.instrument(self.config.instrument_id)
        for _ in range(self.config.resting):
            self.send(OrderSide.BUY, "R", price="20000.0")
        every = timedelta(milliseconds=self.config.millis)
        self.clock.set_timer("turn", every, callback=self.go_on)

    def go_on(self, _: object) -> None:
        """Take the next turn."""
        if self.turn % 8 == 7:
            self.send(OrderSide.SELL, "S", reduce_only=True)
        else:
            self.send(OrderSide.BUY, "B")
        resting = [each for each in self.cache.orders_open(strategy_id=self.id) if each.has_price]
        if self.turn % 8 == 0 and resting:
            self.cancel_order(resting[0])

    def send(self, side: OrderSide, kind: str, price: str = "", **more: bool) -> None:
        """Submit an order whose id names what it is, and the process that made it."""
        self.turn += 1
        key = ClientOrderId(f"{kind}-{os.getpid()}-{self.turn}")
        place = (self.config.instrument_id, side, self.made.make_qty(0.01))
        if price:
            order = self.order_factory.limit(
                *place, self.made.make_price(float(price)), client_order_id=key, **more
            )
        else:
            order = self.order_factory.market(*place, client_order_id=key, **more)
        self.submit_order(order)
