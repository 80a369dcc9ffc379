"""The trader's own limits on single orders: notional, position and exposure that they lead to.

Nautilus' RiskEngine looks at notionals of cash accounts alone, and knows no position or exposure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from nautilus_trader.model.enums import ContingencyType, OrderSide
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId, PositionId
from nautilus_trader.model.instruments import CurrencyPair, Instrument
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
        self.lax: set[str] = set()
        """Venues that drop the instruction to reduce only."""
        self.real: set[str] = set()
        """Venues that are no sandbox."""
        self.hedged: set[str] = set()
        """Venues where positions are held side by side."""
        self._passed: dict[ClientOrderId, None] = {}

    # -- asked by the gate

    def reduces(
        self, order: Order, beside: Sequence[Order] = (), position_id: PositionId | None = None
    ) -> bool:
        """Whether an order, with those at work and ``beside`` it, only makes a position smaller.

        That is its strategy's; where positions are held side by side, the one that it names.
        """
        if order.is_reduce_only and not self._is_dropped(order):
            return True  # the venue sees to it
        if order.is_quote_quantity:
            return False
        held = self._held(order, position_id, hedged=str(order.instrument_id.venue) in self.hedged)
        if held == 0 or (held > 0) == (order.side == OrderSide.BUY):
            return False
        going = self._working(order, beside, order.strategy_id, every=True)
        return bool(going + order.leaves_qty.as_decimal() <= abs(held))

    def let_go(self, orders: Iterable[Order]) -> None:
        """Count orders as at work from now on: an adapter tells of them later."""
        self._passed.update((order.client_order_id, None) for order in orders)

    @property
    def passed(self) -> list[Order]:
        """Orders that the gate has let go and of which no event has come yet."""
        found = [(key, self._cache.order(key)) for key in self._passed]
        kept = {key: o for key, o in found if o is not None and o.is_active_local}
        self._passed = dict.fromkeys(kept)
        return list(kept.values())

    def refusal(
        self, order: Order, *, reducing: bool, beside: Sequence[Order] = ()
    ) -> Refusal | None:
        """Return why a new order may not be sent; ``beside`` are those that go with it."""
        if self.broken == pb.LIMIT_ACTION_HALTED:
            return Refusal("LIMIT_BROKEN", f"{self.why} Nothing is sent until the halt is reset.")
        if reducing:
            return None
        if order.is_reduce_only and not _parents(order, beside):
            # Only venues that drop the instruction come here.
            return _denied("it is reduce-only, and there is no position that it only reduces")
        if self.broken:
            text = f"{self.why} Only orders that reduce are sent until the halt is reset."
            return Refusal("LIMIT_BROKEN", text)
        return self._above(order, _Change(order.leaves_qty.as_decimal()), beside)

    def refusal_of_change(self, order: Order, command: Any) -> Refusal | None:
        """Return why an order may not be changed so: another price makes it another order."""
        moved = command.price is not None or command.trigger_price is not None
        grows = command.quantity is not None and command.quantity > order.quantity
        if not moved and not grows:
            return None  # less of it is always taken
        kept = order.is_reduce_only and not self._is_dropped(order)
        if self.broken and not (self.broken == pb.LIMIT_ACTION_REDUCING and kept):
            return Refusal("LIMIT_BROKEN", f"{self.why} Orders are made smaller or cancelled only.")
        if kept:
            return None
        whole = (command.quantity if grows else order.quantity).as_decimal()
        left = whole - order.filled_qty.as_decimal()
        own = order.price if order.has_price else None
        prices = (command.price if command.price is not None else own, command.trigger_price)
        price = max((each for each in prices if each is not None), default=None)
        more = whole - order.quantity.as_decimal()
        return self._above(order, _Change(left, whole, more, price), ())

    def _above(self, order: Order, change: "_Change", beside: Sequence[Order]) -> Refusal | None:
        instrument = self._cache.instrument(order.instrument_id)
        if instrument is None:
            return None  # the engine has refused it by now
        price = Decimal(str(change.price)) if change.price is not None else None
        price = price or price_for(self._cache, order)
        bounded = _of(self._notional, order.instrument_id) is not None
        if price is None and (order.is_quote_quantity or bounded):
            return _denied(f"no price of {order.instrument_id} is known to value it with")
        if order.is_quote_quantity and not instrument.is_inverse and price:
            change = change.divided(price)
        return (
            self._too_large(order, instrument, change.whole or change.left, price)
            or self._too_far(order, change.left, beside)
            or self._too_much(order, change.left if change.more is None else change.more, beside)
        )

    # -- single limits

    def _too_large(
        self, order: Order, instrument: Instrument, quantity: Decimal, price: Decimal | None
    ) -> Refusal | None:
        bound = _of(self._notional, order.instrument_id)
        if bound is None or price is None:
            return None
        notional = instrument.notional_value(
            instrument.make_qty(quantity), instrument.make_price(price), use_quote_for_inverse=True
        )
        if notional.as_decimal() <= bound:
            return None
        return _denied(f"its notional of {notional} is above max_notional_per_order, {bound}")

    def _too_far(self, order: Order, quantity: Decimal, beside: Sequence[Order]) -> Refusal | None:
        bound = _of(self._position, order.instrument_id)
        if bound is None:
            return None
        held = self._net(order.instrument_id) + _signed(_parents(order, beside))
        going = self._working(order, beside) + quantity
        after = held + going if order.side == OrderSide.BUY else held - going
        if abs(after) <= bound or abs(after) <= abs(held):
            return None
        return _denied(
            f"it and the orders at work lead to a position of {after} {order.instrument_id}, "
            f"above max_position, {bound}"
        )

    def _too_much(self, order: Order, quantity: Decimal, beside: Sequence[Order]) -> Refusal | None:
        if self.exposure.bound is None or quantity <= 0:
            return None
        parents = _parents(order, beside)
        near = {o.client_order_id: o for o in (*self.passed, *beside)}.values()
        going = [(each, each.leaves_qty.as_decimal()) for each in _rivals(order, [*near])]
        after = self.exposure.value([*going, (order, quantity)], parents)
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

    def _is_dropped(self, order: Order) -> bool:
        """Whether the venue drops an order's instruction to reduce only, as spot markets do."""
        venue = str(order.instrument_id.venue)
        pair = isinstance(self._cache.instrument(order.instrument_id), CurrencyPair)
        return venue in self.lax or (venue in self.real and pair)

    def _held(self, order: Order, position_id: PositionId | None, *, hedged: bool) -> Decimal:
        if not hedged:
            return self._net(order.instrument_id, order.strategy_id)
        position = self._cache.position(position_id) if position_id is not None else None
        return Decimal(0) if position is None else position.signed_decimal_qty()

    def _working(
        self,
        order: Order,
        beside: Sequence[Order] = (),
        strategy_id: Any = None,
        *,
        every: bool = False,
    ) -> Decimal:
        """Return the quantity of other orders of its side: at venues, on their way, or beside.

        ``every``: those too that only reduce; otherwise they take nothing anywhere.
        """
        fits = {"instrument_id": order.instrument_id, "side": order.side}
        near = (*_rivals(order, self.passed), *_rivals(order, beside))
        found = (
            *self._cache.orders_open(strategy_id=strategy_id, **fits),
            *self._cache.orders_inflight(strategy_id=strategy_id, **fits),
            *(o for o in near if _same_side(order, o) and strategy_id in (None, o.strategy_id)),
        )
        tied = _tied(order)
        others = {
            o.client_order_id: o
            for o in found
            if (every or not o.is_reduce_only) and o.client_order_id not in tied
        }
        others.pop(order.client_order_id, None)
        return sum((o.leaves_qty.as_decimal() for o in others.values()), Decimal(0))


@dataclass(frozen=True)
class _Change:
    """What an order or a modification comes to: what is left to fill, all of it, what is added."""

    left: Decimal
    whole: Decimal | None = None
    more: Decimal | None = None
    price: Any = None

    def divided(self, price: Decimal) -> "_Change":
        """Return it in the base currency, where it was in the quote currency."""
        over = [None if value is None else value / price for value in (self.whole, self.more)]
        return _Change(self.left / price, over[0], over[1], self.price)


def _same_side(order: Order, other: Order) -> bool:
    return bool(order.instrument_id == other.instrument_id and order.side == other.side)


def _parents(order: Order, beside: Sequence[Order]) -> list[Order]:
    """Return the orders beside it that have filled before it goes to work."""
    return [each for each in beside if each.client_order_id == order.parent_order_id]


def _rivals(order: Order, beside: Sequence[Order]) -> list[Order]:
    """Return the orders beside it that may fill as well: not its parent, nor one that ends it."""
    tied = {*_tied(order), order.parent_order_id, order.client_order_id}
    return [each for each in beside if each.client_order_id not in tied]


def _tied(order: Order) -> set[ClientOrderId]:
    """Return the orders that end when it fills, as it does when one of them does."""
    ends = (ContingencyType.OCO, ContingencyType.OUO)
    return set(order.linked_order_ids or ()) if order.contingency_type in ends else set()


def _signed(orders: Sequence[Order]) -> Decimal:
    sides = {OrderSide.BUY: 1, OrderSide.SELL: -1}
    return sum((sides[o.side] * o.leaves_qty.as_decimal() for o in orders), Decimal(0))


def _bounds(texts: Mapping[str, str]) -> dict[str, Decimal]:
    return {key: Decimal(text) for key, text in texts.items()}


def _of(bounds: Mapping[str, Decimal], instrument_id: InstrumentId) -> Decimal | None:
    return bounds.get(str(instrument_id), bounds.get(EVERY_OTHER))


def _denied(text: str) -> Refusal:
    return Refusal("ORDER_DENIED", f"The order is above a limit of the trader: {text}.")
