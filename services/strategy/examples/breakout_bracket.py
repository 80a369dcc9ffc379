"""Trade breakouts with bracket orders: entry at the market, stop loss and take profit attached."""

import pickle
from decimal import Decimal
from typing import Annotated

from msgspec import Meta
from nautilus_trader.config import StrategyConfig
from nautilus_trader.core.data import Data
from nautilus_trader.core.datetime import unix_nanos_to_dt
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.indicators import AverageTrueRange, DonchianChannel
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import OrderSide, OrderType
from nautilus_trader.model.events import OrderRejected
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.trading.strategy import Strategy

Multiple = Annotated[float, Meta(gt=0.0, le=100.0)]

AGAIN = 10
"""Bars that are made again after a restart, for a price from before the first new one."""


class BreakoutBracketConfig(StrategyConfig, frozen=True):
    """Parameters of ``BreakoutBracket``.

    Parameters
    ----------
    instrument_id
        The instrument to trade.
    bar_type
        The bars to watch.
    trade_size
        Quantity of each position.
    channel_period
        Bars whose highest high and lowest low make the channel.
    atr_period
        Bars of the average true range.
    stop_atr, target_atr
        Distance of stop loss and take profit from the close, in average true ranges.

    """

    instrument_id: InstrumentId
    bar_type: BarType
    trade_size: Decimal
    channel_period: Annotated[int, Meta(ge=2, le=10_000)] = 20
    atr_period: Annotated[int, Meta(ge=1, le=10_000)] = 14
    stop_atr: Multiple = 2.0
    target_atr: Multiple = 4.0


class BreakoutBracket(Strategy):
    """One bracket at a time, on a close beyond the channel of the bars before.

    A live trader keeps its channel over restarts, as ``EmaCross`` does its averages.
    """

    def __init__(self, config: BreakoutBracketConfig) -> None:
        super().__init__(config)
        self.channel = DonchianChannel(config.channel_period)
        self.range = AverageTrueRange(config.atr_period)
        self.refused: ClientOrderId | None = None
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
        """Let a bar that was missed into the channel."""
        if isinstance(data, Bar):
            self._let_in(data)

    def on_bar(self, bar: Bar) -> None:
        """Compare the close with the channel of the bars before, then let the bar into it."""
        ready = self.channel.initialized and self.range.initialized
        upper, lower = self.channel.upper, self.channel.lower
        self._let_in(bar)
        if not ready or self._busy():
            return
        close = bar.close.as_double()
        if close > upper:
            self._bracket(OrderSide.BUY, close, 1.0)
        elif close < lower:
            self._bracket(OrderSide.SELL, close, -1.0)

    def _let_in(self, bar: Bar) -> None:
        if bar.ts_init > self.last_ns:  # one that comes again counts once
            self.channel.handle_bar(bar)
            self.range.handle_bar(bar)
            self.last_ns = bar.ts_init

    def _busy(self) -> bool:
        instrument_id = self.config.instrument_id
        return not self.portfolio.is_flat(instrument_id) or bool(
            self.cache.orders_open_count(instrument_id=instrument_id, strategy_id=self.id)
        )

    def _bracket(self, side: OrderSide, close: float, sign: float) -> None:
        distance = sign * self.range.value
        price = self.instrument.make_price
        brackets = self.order_factory.bracket(
            instrument_id=self.config.instrument_id,
            order_side=side,
            quantity=self.instrument.make_qty(self.config.trade_size),
            sl_trigger_price=price(close - self.config.stop_atr * distance),
            tp_price=price(close + self.config.target_atr * distance),
        )
        self.submit_order_list(brackets)

    def on_order_rejected(self, event: OrderRejected) -> None:
        """Hold no position without its stop: the market may have passed it by."""
        order = self.cache.order(event.client_order_id)
        stop = order is not None and order.order_type == OrderType.STOP_MARKET
        if stop and event.client_order_id != self.refused:  # the simulated venue says it twice
            self.refused = event.client_order_id
            self._leave()

    def on_stop(self) -> None:
        """Leave the market."""
        self._leave()

    def _leave(self) -> None:
        self.cancel_all_orders(self.config.instrument_id)
        self.close_all_positions(self.config.instrument_id)

    def on_save(self) -> dict[str, bytes]:
        """Keep channel and range whole, and the time of the last bar in them."""
        kept = pickle.dumps((self.channel, self.range))
        return {"indicators": kept, "last_ns": str(self.last_ns).encode()}

    def on_load(self, state: dict[str, bytes]) -> None:
        """Go on with what was kept, unless the periods are others by now."""
        # Its own state, which nobody else can write: it runs whatever code it likes anyway.
        channel, range_ = pickle.loads(state["indicators"])
        if (channel.period, range_.period) == (self.channel.period, self.range.period):
            self.channel, self.range = channel, range_
            self.last_ns = int(state["last_ns"])

    def on_reset(self) -> None:
        """Forget what was seen."""
        self.channel.reset()
        self.range.reset()
        self.refused = None
        self.last_ns = 0
