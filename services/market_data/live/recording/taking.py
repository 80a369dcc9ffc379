"""What the recorder knows of one series that it records."""

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace

from services.market_data.domain import Series
from services.market_data.live.domain import Channel
from services.market_data.live.recording.chunks import DELTAS, Chunk, Hole, Piece
from services.market_data.live.recording.columns import Precision
from services.market_data.live.recording.journal import Place
from services.market_data.live.recording.store import RecordedGap, Recording

REFUSED, STALLED = "RECORDING_REFUSED", "RECORDING_STALLED"


@dataclass
class Taking:
    """A series, its records that are not in the catalog yet, and where it stands there."""

    row: Recording
    waiting: deque[Place] = field(default_factory=deque)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    precision: Precision | None = None
    noted: bool = False
    """Whether it is stored that the series is recorded."""
    refused: str = ""
    """Why nothing of it is recorded."""
    stalled: str = ""
    """Why it waits in the journal."""
    lost: bool = False
    """Whether something was left out for want of room, and not said yet."""
    gap: RecordedGap | None = None
    """The hole that goes on; its id is 0 until it is stored."""
    continuing: bool = False
    """Whether the next row follows the last one without a hole."""
    waits: bool = False
    """Whether a book's snapshot must come first."""
    told: float = 0.0
    """When its coverage was told last, monotonic."""

    @property
    def key(self) -> tuple[str, Series]:
        """Project and series."""
        return self.row.project, self.row.series

    @property
    def problem(self) -> tuple[str, str]:
        """Reason and message of what is wrong; empty when all is well."""
        if self.refused:
            return REFUSED, self.refused
        if self.stalled:
            return STALLED, self.stalled
        if self.waits and self.row.active and self.row.last_init == 0:
            return STALLED, "It waits for the venue's snapshot of the book."
        return "", ""

    def begin(self, row: Recording) -> None:
        """Record on behalf of a feed; after a hole or a pause, a book from its next snapshot."""
        was = self.row
        self.row = replace(
            row, position=was.position, last_init=was.last_init, last_event=was.last_event
        )
        self.refused, self.continuing, self.precision, self.noted = "", False, None, False
        self.waits = row.series.kind == DELTAS


@dataclass
class Outcome:
    """What a chunk changes: the series after it, its ranges, and gaps that begin and end."""

    row: Recording
    known: list[tuple[int, int]] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    """Times (``ts_event``) at a hole: of these there may be more than we have."""
    ended: list[RecordedGap] = field(default_factory=list)
    gap: RecordedGap | None = None
    continuing: bool = False


def outcome(taking: Taking, chunk: Chunk, position: int) -> Outcome:
    """Return what a chunk changes."""
    made = Outcome(taking.row, gap=taking.gap, continuing=taking.continuing)
    for part in chunk.parts:
        if isinstance(part, Hole):
            _enter(made, part)
        else:
            _advance(made, part)
    made.row = replace(made.row, position=position)
    return made


def _enter(made: Outcome, hole: Hole) -> None:
    row = made.row
    if made.gap is None and row.last_init:
        made.gap = RecordedGap(row.feed_id, hole.cause, hole.message, row.last_init, row.last_event)
        made.unknown.append(row.last_event)
    made.continuing = False


def _advance(made: Outcome, piece: Piece) -> None:
    row, (first, last) = made.row, piece.events
    start = row.last_event if made.continuing else first
    if made.gap is not None:
        made.ended.append(replace(made.gap, to_init=piece.first_init, last_event=first))
        made.gap, start = None, first + 1  # of that very time something may be missing
    if start <= last:
        made.known.append((start, last))
    made.row = replace(
        row,
        last_init=max(row.last_init, piece.last_init),
        last_event=max(row.last_event, last),
    )
    made.continuing = True


def series_of(channel: Channel) -> Series:
    """Return the series that a channel is recorded as."""
    return Series(channel.kind, channel.instrument_id, channel.bar_type)
