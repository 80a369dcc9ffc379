"""What is known of a trader's process, and what follows from it."""

from dataclasses import dataclass
from typing import Any

from services.live_execution.domain import Trader


@dataclass(frozen=True)
class Kept:
    """A trader that is to run or has a process. Seconds by the database's clock.

    ``lease_left`` is negative when the lease is over; ``deaths`` are ages, the oldest first;
    ``settling`` are commands that a stop waits for, ``settled`` whether it need not wait.
    """

    trader: Trader
    lease_left: float
    age: float
    deaths: tuple[float, ...]
    settling: tuple[Any, ...]
    settle_left: float
    settled: bool
    api_key_id: str


@dataclass(frozen=True)
class Verdict:
    """What becomes of a trader whose process has ended."""

    state: str
    reason: str = ""
    message: str = ""
    died: bool = False
    wanted: bool = True
    """Whether it is still to run."""


def how(code: int | None) -> str:
    """Return how a process ended, in words."""
    if code is None:
        return "ended"
    return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"


def back_off(deaths: int, first: float, longest: float) -> float:
    """Return the seconds to wait after so many deaths in a row."""
    return min(longest, first * 2.0 ** min(deaths - 1, 20)) if deaths else 0.0
