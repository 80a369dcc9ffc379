"""The seam of history and live data: no row is missing there, and none comes twice."""

import asyncio
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from nautilus_trader.core.data import Data
from nautilus_trader.model.data import Bar, QuoteTick, TradeTick

MOST_HELD = 1_000_000
"""Rows of a channel that wait for its history at most."""


@dataclass
class Seam:
    """Live rows of a channel that wait until its history is told.

    ``readers`` requests are being answered, all up to the same ``end`` (unix ns, 0 when the first
    has not been read); ``known`` are rows of their answers.
    """

    rows: list[Data] = field(default_factory=list)
    known: list[Data] = field(default_factory=list)
    readers: int = 0
    end: int = 0
    came: asyncio.Event = field(default_factory=asyncio.Event)
    overrun: bool = False

    def hold(self, rows: Sequence[Data]) -> None:
        """Keep rows; beyond the bound none, and it says so."""
        self.overrun = self.overrun or len(self.rows) + len(rows) > MOST_HELD
        if not self.overrun:
            self.rows += rows
        self.came.set()

    def reached_by(self, history: Sequence[Data]) -> bool:
        """Whether a history goes up to the first live row: venues may tell it some time later."""
        return not without(self.rows[:1], history)

    def rest(self) -> list[Data]:
        """Return the live rows that no answer had, and keep them no longer."""
        rows, self.rows = without(self.rows, self.known), []
        return rows


def without(rows: Sequence[Data], known: Sequence[Data]) -> list[Data]:
    """Return rows but those that are known, each as often as it is.

    The times of arrival do not count: those of history are the times of the events.
    """
    if not rows:
        return []
    since = min(row.ts_event for row in rows)
    left = Counter(_identity(row) for row in known if row.ts_event >= since)
    found = []
    for row in rows:
        identity = _identity(row)
        if left[identity] > 0:
            left[identity] -= 1
        else:
            found.append(row)
    return found


def _identity(row: Data) -> tuple[Hashable, ...]:
    if isinstance(row, TradeTick):
        return (row.trade_id.value,)
    if isinstance(row, Bar):
        return (row.ts_event,)  # of one bar type
    if isinstance(row, QuoteTick):
        return row.ts_event, row.bid_price, row.ask_price, row.bid_size, row.ask_size
    return row.ts_event, str(row)
