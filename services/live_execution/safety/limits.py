"""Limits across the traders of a project: what they count, and which are broken. Pure.

Positions are valued at the last price that any trader of the project told of the instrument, and
turned into the currency of a limit by the price of a currency pair. Where one is missing there is
a gap, and the figure is unknown; nothing is guessed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from mesh.common.v1.enums_pb2 import ACCOUNT_TYPE_CASH
from mesh.common.v1.types_pb2 import Money
from mesh.execution.v1.events_pb2 import AccountState, Position
from mesh.execution.v1.safety_service_pb2 import LimitGap, ProjectLimits
from mesh.execution.v1.trader_pb2 import TraderSpec
from mesh.marketdata.v1.instrument_pb2 import (
    INSTRUMENT_TYPE_CURRENCY_PAIR,
)
from services.live_execution.marking import Price, currency_of, notional, price_of, unrealized

EXPOSURE, LOSS, POSITION = "max_gross_exposure", "max_daily_loss", "max_position"
ZERO = Decimal(0)


@dataclass(frozen=True)
class Book:
    """What the traders of a project hold, by trader id where it is theirs."""

    specs: Mapping[str, TraderSpec] = field(default_factory=dict)
    positions: Sequence[tuple[str, Position]] = ()
    """Open ones."""
    accounts: Sequence[tuple[str, AccountState]] = ()
    prices: Mapping[str, Price] = field(default_factory=dict)
    """The newest of each instrument."""


@dataclass(frozen=True)
class Broken:
    """A limit that is broken."""

    limit: str
    bound: str
    value: str


@dataclass(frozen=True)
class Figures:
    """What the limits count now; None for what has a gap, or is not limited."""

    exposure: Decimal | None
    values: Mapping[str, Decimal] | None
    """Value of each account, in the currency of the loss limit."""
    positions: Mapping[str, Decimal]
    """Net quantities by instrument."""
    gaps: tuple[LimitGap, ...]


def count(limits: ProjectLimits, book: Book) -> Figures:
    """Return what the limits count."""
    gaps: list[LimitGap] = []
    exposure = values = None
    if limits.HasField("max_gross_exposure"):
        counting = _Counting(book, EXPOSURE, limits.max_gross_exposure.currency, gaps)
        exposure = counting.exposure()
    if limits.HasField("max_daily_loss"):
        counting = _Counting(book, LOSS, limits.max_daily_loss.currency, gaps)
        values = counting.values()
    return Figures(exposure, values, net(book.positions), tuple(gaps))


def net(positions: Iterable[tuple[str, Position]]) -> dict[str, Decimal]:
    """Return the net quantity of each instrument over all traders."""
    found: dict[str, Decimal] = {}
    for _, position in positions:
        signed = Decimal(position.signed_qty or 0)
        found[position.instrument_id] = found.get(position.instrument_id, ZERO) + signed
    return found


def broken(limits: ProjectLimits, figures: Figures, pnl: Decimal | None) -> list[Broken]:
    """Return the limits that are broken; ``pnl`` is that of the day."""
    found: list[Broken] = []
    if figures.exposure is not None:
        most = limits.max_gross_exposure
        if figures.exposure > Decimal(most.amount):
            found.append(Broken(EXPOSURE, _text(most), f"{figures.exposure:f} {most.currency}"))
    if pnl is not None:
        most = limits.max_daily_loss
        if -pnl > Decimal(most.amount):
            found.append(Broken(LOSS, _text(most), f"{-pnl:f} {most.currency}"))
    for instrument_id, signed in sorted(figures.positions.items()):
        bound = limits.max_position.get(instrument_id, limits.max_position.get("*", ""))
        if bound and abs(signed) > Decimal(bound):
            where = f"{POSITION}[{instrument_id}]"
            found.append(Broken(where, bound, f"{signed:f}"))
    return found


def faults(limits: ProjectLimits) -> Iterator[tuple[str, str]]:
    """Yield fields of limits that make no sense, and why."""
    for name, given in limits.ListFields():
        if isinstance(given, Money) and Decimal(given.amount) <= 0:
            yield f"{name.name}.amount", "must be above 0"
    for instrument_id, text in limits.max_position.items():
        if not _is_amount(text):
            yield f"{POSITION}[{instrument_id}]", "must be a decimal of 0 or more"


class _Counting:
    """Values of a book in one currency, for one limit."""

    def __init__(self, book: Book, limit: str, currency: str, gaps: list[LimitGap]) -> None:
        self._book = book
        self._limit = limit
        self._currency = currency
        self._gaps = gaps

    def exposure(self) -> Decimal | None:
        """Return the sum of the absolute values of all positions."""
        return _sum([self._exposure_of(*each) for each in self._book.positions])

    def values(self) -> dict[str, Decimal] | None:
        """Return what each account is worth.

        A margin account is worth its balances and what its positions would bring; in a cash account
        what was bought stands among the balances.
        """
        parts: dict[str, list[Decimal | None]] = {}
        margin: dict[tuple[str, str], str] = {}
        for trader_id, account in self._book.accounts:
            key = account_key(self._book.specs.get(trader_id), trader_id, account)
            if account.account_type != ACCOUNT_TYPE_CASH:
                margin[trader_id, account.account_id] = key
            if key not in parts:  # a real one that two traders share counts once
                own = [self._in_currency(b.total, b.currency, trader_id) for b in account.balances]
                parts[key] = own
        for trader_id, position in self._book.positions:
            if key := margin.get((trader_id, position.account_id), ""):
                parts[key].append(self._pnl_of(trader_id, position))
        found = {key: _sum(own) for key, own in parts.items()}
        values = {key: value for key, value in found.items() if value is not None}
        return values if len(values) == len(found) else None

    def _exposure_of(self, trader_id: str, position: Position) -> Decimal | None:
        price = self._price(trader_id, position)
        found = None if price is None else price_of(price.mark)
        if price is None or found is None:
            return None
        value = notional(price.definition, abs(Decimal(position.signed_qty or 0)), found)
        return self._in_currency(value, currency_of(price.definition), trader_id)

    def _pnl_of(self, trader_id: str, position: Position) -> Decimal | None:
        price = self._price(trader_id, position)
        value = None if price is None else unrealized(position, price)
        if price is None or value is None:
            return None
        return self._in_currency(value, currency_of(price.definition), trader_id)

    def _price(self, trader_id: str, position: Position) -> Price | None:
        name = position.instrument_id
        found = self._book.prices.get(name)
        if found is None or price_of(found.mark) is None:
            message = f"No trader has told a price of {name} yet; it comes with its market data."
            self._gap("PRICE_UNKNOWN", message, trader_id, instrument_id=name)
            return None
        return found

    def _in_currency(self, amount: str | Decimal, currency: str, trader_id: str) -> Decimal | None:
        value = Decimal(amount or 0)
        if not value or currency == self._currency:
            return value
        rate = self._rate(currency)
        if rate is None:
            message = (
                f"No price says what {currency} is worth in {self._currency}. Let a trader of the "
                "project watch such a pair, or set the limit in another currency."
            )
            self._gap("RATE_UNKNOWN", message, trader_id, currency=currency)
            return None
        return value * rate

    def _rate(self, currency: str) -> Decimal | None:
        for price in self._book.prices.values():
            pair = price.definition
            if pair.type != INSTRUMENT_TYPE_CURRENCY_PAIR or not (found := price_of(price.mark)):
                continue
            if (pair.base_currency, pair.quote_currency) == (currency, self._currency):
                return found
            if (pair.quote_currency, pair.base_currency) == (currency, self._currency):
                return 1 / found
        return None

    def _gap(self, reason: str, message: str, trader_id: str, **about: str) -> None:
        gap = LimitGap(
            limit=self._limit, reason=reason, message=message, trader_id=trader_id, **about
        )
        if gap not in self._gaps:
            self._gaps.append(gap)


def account_key(spec: TraderSpec | None, trader_id: str, account: AccountState) -> str:
    """Return what an account is the same by: a simulated one belongs to its trader, a real one to
    its credential.
    """
    for venue in spec.venues if spec else ():
        live = venue.live
        issuer = account.account_id.partition("-")[0]
        if venue.WhichOneof("account") == "live" and issuer in {venue.venue, live.adapter}:
            return f"{live.adapter}/{live.credential_id}/{account.account_id}"
    return f"{trader_id}/{account.account_id}"


def money(amount: Decimal | None, currency: str) -> Money | None:
    """Return a figure as a message, None where there is none."""
    if amount is None:
        return None
    return Money(amount=f"{round(amount, 8):f}", currency=currency)


def _sum(parts: Sequence[Decimal | None]) -> Decimal | None:
    known = [each for each in parts if each is not None]
    return sum(known, ZERO) if len(known) == len(parts) else None


def _text(money: Money) -> str:
    return f"{money.amount} {money.currency}"


def _is_amount(text: str) -> bool:
    return text.replace(".", "", 1).isascii() and text.replace(".", "", 1).isdigit()
