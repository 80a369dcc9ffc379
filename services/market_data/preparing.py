"""An uploaded file → rows as stored: in a process of its own, a block at a time in memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from mesh.marketdata.v1.marketdata_pb2 import ImportFormat, ImportSpec, TimeUnit
from meshkit import enums
from services.market_data.domain import Series
from services.market_data.errors import ImportFault
from services.market_data.merging import (
    Counts,
    Lines,
    find_gaps,
    in_order,
    without_duplicates,
)
from services.market_data.parsing.columns import Precision
from services.market_data.parsing.formats import parse
from services.market_data.parsing.kinds import Options
from services.market_data.tables import stored_schema, to_stored

LINE = "line"
"""Column of the scratch file: the line of the upload that a row came from."""


@dataclass(frozen=True)
class Task:
    """What to prepare: the upload, where the rows go, and what they are."""

    upload: Path
    scratch: Path
    spec: ImportSpec
    series: Series
    precision: Precision


def prepare(task: Task) -> Counts:
    """Write the rows of an upload, checked, in order and without duplicates, to the scratch file.

    Raises ``ImportFault``.
    """
    counts = Counts()
    parsed = task.scratch.with_suffix(".parsed")
    try:
        _write(parsed, _stored(task), _schema(task))
        given = in_order(read(parsed), require_sorted=task.spec.require_sorted, counts=counts)
        given = without_duplicates(given, task.series.kind, counts)
        find_gaps(given.rows, task.series.step, counts)
        whole = given.rows.append_column(LINE, pa.array(given.lines))
        _write(task.scratch, whole.to_batches(), whole.schema)
    finally:
        parsed.unlink(missing_ok=True)
    return counts


def read(scratch: Path) -> Lines:
    """Return the rows of a scratch file, mapped into memory and not read."""
    with pa.memory_map(str(scratch)) as source:
        table = pa.ipc.open_file(source).read_all()
    return Lines(table.drop_columns([LINE]), np.asarray(table[LINE].to_numpy()))


def _schema(task: Task) -> pa.Schema:
    schema = stored_schema(task.series, task.precision.price, task.precision.size)
    return schema.append(pa.field(LINE, pa.int64()))


def _stored(task: Task) -> Iterator[pa.RecordBatch]:
    spec, series = task.spec, task.series
    options = Options(
        precision=task.precision,
        columns=dict(spec.columns),
        time_unit=enums.bare(TimeUnit, spec.time_unit),
        time_zone=spec.time_zone,
        timestamp_is_open=spec.timestamp_is_open,
        default_size=spec.default_size,
        step=series.step,
    )
    schema = stored_schema(series, task.precision.price, task.precision.size)
    file_format = enums.bare(ImportFormat, spec.format)
    for rows, lines in parse(task.upload, file_format, series.kind, spec.delimiter, options):
        yield from to_stored(rows, schema).append_column(LINE, pa.array(lines)).to_batches()


def _write(path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
    count = 0
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            count += batch.num_rows
    if not count:
        raise ImportFault("BAD_FILE", "The file has no rows.")
