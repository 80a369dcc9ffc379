"""The trades of one symbol, single and aggregated, found by id and by time."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade; ``maker`` says that the buyer was the maker; ``ms`` is Unix milliseconds."""

    id: int
    ticks: int
    lots: int
    maker: bool
    ms: int


@dataclass(frozen=True, slots=True)
class AggTrade:
    """The trades ``first`` to ``last`` of one taker's order at one price."""

    id: int
    ticks: int
    lots: int
    first: int
    last: int
    maker: bool
    ms: int


class Trades:
    """All trades since the invented past began, in the order of their ids and times."""

    def __init__(self) -> None:
        self.all: list[Trade] = []
        self.aggregated: list[AggTrade] = []
        self._times: list[int] = []
        self._agg_times: list[int] = []

    def take(self, ticks: int, fills: Sequence[int], maker: bool, ms: int) -> AggTrade:
        """Add one taker's order that fills at one price; ``fills`` are lots."""
        if ticks <= 0 or not fills or min(fills) <= 0:
            raise ValueError("a trade needs a price and quantities above 0")
        ms = max(ms, self._times[-1]) if self._times else ms
        first = len(self.all) + 1
        for lots in fills:
            self.all.append(Trade(len(self.all) + 1, ticks, lots, maker, ms))
            self._times.append(ms)
        last = len(self.all)
        number = len(self.aggregated) + 1
        aggregate = AggTrade(number, ticks, sum(fills), first, last, maker, ms)
        self.aggregated.append(aggregate)
        self._agg_times.append(ms)
        return aggregate

    def between(self, start: int, end: int) -> list[Trade]:
        """Give the trades of a range of Unix milliseconds, both ends included."""
        return self.all[bisect_left(self._times, start) : bisect_right(self._times, end)]

    def aggregated_between(self, start: int, end: int) -> list[AggTrade]:
        """Give the aggregated trades of a range of Unix milliseconds, both ends included."""
        low, high = bisect_left(self._agg_times, start), bisect_right(self._agg_times, end)
        return self.aggregated[low:high]

    def before(self, ms: int) -> Trade | None:
        """Give the last trade before a time in Unix milliseconds."""
        index = bisect_left(self._times, ms)
        return self.all[index - 1] if index else None
