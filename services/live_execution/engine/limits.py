"""The trader's own limits on single orders: notional, position and exposure that they lead to.

Nautilus' RiskEngine looks at notionals of cash accounts alone, and knows no position or exposure.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.orders import Order

from mesh.execution.v1 import trader_pb2 as pb
from services.live_execution.engine.limits_exposure import Exposure, price_for
from services.live_execution.trader.ports import Refusal

EVERY_OTHER = "*"


class Limits:
    """Bounds of one trader. Every order is asked about right before it is sent."""

    def __init__(self, kernel: Any, risk: pb.RiskLimits) -> None:
        self._cache = kernel.cache
        self._notional = _bounds(risk.max_notional_per_order)
        self._position = _bounds(risk.max_position)
        self.exposure = Exposure(kernel.cache, risk)
        self.broken: pb.LimitAction.ValueType = pb.LIMIT_ACTION_UNSPECIFIED
        """What a broken limit does at present; UNSPECIFIED while none is."""
        self.why = ""

    # -- asked by the gate

    def reduces(self, order: Order) -> bool:
        """Whether an order, with those at work beside it, only makes its strategy's position
        smaller.
        """
        if order.is_reduce_only:
            return True
        if order.is_quote_quantity:
            return False
        held = self._net(order.instrument_id, order.strategy_id)
        if held == 0 or (held > 0) == (order.side == OrderSide.BUY):
            return False
        beside = self._working(order, order.strategy_id)
        return bool(beside + order.leaves_qty.as_decimal() <= abs(held))

    def refusal(self, order: Order, *, reducing: bool) -> Refusal | None:
        """Return why a new order may not be sent."""
        if self.broken == pb.LIMIT_ACTION_HALTED:
            return Refusal("LIMIT_BROKEN", f"{self.why} Nothing is sent until the halt is reset.")
        if reducing:
            return None
        if self.broken:
            text = f"{self.why} Only orders that reduce are sent until the halt is reset."
            return Refusal("LIMIT_BROKEN", text)
        instrument = self._cache.instrument(order.instrument_id)
        if instrument is None:
            return None  # the engine has refused it by now
        quantity = self._base_quantity(order, instrument)
        if quantity is None:
            return _denied(f"no price of {order.instrument_id} is known to value it with")
        return (
            self._too_large(order, instrument, quantity)
            or self._too_far(order, quantity)
            or self._too_much(order, quantity)
        )

    def refusal_of_change(self, order: Order, command: Any) -> Refusal | None:
        """Return why an order may not be changed so; less of it is always taken."""
        if command.quantity is None or command.quantity <= order.quantity:
            return None
        if self.broken:
            return Refusal("LIMIT_BROKEN", f"{self.why} An order is not made larger.")
        instrument = self._cache.instrument(order.instrument_id)
        if instrument is None or order.is_reduce_only:
            return None
        more = command.quantity.as_decimal() - order.quantity.as_decimal()
        whole = command.quantity.as_decimal()
        return (
            self._too_large(order, instrument, whole, command.price)
            or self._too_far(order, whole - order.filled_qty.as_decimal())
            or self._too_much(order, more)
        )

    # -- single limits

    def _too_large(
        self, order: Order, instrument: Instrument, quantity: Decimal, price: Any = None
    ) -> Refusal | None:
        bound = _of(self._notional, order.instrument_id)
        if bound is None:
            return None
        at = Decimal(str(price)) if price is not None else price_for(self._cache, order)
        if at is None:
            return _denied(f"no price of {order.instrument_id} is known to value it with")
        notional = instrument.notional_value(
            instrument.make_qty(quantity), instrument.make_price(at), use_quote_for_inverse=True
        )
        if notional.as_decimal() <= bound:
            return None
        return _denied(f"its notional of {notional} is above max_notional_per_order, {bound}")

    def _too_far(self, order: Order, quantity: Decimal) -> Refusal | None:
        bound = _of(self._position, order.instrument_id)
        if bound is None:
            return None
        held = self._net(order.instrument_id)
        going = self._working(order) + quantity
        after = held + going if order.side == OrderSide.BUY else held - going
        if abs(after) <= bound or abs(after) <= abs(held):
            return None
        return _denied(
            f"it and the orders at work lead to a position of {after} {order.instrument_id}, "
            f"above max_position, {bound}"
        )

    def _too_much(self, order: Order, quantity: Decimal) -> Refusal | None:
        if self.exposure.bound is None:
            return None
        after = self.exposure.value(order, quantity)
        if after is None:
            return _denied(f"the exposure is not known: {self.exposure.lacks}")
        if after <= self.exposure.bound:
            return None
        text = f"it leads to a gross exposure of {after:.2f} {self.exposure.currency}"
        return _denied(f"{text}, above max_gross_exposure, {self.exposure.bound}")

    # -- what is there

    def _net(self, instrument_id: InstrumentId, strategy_id: Any = None) -> Decimal:
        positions = self._cache.positions_open(instrument_id=instrument_id, strategy_id=strategy_id)
        return sum((p.signed_decimal_qty() for p in positions), Decimal(0))

    def _working(self, order: Order, strategy_id: Any = None) -> Decimal:
        """Return the quantity of other orders of its side, at venues or on their way there."""
        fits = {"instrument_id": order.instrument_id, "side": order.side}
        found = (
            *self._cache.orders_open(strategy_id=strategy_id, **fits),
            *self._cache.orders_inflight(strategy_id=strategy_id, **fits),
        )
        others = {o.client_order_id: o for o in found if not o.is_reduce_only}
        others.pop(order.client_order_id, None)
        return sum((o.leaves_qty.as_decimal() for o in others.values()), Decimal(0))

    def _base_quantity(self, order: Order, instrument: Instrument) -> Decimal | None:
        if not order.is_quote_quantity or instrument.is_inverse:
            return Decimal(order.leaves_qty.as_decimal())
        price = price_for(self._cache, order)
        return order.leaves_qty.as_decimal() / price if price else None


def _bounds(texts: Mapping[str, str]) -> dict[str, Decimal]:
    return {key: Decimal(text) for key, text in texts.items()}


def _of(bounds: Mapping[str, Decimal], instrument_id: InstrumentId) -> Decimal | None:
    return bounds.get(str(instrument_id), bounds.get(EVERY_OTHER))


def _denied(text: str) -> Refusal:
    return Refusal("ORDER_DENIED", f"The order is above a limit of the trader: {text}.")
