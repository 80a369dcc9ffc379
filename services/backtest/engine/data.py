"""Catalog files → streams of Nautilus data for the engine, chunk by chunk.

Each selection is a stream of its own, in the order of the spec: where two have data of the same
time the earlier selection comes first, as when a script adds them in that order.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.core.nautilus_pyo3 import DataBackendSession, drop_cvec_pycapsule
from nautilus_trader.model.data import (
    Bar,
    FundingRateUpdate,
    IndexPriceUpdate,
    MarkPriceUpdate,
    OrderBookDelta,
    OrderBookDepth10,
    QuoteTick,
    TradeTick,
    capsule_to_list,
)
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Price
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
    "FUNDING_RATE": FundingRateUpdate,
}
_INDEX_COLUMNS = ("value", "ts_event", "ts_init")

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
    root = Path(catalog.path)
    files = [_pinned(root, root / path, sha256) for path, sha256 in task.files]
    if data_cls is IndexPriceUpdate:
        return index_prices(files, task.instrument_id, task.start, task.end, chunk)
    if data_cls is FundingRateUpdate:
        return funding_rates(files, task.instrument_id, task.start, task.end)
    session = catalog.backend_session(
        data_cls=data_cls,
        identifiers=[task.bar_type or task.instrument_id],
        start=task.start,
        end=task.end,
        files=[str(file) for file in files],
        session=DataBackendSession(chunk_size=chunk),
    )
    return _chunks(session.to_query_result())


def _pinned(catalog: Path, path: Path, sha256: str) -> Path:
    """Return the file which the run's manifest means; raises ``NoDataError`` when it is gone.

    The market-data service joins small files of a series that is being recorded, and keeps the old
    ones for a while.
    """
    for each in (path, catalog / ".retired" / path.relative_to(catalog)):
        try:
            with each.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                    return each
        except FileNotFoundError:
            continue
    raise NoDataError(
        f"The data in {path.name} was deleted or replaced since the run was created. "
        "Create it again."
    )


def index_prices(
    files: Iterable[Path], instrument_id: str, start: int, end: int, chunk: int
) -> Iterator[list[IndexPriceUpdate]]:
    """Yield index prices of the closed range: Nautilus 1.231 writes them and cannot read them."""
    instrument = InstrumentId.from_str(instrument_id)
    for path in files:
        with pq.ParquetFile(path) as file:
            precision = int(file.schema_arrow.metadata[b"price_precision"])
            for batch in file.iter_batches(chunk):
                rows = zip(*(batch[name].to_pylist() for name in _INDEX_COLUMNS), strict=True)
                yield [
                    IndexPriceUpdate(
                        instrument,
                        Price.from_raw(int.from_bytes(raw, "little", signed=True), precision),
                        event,
                        init,
                    )
                    for raw, event, init in rows
                    if start <= init <= end
                ]


def funding_rates(
    files: Iterable[Path], instrument_id: str, start: int, end: int
) -> Iterator[list[FundingRateUpdate]]:
    """Yield funding rates of the closed range: Nautilus' sessions have none, and what its tables
    give has a text as rate.
    """
    instrument = InstrumentId.from_str(instrument_id)
    for path in files:
        yield [
            FundingRateUpdate(
                instrument,
                Decimal(json.loads(row["rate"])),
                row["ts_event"],
                row["ts_init"],
                row["interval"],
                row["next_funding_ns"],
            )
            for row in pq.read_table(path).to_pylist()
            if start <= row["ts_init"] <= end
        ]


def _chunks(result: Any) -> Iterator[list[Any]]:
    for capsule in result:
        rows = capsule_to_list(capsule)
        drop_cvec_pycapsule(capsule)  # the capsule does not free what it holds
        if rows:
            yield rows
