"""Accounts of the simulated Binance: keys, balances, positions and orders."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from simulators.binance.matching import BUY, ZERO, Fill, Order, takes
from simulators.binance.rest import Refused
from simulators.binance.symbols import FUTURES, SPOT

if TYPE_CHECKING:
    from simulators.binance.scene import Scene

KEY, SECRET = "key-of-the-simulator", "secret-of-the-simulator"
MAKER, TAKER = Decimal("0.0002"), Decimal("0.0004")


@dataclass
class Position:
    """What an account holds of a future."""

    amount: Decimal = ZERO
    entry: Decimal = ZERO

    def take(self, signed: Decimal, price: Decimal) -> Decimal:
        """Take a fill and return what it realises."""
        held, after = self.amount, self.amount + signed
        if held == 0 or (held > 0) == (signed > 0):
            self.entry = (abs(held) * self.entry + abs(signed) * price) / abs(after)
            self.amount = after
            return ZERO
        closed = min(abs(held), abs(signed))
        realized = closed * (price - self.entry) * (1 if held > 0 else -1)
        if after != 0 and (after > 0) != (held > 0):
            self.entry = price
        self.amount = after
        return realized


@dataclass
class Account:
    """One account of a market, with one API key.

    ``received`` lists what came in by signed calls: what it was, and the client order id.
    """

    market: str
    balances: dict[str, Decimal] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    received: list[tuple[str, str]] = field(default_factory=list)
    next_id: int = 1_000

    def number(self) -> int:
        """Give a new id, of an order or trade."""
        self.next_id += 1
        return self.next_id

    def find(self, symbol: str, order_id: str | None, client_id: str | None) -> Order:
        """Give the newest order of an id."""
        for order in reversed(self.orders.values()):
            if order.symbol != symbol:
                continue
            if str(order.id) == order_id or (order_id is None and order.client_id == client_id):
                return order
        raise Refused(-2013, "Order does not exist.")

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Give the open orders."""
        return [o for o in self.orders.values() if o.open and symbol in (None, o.symbol)]


type Tell = Callable[[Account, Order, str, Fill | None], None]
"""Tells the owner of an order: the account, the order, the execution type, the fill."""


class Accounts:
    """The venue's accounts, one a market; ``tell`` is told of every change of an order."""

    def __init__(self, venue: "Scene", tell: Tell) -> None:
        self._venue = venue
        self._tell = tell
        self.of = {
            SPOT: Account(SPOT, {"USDT": Decimal(1_000_000), "BTC": Decimal(10)}),
            FUTURES: Account(FUTURES, {"USDT": Decimal(1_000_000)}),
        }

    # -- orders

    def submit(self, market: str, order: Order) -> Order:
        """Take an order; it matches at once as far as it can."""
        account = self.of[market]
        if any(o.client_id == order.client_id for o in account.open_orders()):
            text = "Duplicate order sent." if market == SPOT else "ClientOrderId is duplicated."
            raise Refused(-2010 if market == SPOT else -4116, text)
        taken = takes(order, self._market(market, order.symbol))
        self._check(account, order, bool(taken))
        account.orders[order.id] = order
        self._say(account, order, "NEW")
        for price, qty in taken:
            self._fill(account, order, price, qty, maker=False)
        if order.open and (order.type == "MARKET" or order.tif in ("IOC", "FOK")):
            self.end(account, order, "EXPIRED")
        return order

    def _check(self, account: Account, order: Order, crosses: bool) -> None:
        post_only = order.tif == "GTX" or order.type == "LIMIT_MAKER"
        if post_only and crosses:
            if account.market == SPOT:
                raise Refused(-2010, "Order would immediately match and take.")
            raise Refused(-5022, "Due to the order could not be executed as maker, the Post Only"
                          " order will be rejected.")  # fmt: skip
        if order.reduce_only:
            held = account.positions.get(order.symbol, Position()).amount
            if held == 0 or (held > 0) == (order.side == BUY):
                raise Refused(-2022, "ReduceOnly Order is rejected.")
            order.qty = min(order.qty, abs(held))
        price = order.price or self._near(account.market, order)
        if account.market == FUTURES:
            if order.qty * price / 20 > account.balances["USDT"]:
                raise Refused(-2019, "Margin is insufficient.")
            return
        base, quote = self._assets(account.market, order.symbol)
        asset, need = (quote, order.qty * price) if order.side == BUY else (base, order.qty)
        if need > self.free(account, asset):
            raise Refused(-2010, "Account has insufficient balance for requested action.")

    def amend(self, account: Account, order: Order, qty: Decimal, price: Decimal) -> Order:
        """Change an open order."""
        if not order.open:
            raise Refused(-2013, "Order does not exist.")
        order.qty, order.price = qty, price
        self._say(account, order, "AMENDMENT")
        self.match(account.market, order.symbol)
        return order

    def end(self, account: Account, order: Order, status: str) -> Order:
        """End an order: CANCELED or EXPIRED."""
        if not order.open:
            raise Refused(-2011, "Unknown order sent.")
        order.status = status
        self._say(account, order, status)
        return order

    # -- the market moves

    def match(self, market: str, symbol: str) -> None:
        """Fill what rests at a symbol and the book has come to, and end what is past its time."""
        account, now = self.of[market], self._venue.clock.now()
        for order in account.open_orders(symbol):
            if order.good_till and order.good_till <= now:
                self.end(account, order, "EXPIRED")
                continue
            for _, qty in takes(order, self._market(market, symbol)):
                self._fill(account, order, order.price, qty, maker=True)

    def _fill(
        self, account: Account, order: Order, price: Decimal, qty: Decimal, maker: bool
    ) -> None:
        now = self._venue.clock.now()
        fill = Fill(account.number(), price, qty, maker, now)
        fill.commission = qty * price * (MAKER if maker else TAKER)
        base, quote = self._assets(account.market, order.symbol)
        signed = qty if order.side == BUY else -qty
        change = -fill.commission
        if account.market == FUTURES:
            held = account.positions.setdefault(order.symbol, Position())
            fill.realized = held.take(signed, price)
            change += fill.realized
        else:
            account.balances[base] = account.balances.get(base, ZERO) + signed
            change -= signed * price
        account.balances[quote] = account.balances.get(quote, ZERO) + change
        order.fills.append(fill)
        order.status = "FILLED" if order.leaves == 0 else "PARTIALLY_FILLED"
        self._say(account, order, "TRADE", fill)

    def _say(self, account: Account, order: Order, what: str, fill: Fill | None = None) -> None:
        order.update_ms = self._venue.clock.now()
        self._tell(account, order, what, fill)

    # -- what is there

    def free(self, account: Account, asset: str) -> Decimal:
        """Give what is not locked by orders."""
        return account.balances.get(asset, ZERO) - self.locked(account, asset)

    def locked(self, account: Account, asset: str) -> Decimal:
        """Give what orders lock of an asset, on spot."""
        total = ZERO
        for order in account.open_orders() if account.market == SPOT else ():
            base, quote = self._assets(account.market, order.symbol)
            if order.side == BUY and asset == quote:
                total += order.leaves * order.price
            elif order.side != BUY and asset == base:
                total += order.leaves
        return total

    def _assets(self, market: str, symbol: str) -> tuple[str, str]:
        listed = self._venue.listed(market)[symbol]
        return listed.base, listed.quote

    def _near(self, market: str, order: Order) -> Decimal:
        made = self._market(market, order.symbol)
        ticks = made.book.ask if order.side == BUY else made.book.bid
        return Decimal(made.symbol.price(ticks))

    def _market(self, market: str, symbol: str) -> Any:
        made = self._venue.market(market, symbol)
        if made is None:
            raise Refused(-1121, "Invalid symbol.")
        return made


def check_signature(query: str, key: str | None) -> None:
    """Refuse a signed call whose key or signature is wrong, as both markets do."""
    if key != KEY:
        raise Refused(-2015, "Invalid API-key, IP, or permissions for action.", 401)
    signed, mark, signature = query.rpartition("&signature=")
    made = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()
    if not mark or signature != made:
        raise Refused(-1022, "Signature for this request is not valid.")
