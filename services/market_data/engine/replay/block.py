"""Rows that were read together, made into columns once and sent in pieces.

Making columns of a few rows costs nearly as much as of thousands; cutting bytes costs little.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mesh.marketdata.v1 import live_pb2 as live
from services.market_data.domain import Series
from services.market_data.live.stored_columns import batch_of


class Block:
    """Rows of one series in the order of time; ``times`` are their ``ts_init``."""

    def __init__(self, series: Series, rows: pa.RecordBatch) -> None:
        self._series = series
        self.rows = rows
        self.times: NDArray[np.uint64] = rows.column("ts_init").to_numpy()
        self._whole: live.MarketDataBatch | None = None
        self._columns: list[tuple[str, int, Any]] = []

    def cut(self, start: int, end: int, channel: live.Channel) -> live.MarketDataBatch:
        """Return the rows from ``start`` to before ``end`` as a batch of a channel."""
        if self._whole is None:
            self._whole = batch_of(self._series, live.Channel(), self.rows)
            self._columns = _columns(self._whole)
        whole = self._whole
        made = live.MarketDataBatch(
            channel=channel,
            rows=end - start,
            price_precision=whole.price_precision,
            size_precision=whole.size_precision,
            ts_event=whole.ts_event[8 * start : 8 * end],
            ts_init=whole.ts_init[8 * start : 8 * end],
        )
        columns = getattr(made, whole.WhichOneof("columns") or "")
        for name, width, values in self._columns:
            if width:
                setattr(columns, name, values[width * start : width * end])
            else:
                getattr(columns, name).extend(values[start:end])
        return made


def _columns(batch: live.MarketDataBatch) -> list[tuple[str, int, Any]]:
    """Return name, bytes a row and values of each column; 0 bytes for a list of texts."""
    message = getattr(batch, batch.WhichOneof("columns") or "")
    return [
        (field.name, len(values) // batch.rows if isinstance(values, bytes) else 0, values)
        for field, values in message.ListFields()
    ]
