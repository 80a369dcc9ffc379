"""What instruments and positions are worth at the last known prices. Pure; exact decimals."""

from decimal import Decimal
from typing import NamedTuple

from mesh.common.v1.types_pb2 import Money
from mesh.execution.v1.events_pb2 import Mark, Position
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition

ZERO = Decimal(0)


class Price(NamedTuple):
    """The last price that a trader told of an instrument, and what the instrument is."""

    mark: Mark
    definition: InstrumentDefinition


def price_of(mark: Mark, signed: Decimal = ZERO) -> Decimal | None:
    """Return the price at which a quantity of this sign would be closed: the bid for a long one,
    the ask for a short one, the middle for none; the last trade's where there is no quote.
    """
    sides = mark.bid if signed > 0 else mark.ask if signed < 0 else ""
    if sides:
        return Decimal(sides)
    if mark.bid and mark.ask:
        return (Decimal(mark.bid) + Decimal(mark.ask)) / 2
    found = mark.last or mark.bid or mark.ask
    return Decimal(found) if found else None


def notional(definition: InstrumentDefinition, quantity: Decimal, price: Decimal) -> Decimal:
    """Return the value of a quantity at a price, in ``currency_of`` the instrument."""
    size = quantity * Decimal(definition.multiplier or 1)
    if definition.is_inverse:
        return size / price if price else ZERO
    return size * price


def currency_of(definition: InstrumentDefinition) -> str:
    """Return the currency of an instrument's notional value."""
    if definition.is_inverse:
        return definition.base_currency or definition.settlement_currency
    return definition.quote_currency or definition.settlement_currency


def unrealized(position: Position, price: Price) -> Decimal | None:
    """Return the unrealised profit and loss of an open position, None when no price is known.

    As ``nautilus_trader.model.Position.unrealized_pnl``: the difference to the average open price,
    and of an inverse instrument the difference of the reciprocals.
    """
    signed = Decimal(position.signed_qty or 0)
    now = price_of(price.mark, signed)
    opened = Decimal(repr(position.avg_px_open))
    if now is None or not now or not opened:
        return None
    size = signed * Decimal(price.definition.multiplier or 1)
    if price.definition.is_inverse:
        return size * (1 / opened - 1 / now)
    return size * (now - opened)


def marked(position: Position, price: Price | None) -> Position:
    """Return a position with its unrealised profit and loss at a price that is known."""
    if price is None or not Decimal(position.signed_qty or 0):
        return position
    if (value := unrealized(position, price)) is None:
        return position
    made = Position()
    made.CopyFrom(position)
    amount = value.quantize(_step(position))
    currency = position.realized_pnl.currency or currency_of(price.definition)
    made.unrealized_pnl.CopyFrom(Money(amount=f"{amount:f}", currency=currency))
    return made


def _step(position: Position) -> Decimal:
    """Return the precision of the currency, as the realised one has it."""
    known = position.realized_pnl.amount or position.unrealized_pnl.amount
    return Decimal(1).scaleb(Decimal(known).as_tuple().exponent) if known else Decimal("1E-8")  # type: ignore[arg-type]  # a number's exponent is an integer
