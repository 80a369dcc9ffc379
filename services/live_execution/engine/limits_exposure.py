"""Gross exposure: what positions are worth, and open orders that would make them larger."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from nautilus_trader.model.enums import OrderSide, PriceType
from nautilus_trader.model.identifiers import InstrumentId, StrategyId
from nautilus_trader.model.objects import Currency, Money
from nautilus_trader.model.orders import Order

from mesh.execution.v1 import trader_pb2 as pb
from services.live_execution.engine.marks import price_of

type Place = tuple[InstrumentId, StrategyId]


class Exposure:
    """The exposure of one trader in the limit's currency.

    ``bound`` is None without a limit; ``lacks`` says what was missing when a value was None.
    """

    def __init__(self, cache: Any, risk: pb.RiskLimits) -> None:
        self._cache = cache
        limited = risk.HasField("max_gross_exposure")
        money = risk.max_gross_exposure
        self.bound = Decimal(money.amount) if limited else None
        self.currency = Currency.from_str(money.currency) if limited else None
        self.lacks = ""

    def value(
        self, more: Sequence[tuple[Order, Decimal]] = (), filled: Sequence[Order] = ()
    ) -> Decimal | None:
        """Return what there is; None when it is not known.

        ``more`` are quantities of orders that are not at work yet, or are to be made larger;
        ``filled`` are orders that are taken as filled.
        """
        held = self._held()
        sides = {side: self._working(side) for side in (OrderSide.BUY, OrderSide.SELL)}
        for order in filled:
            place = (order.instrument_id, order.strategy_id)
            signed = order.leaves_qty.as_decimal() * (1 if order.side == OrderSide.BUY else -1)
            held[place] = held.get(place, Decimal(0)) + signed
        for order, quantity in more:
            if not order.is_reduce_only:
                side, place = sides[order.side], (order.instrument_id, order.strategy_id)
                side[place] = side.get(place, Decimal(0)) + quantity
        buys, sells = sides[OrderSide.BUY], sides[OrderSide.SELL]
        total = Decimal(0)
        for place in {*held, *buys, *sells}:
            net = held.get(place, Decimal(0))
            gross = _gross(net, buys.get(place, Decimal(0)), sells.get(place, Decimal(0)))
            worth = self._worth(place[0], gross) if gross else Decimal(0)
            if worth is None:
                return None
            total += worth
        return total

    def _held(self) -> dict[Place, Decimal]:
        found: dict[Place, Decimal] = {}
        for position in self._cache.positions_open():
            place = (position.instrument_id, position.strategy_id)
            found[place] = found.get(place, Decimal(0)) + position.signed_decimal_qty()
        return found

    def _working(self, side: OrderSide) -> dict[Place, Decimal]:
        found: dict[Place, Decimal] = {}
        orders = (*self._cache.orders_open(side=side), *self._cache.orders_inflight(side=side))
        for order in {o.client_order_id: o for o in orders}.values():
            if not order.is_reduce_only:
                place = (order.instrument_id, order.strategy_id)
                found[place] = found.get(place, Decimal(0)) + order.leaves_qty.as_decimal()
        return found

    def _worth(self, instrument_id: InstrumentId, quantity: Decimal) -> Decimal | None:
        instrument = self._cache.instrument(instrument_id)
        price = price_of(self._cache, instrument_id)
        if instrument is None or price is None:
            self.lacks = f"no price of {instrument_id}"
            return None
        money = instrument.notional_value(
            instrument.make_qty(quantity), instrument.make_price(price)
        )
        assert self.currency is not None
        found = converted(self._cache, instrument_id, money, self.currency)
        if found is None:
            self.lacks = f"no rate of {money.currency} to {self.currency}"
        return found


def _gross(net: Decimal, buys: Decimal, sells: Decimal) -> Decimal:
    """Return the quantity at risk: what is held, and what orders would add on either side."""
    longer = buys if net >= 0 else max(Decimal(0), buys - abs(net))
    shorter = sells if net <= 0 else max(Decimal(0), sells - net)
    return abs(net) + longer + shorter


def price_for(cache: Any, order: Order) -> Decimal | None:
    """Return the price that an order is valued with: its own, its trigger, or the market's."""
    for name in ("price", "trigger_price"):
        if getattr(order, f"has_{name}") and (own := getattr(order, name)) is not None:
            return Decimal(str(own))
    quote = cache.quote_tick(order.instrument_id)
    if quote is not None:
        near = quote.ask_price if order.side == OrderSide.BUY else quote.bid_price
        return Decimal(str(near))
    return price_of(cache, order.instrument_id)


def converted(
    cache: Any, instrument_id: InstrumentId, money: Money, currency: Currency
) -> Decimal | None:
    """Return an amount in another currency, by the prices of the venue; None without a rate."""
    if money.currency == currency:
        return Decimal(money.as_decimal())
    try:
        rate = cache.get_xrate(instrument_id.venue, money.currency, currency, PriceType.MID)
    except ValueError:  # no pair leads there
        return None
    return money.as_decimal() * Decimal(str(rate)) if rate else None
