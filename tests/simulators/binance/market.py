"""One symbol's market: its book, its trades with an invented past, and its mark price."""

import random

from simulators.binance.book import Book, Change
from simulators.binance.symbols import Symbol
from simulators.binance.trades import AggTrade, Trades

LEVELS = 100
PAST_EVERY_MS = 5_000
FUNDING_EVERY_MS = 8 * 3_600_000


class Market:
    """What happens at one symbol, drawn from a seed: the same calls give the same events.

    ``past`` is how many milliseconds of trades there are before ``now``, one each 5 s.
    """

    def __init__(self, symbol: Symbol, seed: int, now: int, past: int) -> None:
        self.symbol = symbol
        self._draw = random.Random(f"{seed}/{symbol.market}/{symbol.name}")
        self.trades = Trades()
        self._price = symbol.start
        for ms in range(now - past, now, PAST_EVERY_MS):
            self._price = max(LEVELS + 2, self._price + self._draw.randint(-2, 2))
            self.trades.take(self._price, self._fills(), self._draw.random() < 0.5, ms)
        self.book = Book(self._price, LEVELS, self._draw)
        self.funding_rate = 10_000  # in 1e-8, which is 0.01 %
        self._mark: tuple[str, str] | None = None

    def _fills(self) -> list[int]:
        lots = [self._draw.randint(1, 999)]
        return [*lots, self._draw.randint(1, 999)] if self._draw.random() < 0.1 else lots

    def walk(self) -> list[Change]:
        """Let the book change by itself; gives what changed."""
        return self.book.walk()

    def trade(self, ms: int) -> AggTrade:
        """Let somebody trade at the top of the book, whose quantity is left as it is."""
        maker = self._draw.random() < 0.5
        ticks = self.book.bid if maker else self.book.ask
        return self.trades.take(ticks, self._fills(), maker, ms)

    def set_mark(self, mark: str, index: str, funding_rate: str | None = None) -> None:
        """Fix the mark and index price and, when given, the funding rate; texts as sent."""
        self._mark = (mark, index)
        if funding_rate is not None:
            self.funding_rate = round(float(funding_rate) * 10**8)

    def mark(self) -> tuple[str, str]:
        """Give the mark and the index price: what was set, else the middle of the book."""
        if self._mark is not None:
            return self._mark
        symbol = self.symbol
        units = (self.book.bid + self.book.ask) * symbol.tick * 10 ** (8 - symbol.places) // 2
        whole, part = divmod(units, 10**8)
        index, below = divmod(units - units // 10_000, 10**8)
        return f"{whole}.{part:08d}", f"{index}.{below:08d}"


def next_funding(now: int) -> int:
    """Give the next funding time in Unix milliseconds: midnight, 8 and 16 o'clock UTC."""
    return now - now % FUNDING_EVERY_MS + FUNDING_EVERY_MS
