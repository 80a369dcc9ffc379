"""Fade extremes: buy far below the mean, sell far above it, leave at the mean."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta
from nautilus_trader.config import StrategyConfig
from nautilus_trader.indicators import BollingerBands
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.trading.strategy import Strategy


class MeanReversionConfig(StrategyConfig, frozen=True):
    """Parameters of ``MeanReversion``.

    Parameters
    ----------
    instrument_id
        The instrument to trade.
    bar_type
        The bars to watch.
    trade_size
        Quantity of each position.
    period
        Bars of mean and deviation.
    deviations
        Distance of the bands from the mean, in standard deviations.

    """

    instrument_id: InstrumentId
    bar_type: BarType
    trade_size: Decimal
    period: Annotated[int, Meta(ge=2, le=10_000)] = 20
    deviations: Annotated[float, Meta(gt=0.0, le=10.0)] = 2.0


class MeanReversion(Strategy):
    """One position at a time, entered outside a Bollinger band and closed at its middle."""

    def __init__(self, config: MeanReversionConfig) -> None:
        super().__init__(config)
        self.bands = BollingerBands(config.period, config.deviations)

    def on_start(self) -> None:
        """Watch the bars."""
        self.instrument = self.cache.instrument(self.config.instrument_id)
        if self.instrument is None:
            self.log.error(f"No instrument {self.config.instrument_id}")
            self.stop()
            return
        self.register_indicator_for_bars(self.config.bar_type, self.bands)
        self.subscribe_bars(self.config.bar_type)

    def on_bar(self, bar: Bar) -> None:
        """Enter outside the bands, leave at the mean."""
        if not self.indicators_initialized():
            return
        close = bar.close.as_double()
        instrument_id = self.config.instrument_id
        if self.portfolio.is_flat(instrument_id):
            if close < self.bands.lower:
                self._enter(OrderSide.BUY)
            elif close > self.bands.upper:
                self._enter(OrderSide.SELL)
        elif self._reverted(close):
            self.close_all_positions(instrument_id)

    def _reverted(self, close: float) -> bool:
        if self.portfolio.is_net_long(self.config.instrument_id):
            return bool(close >= self.bands.middle)
        return bool(close <= self.bands.middle)

    def _enter(self, side: OrderSide) -> None:
        quantity = self.instrument.make_qty(self.config.trade_size)
        self.submit_order(self.order_factory.market(self.config.instrument_id, side, quantity))

    def on_stop(self) -> None:
        """Leave the market."""
        self.cancel_all_orders(self.config.instrument_id)
        self.close_all_positions(self.config.instrument_id)

    def on_reset(self) -> None:
        """Forget what was seen."""
        self.bands.reset()
