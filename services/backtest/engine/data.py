"""Catalog files → streams of Nautilus data for the engine, chunk by chunk.

Each selection is a stream of its own, in the order of the spec: where two have data of the same
time the earlier selection comes first, as when a script adds them in that order.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.core.nautilus_pyo3 import DataBackendSession, drop_cvec_pycapsule
from nautilus_trader.model.data import (
    Bar,
    IndexPriceUpdate,
    MarkPriceUpdate,
    OrderBookDelta,
    OrderBookDepth10,
    QuoteTick,
    TradeTick,
    capsule_to_list,
)
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from services.backtest.task import DataTask

CLASSES: dict[str, type] = {
    "QUOTE_TICK": QuoteTick,
    "TRADE_TICK": TradeTick,
    "BAR": Bar,
    "ORDER_BOOK_DELTA": OrderBookDelta,
    "ORDER_BOOK_DEPTH10": OrderBookDepth10,
    "MARK_PRICE": MarkPriceUpdate,
    "INDEX_PRICE": IndexPriceUpdate,
}
STREAMED = frozenset({QuoteTick, TradeTick, Bar, OrderBookDelta, OrderBookDepth10})
"""What the Rust backend streams; of the rest there are few rows, and they are read whole."""

CHUNK_ROWS = 100_000
"""Rows a chunk: measured, the speed is the same from 10,000 on, and memory grows with it."""


class NoDataError(Exception):
    """A selection that holds nothing, though it did when the run was made."""


def add_data(
    engine: BacktestEngine, catalog: ParquetDataCatalog, data: tuple[DataTask, ...], chunk: int
) -> None:
    """Give the engine every selection as a stream."""
    streams = [(task, _peek(task, _read(catalog, task, chunk or CHUNK_ROWS))) for task in data]
    for _, (first, _rest) in streams:
        # One row tells the engine of the data's clients and subscriptions; then it is taken back.
        engine.add_data(first[:1])
    engine.clear_data()
    for number, (task, (first, rest)) in enumerate(streams):
        name = f"{number}-{task.kind}-{task.bar_type or task.instrument_id}"
        engine.add_data_iterator(name, chain([first], rest))


def _peek(task: DataTask, chunks: Iterator[list[Any]]) -> tuple[list[Any], Iterator[list[Any]]]:
    first = next(chunks, None)
    if not first:
        raise NoDataError(
            f"There is no data for {task.kind} of {task.bar_type or task.instrument_id}."
        )
    return first, chunks


def _read(catalog: ParquetDataCatalog, task: DataTask, chunk: int) -> Iterator[list[Any]]:
    data_cls = CLASSES[task.kind]
    query: dict[str, Any] = {
        "data_cls": data_cls,
        "identifiers": [task.bar_type or task.instrument_id],
        "start": task.start,
        "end": task.end,
        "files": [str(Path(catalog.path) / file) for file in task.files],
    }
    if data_cls not in STREAMED:
        found = catalog.query(**query)
        return iter([found] if found else [])
    session = catalog.backend_session(session=DataBackendSession(chunk_size=chunk), **query)
    return _chunks(session.to_query_result())


def _chunks(result: Any) -> Iterator[list[Any]]:
    for capsule in result:
        rows = capsule_to_list(capsule)
        drop_cvec_pycapsule(capsule)  # the capsule does not free what it holds
        if rows:
            yield rows
