"""A strategy that sends one order after another, and logs how long each was on its way."""

import json
import time

from nautilus_trader.config import StrategyConfig
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import OrderAccepted, OrderFilled
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.trading.strategy import Strategy

STARTED = "ROUND TRIPS started"
DONE = "ROUND TRIPS done "


class RoundTripConfig(StrategyConfig, frozen=True):
    """Parameters of ``RoundTrip``.

    Parameters
    ----------
    instrument_id
        The instrument to trade.
    orders
        How many are measured.
    warm
        How many go before them.
    price
        Where each is to rest: submit to accepted is measured. Without it they are market orders:
        submit to filled.

    """

    instrument_id: InstrumentId
    orders: int = 0
    warm: int = 20
    price: str = ""


class RoundTrip(Strategy):
    """Sends an order at a quote, when none is on its way."""

    def __init__(self, config: RoundTripConfig) -> None:
        super().__init__(config)
        self._sent = self._began = 0
        self._took: list[int] = []

    def on_start(self) -> None:
        """Watch the quotes."""
        self.subscribe_quote_ticks(self.config.instrument_id)
        self.log.info(STARTED)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Send one."""
        if self._began or self._sent == self.config.warm + self.config.orders:
            return
        made = self.cache.instrument(self.config.instrument_id)
        side = OrderSide.SELL if self._sent % 2 and not self.config.price else OrderSide.BUY
        what = (self.config.instrument_id, side, made.make_qty(0.01))
        if self.config.price:
            order = self.order_factory.limit(*what, made.make_price(float(self.config.price)))
        else:
            order = self.order_factory.market(*what)
        self._sent += 1
        self._began = time.perf_counter_ns()
        self.submit_order(order)

    def on_order_accepted(self, event: OrderAccepted) -> None:
        """Take the time of an order that rests."""
        if self.config.price:
            self._take()

    def on_order_filled(self, event: OrderFilled) -> None:
        """Take the time of a market order; one that fills in parts counts with the first."""
        self._take()

    def _take(self) -> None:
        if not self._began:
            return
        self._took.append(time.perf_counter_ns() - self._began)
        self._began = 0
        if len(self._took) == self.config.warm + self.config.orders:
            measured = sorted(self._took[self.config.warm :])
            at = {f"p{p}": measured[len(measured) * p // 100] / 1000 for p in (50, 95, 99)}
            self.log.info(DONE + json.dumps(at))
