"""An order book that walks, and the accumulators that make its depth streams."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

Change = tuple[str, int, int]  # side "b" or "a", price in ticks, lots (0 removes)


class Book:
    """Both sides of one symbol: ticks → lots.

    ``update`` is the venue's update id: it grows by one with each changed level, so that the
    changes between two ids are known and a snapshot at an id is consistent with the diffs.
    """

    def __init__(self, start: int, levels: int, draw: random.Random) -> None:
        self._draw = draw
        self._levels = levels
        self.update = 1_000
        self.bids = {start - 1 - i: self._lots() for i in range(levels)}
        self.asks = {start + 1 + i: self._lots() for i in range(levels)}
        self.bid = start - 1
        self.ask = start + 1

    def _lots(self) -> int:
        return self._draw.randint(1, 9_999)

    def walk(self) -> list[Change]:
        """Change the top: mostly its quantities, every fourth time its prices by a tick."""
        turn = self._draw.random()
        if turn < 0.375:
            return self._apply([("b", self.bid, self._lots())])
        if turn < 0.75:
            return self._apply([("a", self.ask, self._lots())])
        return self._apply(self._up() if turn < 0.875 or self.bid <= self._levels else self._down())

    def _up(self) -> list[Change]:
        low, high = min(self.bids), max(self.asks)
        new = self.bid + 1
        return [("a", self.ask, 0), ("a", high + 1, self._lots()), ("b", low, 0),
                ("b", new, self._lots())]  # fmt: skip

    def _down(self) -> list[Change]:
        low, high = min(self.bids), max(self.asks)
        new = self.ask - 1
        return [("b", self.bid, 0), ("b", low - 1, self._lots()), ("a", high, 0),
                ("a", new, self._lots())]  # fmt: skip

    def put(self, bid: int, bid_lots: int, ask: int, ask_lots: int) -> list[Change]:
        """Make this the top; levels that would stand between or across it go."""
        if not 0 < bid < ask or bid_lots <= 0 or ask_lots <= 0:
            raise ValueError("a quote needs 0 < bid < ask and quantities above 0")
        gone: list[Change] = [("b", price, 0) for price in self.bids if price > bid]
        gone += [("a", price, 0) for price in self.asks if price < ask]
        return self._apply([*gone, ("b", bid, bid_lots), ("a", ask, ask_lots)])

    def _apply(self, changes: list[Change]) -> list[Change]:
        for side, price, lots in changes:
            levels = self.bids if side == "b" else self.asks
            if lots:
                levels[price] = lots
            else:
                levels.pop(price, None)
        self.update += len(changes)
        if len(changes) > 1:  # a single change is one of quantity
            self.bid, self.ask = max(self.bids), min(self.asks)
        return changes

    def top(self, limit: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Give the best ``limit`` levels of each side, best first."""
        bids = sorted(self.bids.items(), reverse=True)[:limit]
        return bids, sorted(self.asks.items())[:limit]


@dataclass
class Diff:
    """What one depth stream has yet to say: the last quantity of each level that changed.

    ``last`` is the update id said last; ids run without a hole from one event to the next, the
    first of an event being ``last`` + 1.
    """

    last: int
    until: int = 0
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)

    def add(self, changes: Iterable[Change], update: int) -> None:
        """Take changes that led the book to an update id."""
        for side, price, lots in changes:
            (self.bids if side == "b" else self.asks)[price] = lots
        self.until = update

    def take(self) -> "Diff | None":
        """Give what is to be said and forget it; None when nothing changed."""
        if not self.bids and not self.asks:
            return None
        said = Diff(self.last, self.until, self.bids, self.asks)
        self.last, self.bids, self.asks = self.until, {}, {}
        return said
