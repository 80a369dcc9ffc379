"""Orders of the simulated Binance and how they match: at the levels of the book, at once or later.

What an order takes is not taken out of the book: the market is the test's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from simulators.binance.market import Market

ZERO = Decimal(0)
BUY, SELL = "BUY", "SELL"
DONE = {"FILLED", "CANCELED", "EXPIRED", "REJECTED"}


@dataclass
class Fill:
    """One trade of an order."""

    id: int
    price: Decimal
    qty: Decimal
    maker: bool
    ms: int
    commission: Decimal = ZERO
    realized: Decimal = ZERO


@dataclass
class Order:
    """An order as the venue keeps it; prices and quantities as decimals, 0 where there is none."""

    id: int
    symbol: str
    client_id: str
    side: str
    type: str
    tif: str
    qty: Decimal
    price: Decimal
    ms: int
    reduce_only: bool = False
    good_till: int = 0
    status: str = "NEW"
    update_ms: int = 0
    fills: list[Fill] = field(default_factory=list)

    @property
    def executed(self) -> Decimal:
        """What was filled."""
        return sum((fill.qty for fill in self.fills), ZERO)

    @property
    def quote(self) -> Decimal:
        """What the fills are worth."""
        return sum((fill.qty * fill.price for fill in self.fills), ZERO)

    @property
    def leaves(self) -> Decimal:
        """What is still open."""
        return self.qty - self.executed

    @property
    def average(self) -> Decimal:
        """The average price of the fills."""
        return self.quote / self.executed if self.fills else ZERO

    @property
    def open(self) -> bool:
        """Whether it rests in the book."""
        return self.status not in DONE


def levels(market: Market, side: str) -> Iterator[tuple[Decimal, Decimal]]:
    """Give price and quantity of the levels that an order of a side takes, best first."""
    symbol, (bids, asks) = market.symbol, market.book.top(50)
    for ticks, lots in asks if side == BUY else bids:
        yield Decimal(symbol.price(ticks)), Decimal(symbol.size(lots))


def reaches(order: Order, price: Decimal) -> bool:
    """Whether an order takes a price."""
    if order.type == "MARKET":
        return True
    return price <= order.price if order.side == BUY else price >= order.price


def takes(order: Order, market: Market) -> list[tuple[Decimal, Decimal]]:
    """Give what an order takes from the book now: prices and quantities."""
    left, found = order.leaves, []
    for price, qty in levels(market, order.side):
        if left <= 0 or not reaches(order, price):
            break
        found.append((price, min(left, qty)))
        left -= found[-1][1]
    if order.tif == "FOK" and left > 0:
        return []
    return found
