"""New rows and what the catalog has → what it will have: sorted, without duplicates, counted."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from services.market_data.errors import ImportFault
from services.market_data.parsing.raw import MOST_FAULTS, fault
from services.market_data.tables import BINARY

MOST_GAPS = 100
KEYS = {"BAR": "ts_init", "TRADE_TICK": "trade_id"}
"""Column that names a row of a kind: two rows of one name must be equal."""

SEQUENCES = frozenset({"ORDER_BOOK_DELTA"})
"""Kinds of which an equal row may follow another and mean something: add, delete, add again."""

MOST_SORTED = 20_000_000
"""Rows that are sorted in memory; a larger file must come sorted."""


@dataclass
class Counts:
    """What became of the rows of a file."""

    rows_read: int = 0
    rows_written: int = 0
    duplicates: int = 0
    rows_present: int = 0
    rows_unsorted: int = 0
    gap_count: int = 0
    gaps: list[tuple[int, int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Lines:
    """Stored rows and the line of the file that each came from."""

    rows: pa.Table
    lines: np.ndarray

    def take(self, order: np.ndarray) -> "Lines":
        """Return the rows at these places."""
        return Lines(self.rows.take(pa.array(order)), self.lines[order])

    def where(self, mask: np.ndarray) -> "Lines":
        """Return the rows where the mask is set."""
        return Lines(self.rows.filter(pa.array(mask)), self.lines[mask])


def in_order(given: Lines, *, require_sorted: bool, counts: Counts) -> Lines:
    """Return rows in the order of time, keeping the file's order among equal times."""
    times = given.rows["ts_init"].to_numpy()
    counts.rows_read = len(times)
    early = np.flatnonzero(np.diff(times.view(np.int64)) < 0) + 1
    counts.rows_unsorted = len(early)
    if not len(early):
        return given
    if require_sorted:
        raise ImportFault(
            "BAD_ROW",
            f"{len(early)} rows are earlier than the row before them. "
            "Sort the file, or leave out require_sorted.",
            [
                _fault(given, int(row), "ts_init", "is earlier than the row before")
                for row in early[:MOST_FAULTS]
            ],
            len(early),
        )
    if len(times) > MOST_SORTED:
        raise ImportFault("BAD_FILE", f"More than {MOST_SORTED} rows, out of order. Sort the file.")
    return given.take(np.argsort(times, kind="stable"))


def without_duplicates(given: Lines, kind: str, counts: Counts) -> Lines:
    """Drop rows that repeat another; raises ``ROW_CONFLICT`` for two rows of one name.

    Of kinds without a name only a row equal to the one before it: A, B, A of one instant is news
    three times.
    """
    repeated = _repeated(given.rows, kind)
    counts.duplicates = len(repeated)
    if len(repeated):
        mask = np.ones(given.rows.num_rows, dtype=bool)
        mask[repeated] = False
        given = given.where(mask)
    _check_conflicts(given, kind, "the file")
    return given


def _repeated(rows: pa.Table, kind: str) -> np.ndarray:
    """Return the places of rows to drop. Only rows of one time can be equal, so most are never
    hashed.
    """
    times = rows["ts_init"].to_numpy()
    same = times[1:] == times[:-1]
    if kind in SEQUENCES or not same.any():
        return np.array([], dtype=np.int64)
    places = np.flatnonzero(np.append(same, False) | np.append(False, same))
    found = hashes(rows.take(pa.array(places)))
    equal = found.duplicated() if kind in KEYS else (found == found.shift()).all(axis=1)
    return np.asarray(places[equal.to_numpy()])


def merged(existing: pa.Table, given: Lines, kind: str, counts: Counts) -> pa.Table:
    """Return the rows of both in the order of time; raises ``ROW_CONFLICT``.

    A row is present when the catalog has it as many times as the file has up to there.
    """
    both = pd.concat([counted(existing), counted(given.rows)], ignore_index=True)
    present = both.duplicated().to_numpy()[existing.num_rows :]
    counts.rows_present = int(present.sum())
    fresh = given.where(~present)
    together = pa.concat_tables([existing, fresh.rows])
    known = np.zeros(existing.num_rows, dtype=np.int64)
    _check_conflicts(Lines(together, np.append(known, fresh.lines)), kind, "the catalog")
    times = together["ts_init"].to_numpy()
    return together.take(pa.array(np.argsort(times, kind="stable")))


def counted(rows: pa.Table) -> pd.DataFrame:
    """Return ``hashes`` of rows, and for each how many equal rows came before it."""
    found = hashes(rows)
    return found.assign(count=found.groupby(list(found.columns)).cumcount())


def find_gaps(rows: pa.Table, step: int, counts: Counts) -> None:
    """Count the holes of a series of a fixed step, and keep the first of them."""
    if not step:
        return
    times = rows["ts_init"].to_numpy().astype(np.int64)
    missing = np.diff(times) // step - 1
    holes = np.flatnonzero(missing > 0)
    counts.gap_count = len(holes)
    counts.gaps = [(int(times[i]), int(times[i + 1]), int(missing[i])) for i in holes[:MOST_GAPS]]


def _check_conflicts(given: Lines, kind: str, where: str) -> None:
    key = KEYS.get(kind)
    if key is None or pc.count_distinct(given.rows[key]).as_py() == given.rows.num_rows:
        return
    clashing = np.flatnonzero(given.rows[key].to_pandas().duplicated().to_numpy())
    text = f"contradicts another row of {where} with this {key}"
    faults = [_fault(given, int(row), key, text) for row in clashing[:MOST_FAULTS]]
    raise ImportFault(
        "ROW_CONFLICT",
        f"{len(clashing)} rows contradict others of {where}; the first is line "
        f"{faults[0]['line']} with {key} {faults[0]['value']}. "
        "Nothing was imported; mend the file, or import it with REPLACE.",
        faults,
        len(clashing),
    )


def _fault(given: Lines, row: int, column: str, description: str) -> dict[str, object]:
    value = given.rows[column][row].as_py()
    return fault(int(given.lines[row]), column, value, description)


def hashes(rows: pa.Table) -> pd.DataFrame:
    """Return two independent hashes of each row: 128 bits, so no two rows are taken for one."""
    frame = pd.DataFrame(_words(rows))
    return pd.DataFrame(
        {
            str(i): pd.util.hash_pandas_object(frame, index=False, hash_key=key)
            for i, key in enumerate(("0123456789abcdef", "fedcba9876543210"))
        }
    )


def _words(rows: pa.Table) -> dict[str, np.ndarray]:
    words: dict[str, np.ndarray] = {}
    for name in rows.column_names:
        column = rows[name].combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks)
        if column.type == BINARY:
            start = column.offset * 16
            data = np.frombuffer(column.buffers()[1], np.uint8)[start : start + len(column) * 16]
            pairs = data.view("<i8").reshape(-1, 2)
            words[f"{name}:low"], words[f"{name}:high"] = pairs[:, 0], pairs[:, 1]
        elif pa.types.is_string(column.type) or pa.types.is_binary(column.type):
            words[name] = np.asarray(pc.cast(column, pa.string()).to_pandas(), dtype=object)
        else:
            words[name] = column.fill_null(0).to_numpy(zero_copy_only=False)
    return words
