"""Trade breakouts with bracket orders: entry at the market, stop loss and take profit attached."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta
from nautilus_trader.config import StrategyConfig
from nautilus_trader.indicators import AverageTrueRange, DonchianChannel
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import OrderSide, OrderType
from nautilus_trader.model.events import OrderRejected
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.trading.strategy import Strategy

Multiple = Annotated[float, Meta(gt=0.0, le=100.0)]


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
    """One bracket at a time, on a close beyond the channel of the bars before."""

    def __init__(self, config: BreakoutBracketConfig) -> None:
        super().__init__(config)
        self.channel = DonchianChannel(config.channel_period)
        self.range = AverageTrueRange(config.atr_period)
        self.refused: ClientOrderId | None = None

    def on_start(self) -> None:
        """Watch the bars."""
        self.instrument = self.cache.instrument(self.config.instrument_id)
        if self.instrument is None:
            self.log.error(f"No instrument {self.config.instrument_id}")
            self.stop()
            return
        self.subscribe_bars(self.config.bar_type)

    def on_bar(self, bar: Bar) -> None:
        """Compare the close with the channel of the bars before, then let the bar into it."""
        ready = self.channel.initialized and self.range.initialized
        upper, lower = self.channel.upper, self.channel.lower
        self.channel.handle_bar(bar)
        self.range.handle_bar(bar)
        if not ready or self._busy():
            return
        close = bar.close.as_double()
        if close > upper:
            self._bracket(OrderSide.BUY, close, 1.0)
        elif close < lower:
            self._bracket(OrderSide.SELL, close, -1.0)

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

    def on_reset(self) -> None:
        """Forget what was seen."""
        self.channel.reset()
        self.range.reset()
        self.refused = None
