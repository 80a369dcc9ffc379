"""What a reader was told of each channel, in its order, and whether that is as promised.

Every tick has a number, one more than the tick before it. A LOSSLESS reader must see each number
once and in order, or a gap and a snapshot where numbers are missing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass
class Rows:
    """Ticks ``first`` to ``last``, without a hole."""

    first: int
    last: int


@dataclass(frozen=True)
class Snapshot:
    """The newest tick at that time; None before the first."""

    number: int | None


@dataclass(frozen=True)
class Gap:
    """Data may be missing here."""

    cause: str


@dataclass
class Told:
    """One channel."""

    told: list[Rows | Snapshot | Gap] = field(default_factory=list)
    newest: int = 0
    """Number of what came last, as a tick or in a snapshot."""

    def rows(self, numbers: Sequence[int]) -> None:
        """Take ticks."""
        for number in numbers:
            end = self.told[-1] if self.told else None
            if isinstance(end, Rows) and number == end.last + 1:
                end.last = number
            else:
                self.told.append(Rows(number, number))
        self.newest = numbers[-1]

    def snapshot(self, number: int | None) -> None:
        """Take a snapshot."""
        self.told.append(Snapshot(number))
        self.newest = number or self.newest

    def gap(self, cause: str) -> None:
        """Take a gap."""
        self.told.append(Gap(cause))

    @property
    def causes(self) -> list[str]:
        """Causes of the gaps, in order."""
        return [each.cause for each in self.told if isinstance(each, Gap)]

    @property
    def received(self) -> int:
        """Ticks that came as such."""
        return sum(r.last - r.first + 1 for r in self.told if isinstance(r, Rows))


def missing(told: Told) -> int:
    """Return how many ticks lie in gaps."""
    rows = [each for each in told.told if isinstance(each, Rows)]
    return sum(after.first - before.last - 1 for before, after in pairwise(rows))


def lossless_faults(told: Told, last: int) -> Iterator[str]:
    """Yield what is not as promised to a LOSSLESS reader; ``last`` is what the venue sent last."""
    have: int | None = None
    shown: int | None = None
    open_gap, fresh = True, False  # before the first snapshot anything may be missing
    for each in told.told:
        match each:
            case Gap():
                open_gap, fresh, shown = True, False, None
            case Snapshot(number):
                if not open_gap:
                    yield f"a snapshot of {number} after {have}, without a gap"
                if fresh:
                    yield f"a second snapshot after one gap, of {number}"
                fresh, shown = True, number
            case Rows(first, until):
                if have is not None and first <= have:
                    yield f"{first} after {have}: repeated or out of order"
                elif not open_gap and have is not None and first != have + 1:
                    yield f"{have + 1} to {first - 1} lost without a gap"
                if open_gap and not fresh:
                    yield f"no snapshot before {first}"
                if shown is not None and shown > (have or 0) and first != shown + 1:
                    yield f"{first} after a snapshot of {shown}"
                have, open_gap, fresh, shown = until, False, False, None
    if max(have or 0, shown or 0) != last:
        yield f"ends with {have} (snapshot: {shown}), and not with {last}"


def conflated_faults(told: Told, last: int) -> Iterator[str]:
    """Yield what is not as promised to a CONFLATED reader: order, and the newest value."""
    numbers = list(_numbers(told.told))
    for before, after in pairwise(numbers):
        if after < before:
            yield f"{after} after {before}: out of order"
    if (numbers[-1] if numbers else 0) != last:
        yield f"ends with {numbers[-1:]}, and not with {last}"


def _numbers(told: Iterable[Rows | Snapshot | Gap]) -> Iterator[int]:
    for each in told:
        if isinstance(each, Rows):
            yield each.first
            yield each.last
        elif isinstance(each, Snapshot) and each.number is not None:
            yield each.number
