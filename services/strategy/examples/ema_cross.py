"""Follow the trend: long while the fast average is above the slow one, short while below."""

import pickle
from decimal import Decimal
from typing import Annotated

from msgspec import Meta
from nautilus_trader.config import StrategyConfig
from nautilus_trader.core.data import Data
from nautilus_trader.core.datetime import unix_nanos_to_dt
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.indicators import ExponentialMovingAverage
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.trading.strategy import Strategy

Period = Annotated[int, Meta(ge=1, le=10_000)]

AGAIN = 10
"""Bars that are made again after a restart, for a price from before the first new one."""


class EmaCrossConfig(StrategyConfig, frozen=True):
    """Parameters of ``EmaCross``.

    Parameters
    ----------
    instrument_id
        The instrument to trade.
    bar_type
        The bars to watch.
    trade_size
        Quantity of each position.
    fast_ema_period, slow_ema_period
        Bars of the two averages, the fast one the shorter.

    """

    instrument_id: InstrumentId
    bar_type: BarType
    trade_size: Decimal
    fast_ema_period: Period = 10
    slow_ema_period: Period = 20

    def __post_init__(self) -> None:
        if self.fast_ema_period >= self.slow_ema_period:
            raise ValueError("fast_ema_period must be less than slow_ema_period")


class EmaCross(Strategy):
    """Always in the market once both averages are warm; a cross closes and reverses.

    A live trader keeps its averages over restarts: it saves them with the time of the last bar in
    them, and lets in the bars that it has missed since before it follows the market again.
    """

    def __init__(self, config: EmaCrossConfig) -> None:
        super().__init__(config)
        self.fast = ExponentialMovingAverage(config.fast_ema_period)
        self.slow = ExponentialMovingAverage(config.slow_ema_period)
        self.last_ns = 0

    def on_start(self) -> None:
        """Watch the bars, after those that were missed while it did not run."""
        self.instrument = self.cache.instrument(self.config.instrument_id)
        if self.instrument is None:
            self.log.error(f"No instrument {self.config.instrument_id}")
            self.stop()
        elif self.last_ns:
            self._catch_up()
        else:
            self.subscribe_bars(self.config.bar_type)

    def _catch_up(self) -> None:
        bar_type, watch = self.config.bar_type, self._watch
        start = unix_nanos_to_dt(min(self.last_ns, self.clock.timestamp_ns()))
        if not bar_type.is_internally_aggregated():
            self.request_bars(bar_type, start, callback=watch)
            return
        # Bars of our own making: from ticks, so that the bar that is being made goes on as well.
        if bar_type.spec.is_time_aggregated():
            start -= AGAIN * bar_type.spec.timedelta
        self.request_aggregated_bars([bar_type], start, callback=watch, update_subscriptions=True)

    def _watch(self, request_id: UUID4) -> None:
        self.subscribe_bars(self.config.bar_type)

    def on_historical_data(self, data: Data) -> None:
        """Let a bar that was missed into the averages."""
        if isinstance(data, Bar):
            self._let_in(data)

    def on_bar(self, bar: Bar) -> None:
        """Hold the side of the fast average."""
        self._let_in(bar)
        if not self.slow.initialized or bar.is_single_price():
            return
        if self.fast.value >= self.slow.value:
            self._hold(OrderSide.BUY)
        else:
            self._hold(OrderSide.SELL)

    def _let_in(self, bar: Bar) -> None:
        if bar.ts_init > self.last_ns:  # one that comes again counts once
            self.fast.handle_bar(bar)
            self.slow.handle_bar(bar)
            self.last_ns = bar.ts_init

    def _hold(self, side: OrderSide) -> None:
        instrument_id = self.config.instrument_id
        buy = side == OrderSide.BUY
        held = self.portfolio.is_net_long if buy else self.portfolio.is_net_short
        if held(instrument_id):
            return
        if not self.portfolio.is_flat(instrument_id):
            self.close_all_positions(instrument_id)
        quantity = self.instrument.make_qty(self.config.trade_size)
        self.submit_order(self.order_factory.market(instrument_id, side, quantity))

    def on_stop(self) -> None:
        """Leave the market."""
        self.cancel_all_orders(self.config.instrument_id)
        self.close_all_positions(self.config.instrument_id)

    def on_save(self) -> dict[str, bytes]:
        """Keep the averages whole, to the last bit, and the time of the last bar in them."""
        averages = pickle.dumps((self.fast, self.slow))
        return {"averages": averages, "last_ns": str(self.last_ns).encode()}

    def on_load(self, state: dict[str, bytes]) -> None:
        """Go on with what was kept, unless the averages are others by now."""
        # Its own state, which nobody else can write: it runs whatever code it likes anyway.
        fast, slow = pickle.loads(state["averages"])
        if (fast.period, slow.period) == (self.fast.period, self.slow.period):
            self.fast, self.slow = fast, slow
            self.last_ns = int(state["last_ns"])

    def on_reset(self) -> None:
        """Forget what was seen."""
        self.fast.reset()
        self.slow.reset()
        self.last_ns = 0
