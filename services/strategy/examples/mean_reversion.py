"""Fade extremes: buy far below the mean, sell far above it, leave at the mean."""

import pickle
from decimal import Decimal
from typing import Annotated

from msgspec import Meta
from nautilus_trader.config import StrategyConfig
from nautilus_trader.core.data import Data
from nautilus_trader.core.datetime import unix_nanos_to_dt
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.indicators import BollingerBands
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.trading.strategy import Strategy

AGAIN = 10
"""Bars that are made again after a restart, for a price from before the first new one."""


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
    """One position at a time, entered outside a Bollinger band and closed at its middle.

    A live trader keeps its bands over restarts, as ``EmaCross`` does its averages.
    """

    def __init__(self, config: MeanReversionConfig) -> None:
        super().__init__(config)
        self.bands = BollingerBands(config.period, config.deviations)
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
        """Let a bar that was missed into the bands."""
        if isinstance(data, Bar):
            self._let_in(data)

    def on_bar(self, bar: Bar) -> None:
        """Enter outside the bands, leave at the mean."""
        self._let_in(bar)
        if not self.bands.initialized:
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

    def _let_in(self, bar: Bar) -> None:
        if bar.ts_init > self.last_ns:  # one that comes again counts once
            self.bands.handle_bar(bar)
            self.last_ns = bar.ts_init

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

    def on_save(self) -> dict[str, bytes]:
        """Keep the bands whole, and the time of the last bar in them."""
        return {"bands": pickle.dumps(self.bands), "last_ns": str(self.last_ns).encode()}

    def on_load(self, state: dict[str, bytes]) -> None:
        """Go on with what was kept, unless the bands are others by now."""
        # Its own state, which nobody else can write: it runs whatever code it likes anyway.
        bands = pickle.loads(state["bands"])
        if (bands.period, bands.k) == (self.bands.period, self.bands.k):
            self.bands, self.last_ns = bands, int(state["last_ns"])

    def on_reset(self) -> None:
        """Forget what was seen."""
        self.bands.reset()
        self.last_ns = 0
