"""What happens on a simulated market: quotes, trades, a book, and candles of the trades."""

import random
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

MINUTE_MS = 60_000


@dataclass(frozen=True)
class Quote:
    """The best prices and what stands there, at a time in Unix milliseconds."""

    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal
    ts: int


@dataclass(frozen=True)
class Trade:
    """One trade; ``buy`` says that the buyer took."""

    number: int
    price: Decimal
    size: Decimal
    buy: bool
    ts: int


@dataclass(frozen=True)
class Candle:
    """The trades of one interval; ``start`` in Unix milliseconds, ``cost`` is price × size."""

    start: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)

    def with_trade(self, trade: Trade) -> "Candle":
        """Give the candle after one more trade."""
        return Candle(
            self.start,
            self.open,
            max(self.high, trade.price),
            min(self.low, trade.price),
            trade.price,
            self.volume + trade.size,
            self.cost + trade.price * trade.size,
        )


def candles(trades: Iterable[Trade], width: int) -> Iterator[Candle]:
    """Fold trades into candles of ``width`` milliseconds; an interval without trades is flat."""
    current: Candle | None = None
    for trade in trades:
        start = trade.ts - trade.ts % width
        while current is not None and current.start < start:
            yield current
            close = current.close
            current = Candle(current.start + width, close, close, close, close)
        if current is None or not current.volume:  # the first trade opens a candle
            current = Candle(start, trade.price, trade.price, trade.price, trade.price)
        current = current.with_trade(trade)
    if current is not None:
        yield current


@dataclass
class Market:
    """One instrument's past, present and book; levels are price → size."""

    symbol: str
    tick: Decimal
    lot: Decimal
    price: Decimal
    trades: list[Trade] = field(default_factory=list)
    bids: dict[Decimal, Decimal] = field(default_factory=dict)
    asks: dict[Decimal, Decimal] = field(default_factory=dict)
    change: int = 1

    def fill(self, minutes: int, per_minute: int, seed: int = 7) -> None:
        """Invent a past that ends now and a book, the same for the same seed."""
        draw = random.Random(seed)
        now = int(time.time() * 1000)
        start = now - now % MINUTE_MS - minutes * MINUTE_MS
        for index in range(minutes * per_minute):
            self.walk(draw, start + index * MINUTE_MS // per_minute)
        for level in range(1, 21):
            self.bids[self.price - level * self.tick] = self.lot * draw.randint(1, 90)
            self.asks[self.price + level * self.tick] = self.lot * draw.randint(1, 90)

    def walk(self, draw: random.Random, ts: int) -> Trade:
        """Move the price by at most two ticks and trade there."""
        self.price += self.tick * draw.randint(-2, 2)
        size = self.lot * draw.randint(1, 50)
        return self.trade(self.price, size, draw.random() < 0.5, ts)

    def trade(self, price: Decimal, size: Decimal, buy: bool, ts: int) -> Trade:
        """Add a trade to the past; time never goes back in a market."""
        ts = max(ts, self.trades[-1].ts if self.trades else 0)
        trade = Trade(len(self.trades) + 1, price, size, buy, ts)
        self.trades.append(trade)
        self.price = price
        return trade

    def quote(self, draw: random.Random, ts: int) -> Quote:
        """Invent a quote about the last price."""
        sizes = [self.lot * draw.randint(1, 90) for _ in range(2)]
        return Quote(self.price - self.tick, self.price + self.tick, sizes[0], sizes[1], ts)

    def latest(self, width: int) -> list[Candle]:
        """Give the newest candles of a width in milliseconds: the open one is last."""
        first = len(self.trades) - 1
        for _ in range(2):  # back to where the open candle starts, and the last before it
            start = self.trades[first].ts - self.trades[first].ts % width
            first = max(bisect_left(self.trades, start, key=lambda trade: trade.ts) - 1, 0)
        return list(candles(self.trades[first:], width))[1 if first else 0 :]

    def between(self, start: int, end: int) -> list[Trade]:
        """Give the trades of a range of Unix milliseconds, both ends included."""
        return [trade for trade in self.trades if start <= trade.ts <= end]
