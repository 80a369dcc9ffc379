"""Follow the trend: long while the fast average is above the slow one, short while below."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta
from nautilus_trader.config import StrategyConfig
from nautilus_trader.indicators import ExponentialMovingAverage
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.trading.strategy import Strategy

Period = Annotated[int, Meta(ge=1, le=10_000)]


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
    """Always in the market once both averages are warm; a cross closes and reverses."""

    def __init__(self, config: EmaCrossConfig) -> None:
        super().__init__(config)
        self.fast = ExponentialMovingAverage(config.fast_ema_period)
        self.slow = ExponentialMovingAverage(config.slow_ema_period)

    def on_start(self) -> None:
        """Watch the bars."""
        self.instrument = self.cache.instrument(self.config.instrument_id)
        if self.instrument is None:
            self.log.error(f"No instrument {self.config.instrument_id}")
            self.stop()
            return
        self.register_indicator_for_bars(self.config.bar_type, self.fast)
        self.register_indicator_for_bars(self.config.bar_type, self.slow)
        self.subscribe_bars(self.config.bar_type)

    def on_bar(self, bar: Bar) -> None:
        """Hold the side of the fast average."""
        if not self.indicators_initialized() or bar.is_single_price():
            return
        if self.fast.value >= self.slow.value:
            self._hold(OrderSide.BUY)
        else:
            self._hold(OrderSide.SELL)

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

    def on_reset(self) -> None:
        """Forget what was seen."""
        self.fast.reset()
        self.slow.reset()
