"""A file → a table of its columns as they stand there, with the line of each row."""

from collections.abc import Iterator, Sequence
from csv import reader
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from services.market_data.errors import ImportFault

MOST_FAULTS = 100
CUT = 100
BLOCK = 16 * 2**20
"""Bytes of CSV that are worked on at once."""

BLOCK_ROWS = 262_144


@dataclass
class Raw:
    """Columns as they stand in the file. ``lines`` is the line of each row, from 1."""

    table: pa.Table
    lines: np.ndarray
    faults: list[dict[str, object]] = field(default_factory=list)
    fault_count: int = 0

    def bad(self, mask: np.ndarray, column: str, description: str) -> None:
        """Note the rows where ``mask`` is set."""
        rows = np.flatnonzero(mask)
        self.fault_count += len(rows)
        for row in rows[: MOST_FAULTS - len(self.faults)]:
            value = (
                self.table[column][int(row)].as_py() if column in self.table.column_names else ""
            )
            self.faults.append(fault(int(self.lines[row]), column, value, description))

    def check(self) -> None:
        """Raise ``ImportFault`` when any row was bad."""
        if not self.fault_count:
            return
        self.faults.sort(key=lambda each: (int(str(each["line"])), str(each["column"])))
        first = self.faults[0]
        where = f"line {first['line']}" + (f", {first['column']}" if first["column"] else "")
        raise ImportFault(
            "BAD_ROW",
            f"{self.fault_count} bad rows; the first is {where}: {first['description']}. "
            "Nothing was imported; mend the file and upload it again.",
            self.faults,
            self.fault_count,
        )


def fault(line: int, column: str, value: object, description: str) -> dict[str, object]:
    """Return one fault as the job keeps it."""
    text = "" if value is None else str(value)[:CUT]
    return {"line": line, "column": column, "value": text, "description": description}


def read_csv(
    path: Path, delimiter: str, header: Sequence[str] | None, *, skip_first: bool = False
) -> Iterator[Raw]:
    """Yield a CSV file as text, block by block, so that a file larger than memory can be read.

    ``header`` names the columns of a file that has no header line, or of one whose header line is
    to be skipped.
    """
    odd = _OddRows()
    try:
        blocks = csv.open_csv(
            path,
            read_options=csv.ReadOptions(
                use_threads=False,
                column_names=list(header) if header else None,
                skip_rows=1 if skip_first else 0,
                block_size=BLOCK,
            ),
            parse_options=csv.ParseOptions(
                delimiter=delimiter or ",", invalid_row_handler=odd, ignore_empty_lines=False
            ),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(header or _header(path, delimiter), pa.string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
        line = 1 if header and not skip_first else 2
        for batch in blocks:
            table = pa.Table.from_batches([batch])
            lines = _lines(table.num_rows, line, odd.skipped())
            line = int(lines[-1]) + 1 if len(lines) else line
            names = [name.strip() for name in table.column_names]
            table, lines = _without_empty(table.rename_columns(names), lines)
            yield Raw(table, lines, odd.ragged[:MOST_FAULTS], len(odd.ragged))
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise ImportFault("BAD_FILE", f"The file is not CSV: {_first(error)}") from None


class _OddRows:
    """Notes lines that are no rows of the file's width: empty ones, and ragged ones as faults."""

    def __init__(self) -> None:
        self.ragged: list[dict[str, object]] = []
        self._empty: list[int] = []

    def __call__(self, row: csv.InvalidRow) -> str:
        line = int(row.number)
        if not row.text.strip():
            self._empty.append(line)
        else:
            text = f"has {row.actual_columns} columns, and the file has {row.expected_columns}"
            self.ragged.append(fault(line, "", row.text, text))
        return "skip"

    def skipped(self) -> np.ndarray:
        """Return the lines that hold no row."""
        lines = [*self._empty, *(int(str(each["line"])) for each in self.ragged)]
        return np.array(sorted(lines), dtype=np.int64)


def _without_empty(table: pa.Table, lines: np.ndarray) -> tuple[pa.Table, np.ndarray]:
    """Drop rows without a value: empty lines."""
    some = np.zeros(table.num_rows, dtype=bool)
    for column in table.columns:
        some |= column.is_valid().to_numpy()
    return (table, lines) if some.all() else (table.filter(pa.array(some)), lines[some])


def _header(path: Path, delimiter: str) -> list[str]:
    """Return the names in the first line, as they stand there."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return next(reader(file, delimiter=delimiter or ","), [])


def _lines(rows: int, first: int, skipped: np.ndarray) -> np.ndarray:
    """Return the line of each row from line ``first`` on, where some lines between hold none."""
    later = skipped[skipped >= first]
    lines = np.arange(first, first + rows + len(later), dtype=np.int64)
    return lines[~np.isin(lines, later)][:rows]


def read_parquet(path: Path) -> Iterator[Raw]:
    """Yield the rows of a Parquet file, block by block."""
    first = 1
    try:
        for batch in pq.ParquetFile(path).iter_batches(BLOCK_ROWS):
            lines = np.arange(first, first + batch.num_rows, dtype=np.int64)
            first += batch.num_rows
            yield Raw(pa.Table.from_batches([batch]), lines)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise ImportFault("BAD_FILE", f"The file is not Parquet: {_first(error)}") from None


def _first(error: Exception) -> str:
    line = str(error).splitlines()[0][:200]
    return "".join(c for c in line if c.isprintable() and c != "\ufffd")
