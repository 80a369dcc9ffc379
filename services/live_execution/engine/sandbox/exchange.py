"""Simulated exchanges that outlive their process: what Nautilus' own would do at construction.

``SimulatedExchange`` keeps its matching engines, and an engine its core, in C fields. Both are
found by the garbage collector's look at an object, which is public; ``Exchange`` raises at its
first instrument, not in a trade, should a later Nautilus keep them otherwise.
"""

import gc
from decimal import Decimal
from typing import Any

from nautilus_trader.backtest.engine import OrderMatchingEngine, SimulatedExchange
from nautilus_trader.common.config import InvalidConfiguration
from nautilus_trader.execution.matching_core import MatchingCore
from nautilus_trader.execution.messages import CancelAllOrders
from nautilus_trader.model.enums import LiquiditySide, OmsType, OrderSide
from nautilus_trader.model.identifiers import AccountId, InstrumentId, PositionId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.model.orders import Order
from nautilus_trader.model.position import Position

from meshkit.nautilus.data_time.sandbox import QueuedExchange

SHARED = (
    "fill_model",
    "fee_model",
    "book_type",
    "oms_type",
    "account_type",
    "msgbus",
    "cache",
    "reject_stop_orders",
    "support_gtd_orders",
    "support_contingent_orders",
    "oto_full_trigger",
    "use_position_ids",
    "use_random_ids",
    "use_reduce_only",
    "use_market_order_acks",
    "bar_execution",
    "bar_adaptive_high_low_ordering",
    "trade_execution",
    "liquidity_consumption",
    "queue_position",
    "price_protection_points",
)
"""What an exchange hands on to its engines."""
LIFE = 10_000
"""Instruments of one life: the numbers in a venue's ids are ``LIFE * (life - 1) + 1`` and on."""


class Lasting:
    """What both exchanges have beside Nautilus'."""

    def __init__(self, *, life: int, leverages: dict[Any, Any], **kwargs: Any) -> None:
        self._life = life
        self._clock_of_venue = kwargs["clock"]
        self.unfit: dict[InstrumentId, str] = {}
        by_id = {InstrumentId.from_str(str(k)): Decimal(str(v)) for k, v in leverages.items()}
        super().__init__(leverages=by_id, **kwargs)  # type: ignore[call-arg] # the exchange's

    def initialize_account(self) -> None:
        """Do not make an account: there may be one from an earlier life. See ``open_account``."""

    def open_account(self: Any) -> None:
        """Make the account of the starting balances, or take up the one in the cache."""
        account = self.get_account()
        if account is None:
            super().initialize_account()  # type: ignore[misc] # SimulatedExchange's
        elif account.is_margin_account:
            account.set_default_leverage(self.default_leverage)
            for instrument_id, leverage in self.leverages.items():
                account.set_leverage(instrument_id, leverage)

    def add_instrument(self: Any, instrument: Instrument) -> None:
        """Add an instrument, or a new definition of one that has orders."""
        if self.get_matching_engine(instrument.id) is not None:
            self.update_instrument(instrument)
            return
        try:
            super().add_instrument(instrument)  # type: ignore[misc] # SimulatedExchange's
        except InvalidConfiguration as error:  # a derivative for a cash account
            self.unfit[instrument.id] = str(error).removesuffix(".")
            return
        engines = _engines(self, instrument.id)
        number = LIFE * (self._life - 1) + engines[instrument.id].raw_id
        engines[instrument.id] = self._engine(instrument, number)

    def core(self: Any, instrument_id: InstrumentId) -> MatchingCore:
        """Return what matches the orders of an instrument."""
        return core_of(self.get_matching_engine(instrument_id))

    def scratch(self: Any, instrument: Instrument) -> OrderMatchingEngine:
        """Return an engine apart, which takes stops that are in the market already."""
        return self._engine(instrument, 0, reject_stop_orders=False)

    def _engine(self: Any, instrument: Instrument, number: int, **changes: Any) -> "LastingEngine":
        kwargs = {name: getattr(self, name) for name in SHARED} | changes
        return LastingEngine(
            instrument=instrument, raw_id=number, clock=self._clock_of_venue, **kwargs
        )


class LastingEngine(OrderMatchingEngine):
    """A matching engine for a trader of several strategies, whose events stay as they were told."""

    def process_order(self, order: Order, account_id: AccountId) -> None:
        """Take an order, unless it is over.

        Nautilus' engine comes to the child of a list that was rejected when its parent was filled
        once more with the list itself, and rejects it again.
        """
        if not order.is_closed:
            super().process_order(order, account_id)

    def process_cancel_all(self, command: CancelAllOrders, account_id: AccountId) -> None:
        """Cancel the open orders of a strategy; Nautilus' engine cancels those of all."""
        orders = self.cache.orders_open(
            venue=None, instrument_id=command.instrument_id, strategy_id=command.strategy_id
        )
        for order in orders:
            wanted = command.order_side in (OrderSide.NO_ORDER_SIDE, order.side)
            if wanted and (order.is_inflight or order.is_open):
                self.cancel_order(order)

    def apply_fills(
        self,
        order: Order,
        fills: list[Any],
        liquidity_side: LiquiditySide,
        venue_position_id: PositionId | None = None,
        position: Position | None = None,
        protection_price: Price | None = None,
    ) -> None:
        """Fill an order against the position of its own strategy.

        With NETTING Nautilus' engine takes any open position of the instrument, so that an order
        that reduces one strategy's position is cut to the size of another's.
        """
        if self.oms_type == OmsType.NETTING:
            own = self.cache.position(_netting_id(order))
            # A closed one is replaced when it is opened again: the engine takes it for none.
            position = own if own is not None and own.is_open else None
            if order.is_reduce_only and position is None:
                self.cancel_order(order)
                return
        super().apply_fills(
            order, fills, liquidity_side, venue_position_id, position, protection_price
        )

    def _generate_order_updated(
        self, order: Order, quantity: Quantity, price: Price | None, trigger_price: Price | None
    ) -> None:
        """Tell of a change with a quantity of its own.

        Nautilus' engine hands out one that it goes on counting in: event and order would change
        after they were told.
        """
        own = Quantity.from_raw(quantity.raw, quantity.precision)
        super()._generate_order_updated(order, own, price, trigger_price)


def _netting_id(order: Order) -> PositionId:
    return PositionId(f"{order.instrument_id}-{order.strategy_id}")


def core_of(engine: OrderMatchingEngine) -> MatchingCore:
    """Return the matching core of an engine."""
    for each in gc.get_referents(engine):
        if isinstance(each, MatchingCore):
            return each
    raise TypeError("This Nautilus keeps the matching core elsewhere: see engine/sandbox/exchange")


def _engines(exchange: Any, known: InstrumentId) -> dict[InstrumentId, OrderMatchingEngine]:
    for each in gc.get_referents(exchange):
        if isinstance(each, dict) and isinstance(each.get(known), OrderMatchingEngine):
            return each
    raise TypeError("This Nautilus keeps matching engines elsewhere: see engine/sandbox/exchange")


class LastingExchange(Lasting, SimulatedExchange):
    """An exchange on the wall's time."""


class LastingQueuedExchange(Lasting, QueuedExchange):
    """An exchange on data time."""
