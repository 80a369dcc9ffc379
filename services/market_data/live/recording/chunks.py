"""Records of a journal → rows, and the holes between them."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from google.protobuf.message import DecodeError

from mesh.marketdata.v1.live_pb2 import MarketDataBatch
from services.market_data.domain import Series
from services.market_data.live.recording.columns import Precision, TooPrecise, rows_of
from services.market_data.live.recording.journal import HOLE, Record

log = logging.getLogger("market_data.recording")

DELTAS = "ORDER_BOOK_DELTA"
CLEAR = 4
"""Nautilus' action that begins the snapshot of a book."""


@dataclass(frozen=True)
class Piece:
    """Rows without a hole between them. ``events`` are their least and greatest ``ts_event``."""

    rows: pa.Table
    first_init: int
    last_init: int
    events: tuple[int, int]


@dataclass(frozen=True)
class Hole:
    """Something may be missing here."""

    cause: str
    message: str


@dataclass
class Chunk:
    """What records say, in order."""

    parts: list[Piece | Hole] = field(default_factory=list)
    refused: str = ""
    """Why the rows cannot be stored; empty when they can."""
    waits: bool = False
    """Whether the deltas of a book wait for its snapshot."""

    @property
    def rows(self) -> pa.Table | None:
        """All rows."""
        tables = [part.rows for part in self.parts if isinstance(part, Piece)]
        if not tables:
            return None
        schema = max((t.schema for t in tables), key=_decimals)
        return pa.concat_tables([table.cast(schema) for table in tables])


def _decimals(schema: pa.Schema) -> int:
    return int(schema.metadata.get(b"price_precision", b"0"))


def chunk_of(series: Series, records: Sequence[Record], precision: Precision, waits: bool) -> Chunk:
    """Return what records say; ``waits`` says that a book's snapshot must come first."""
    chunk = Chunk(waits=waits)
    for batches in _runs(records):
        if isinstance(batches, Record):
            _add_hole(chunk, series, Hole(batches.cause, batches.message))
            continue
        try:
            _add_batches(chunk, series, batches, precision)
        except TooPrecise as error:
            chunk.refused = str(error)
            break
    return chunk


def _add_batches(chunk: Chunk, series: Series, batches: list[bytes], precision: Precision) -> None:
    try:
        rows = rows_of(series, [MarketDataBatch.FromString(b) for b in batches], precision)
    except (DecodeError, ValueError, KeyError, pa.ArrowInvalid):
        if len(batches) > 1:  # find the bad one, and keep the others
            for batch in batches:
                _add_batches(chunk, series, [batch], precision)
            return
        log.exception("a batch cannot be read")
        text = "A batch of the feed could not be read; it is in the log."
        _add_hole(chunk, series, Hole("MALFORMED_DATA", text))
    else:
        _add_rows(chunk, rows)


def _runs(records: Sequence[Record]) -> Iterator[list[bytes] | Record]:
    """Yield batches between holes together, and holes."""
    run: list[bytes] = []
    for record in records:
        if record.what != HOLE:
            run.append(record.payload)
            continue
        if run:
            yield run
        yield record
        run = []
    if run:
        yield run


def _add_hole(chunk: Chunk, series: Series, hole: Hole) -> None:
    chunk.parts.append(hole)
    chunk.waits = series.kind == DELTAS


def _add_rows(chunk: Chunk, rows: pa.Table) -> None:
    if chunk.waits:
        clears = np.flatnonzero(rows["action"].to_numpy() == CLEAR)
        if not len(clears):
            return
        rows, chunk.waits = rows.slice(int(clears[0])), False
    if not rows.num_rows:
        return
    init, event = rows["ts_init"].to_numpy(), rows["ts_event"].to_numpy()
    events = (int(event.min()), int(event.max()))
    chunk.parts.append(Piece(rows, int(init[0]), int(init.max()), events))
