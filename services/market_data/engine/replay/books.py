"""The order book of a played series, made when somebody asks for it."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.data import OrderBookDelta
from nautilus_trader.model.enums import BookType
from nautilus_trader.model.identifiers import InstrumentId

from mesh.marketdata.v1 import live_pb2 as live
from meshkit.nautilus.ticks import objects_of
from services.market_data.domain import Series
from services.market_data.engine.feed.books import Book, of_book
from services.market_data.live.stored_columns import batch_of

CLEAR = 4
"""``BookAction.CLEAR`` as it is stored."""

WAITING = 65_536
"""Changes that may wait before the book takes them."""

REACH = 5_000_000
"""Changes that are looked through for the start of a book."""


class Ladder:
    """Keeps changes until the book is asked for; then only the last one of each price counts."""

    def __init__(self, series: Series) -> None:
        self._series = series
        self._book = OrderBook(InstrumentId.from_str(series.instrument_id), BookType.L2_MBP)
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0

    def begin(self, rows: Iterator[pa.RecordBatch]) -> None:
        """Begin anew with the changes before the first that is played, given backwards.

        Of a book whose start is too far back only the prices that changed since are known.
        """
        self._book.reset()
        self._waiting, self._rows = [], 0
        found: list[pa.RecordBatch] = []
        for batch in rows:
            found.insert(0, batch)
            if _clears(batch) or sum(each.num_rows for each in found) > REACH:
                break
        for batch in found:
            self.take(batch)

    def take(self, rows: pa.RecordBatch) -> None:
        """Take changes in the order of time."""
        self._waiting.append(rows)
        self._rows += rows.num_rows
        if self._rows > WAITING:
            self._fold()

    @property
    def book(self) -> Book:
        """The book after all changes."""
        self._fold()
        return of_book(self._book)

    def _fold(self) -> None:
        if not self._rows:
            return
        rows = pa.concat_batches(self._waiting)
        self._waiting, self._rows = [], 0
        batch = batch_of(self._series, live.Channel(), _last_of_each(rows))
        batch.channel.instrument_id = self._series.instrument_id
        for delta in objects_of(batch):
            assert isinstance(delta, OrderBookDelta)  # as the kind of the series says
            self._book.apply_delta(delta)


def _clears(rows: pa.RecordBatch) -> bool:
    return bool((rows.column("action").to_numpy() == CLEAR).any())


def _last_of_each(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return the changes that matter: from the last CLEAR on, the last of each side and price."""
    clears = np.flatnonzero(rows.column("action").to_numpy() == CLEAR)
    if len(clears):
        rows = rows.slice(int(clears[-1]))
    price = rows.column("price")
    halves = np.frombuffer(price.buffers()[1], "<i8").reshape(-1, 2)
    halves = halves[price.offset : price.offset + len(price)]
    frame = pd.DataFrame(
        {
            "side": rows.column("side").to_numpy(),
            "low": halves[:, 0],
            "high": halves[:, 1],
            "clear": rows.column("action").to_numpy() == CLEAR,
        }
    )
    kept = np.flatnonzero(~frame.duplicated(keep="last").to_numpy())
    return rows.take(pa.array(kept))
