"""New rows and what the catalog has → what it will have: sorted, without duplicates, counted."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from services.market_data.errors import ImportFault
from services.market_data.tables import BINARY

MOST_GAPS = 100
KEYS = {"BAR": ("ts_init",), "TRADE_TICK": ("trade_id",)}
"""Columns that name a row of a kind: two rows of one name must be equal."""


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


def in_order(rows: pa.Table, *, require_sorted: bool, counts: Counts) -> pa.Table:
    """Return stored rows in the order of time, keeping the file's order among equal times."""
    times = rows["ts_init"].to_numpy()
    counts.rows_read = len(times)
    counts.rows_unsorted = int((np.diff(times.astype(np.int64)) < 0).sum())
    if not counts.rows_unsorted:
        return rows
    if require_sorted:
        raise ImportFault(
            "BAD_ROW",
            f"{counts.rows_unsorted} rows are earlier than the row before them. "
            "Sort the file, or leave out require_sorted.",
        )
    return rows.take(pa.array(np.argsort(times, kind="stable")))


def without_duplicates(rows: pa.Table, kind: str, counts: Counts) -> pa.Table:
    """Drop rows that repeat another exactly; raises ``ROW_CONFLICT`` for two rows of one name."""
    repeated = _hashes(rows).duplicated().to_numpy()
    counts.duplicates = int(repeated.sum())
    kept = rows.filter(pa.array(~repeated)) if counts.duplicates else rows
    _check_conflicts(kept, kind, "the file")
    return kept


def merged(existing: pa.Table, rows: pa.Table, kind: str, counts: Counts) -> pa.Table:
    """Return the rows of both in the order of time; raises ``ROW_CONFLICT``."""
    both = pd.concat([_hashes(existing), _hashes(rows)], ignore_index=True)
    present = both.duplicated().to_numpy()[existing.num_rows :]
    counts.rows_present = int(present.sum())
    fresh = rows.filter(pa.array(~present))
    together = pa.concat_tables([existing, fresh])
    _check_conflicts(together, kind, "the catalog")
    times = together["ts_init"].to_numpy()
    return together.take(pa.array(np.argsort(times, kind="stable")))


def find_gaps(rows: pa.Table, step: int, counts: Counts) -> None:
    """Count the holes of a series of a fixed step, and keep the first of them."""
    if not step:
        return
    times = rows["ts_init"].to_numpy().astype(np.int64)
    missing = np.diff(times) // step - 1
    holes = np.flatnonzero(missing > 0)
    counts.gap_count = len(holes)
    counts.gaps = [(int(times[i]), int(times[i + 1]), int(missing[i])) for i in holes[:MOST_GAPS]]


def _check_conflicts(rows: pa.Table, kind: str, where: str) -> None:
    key = KEYS.get(kind)
    if key is None:
        return
    frame = rows.select(list(key)).to_pandas()
    clashing = np.flatnonzero(frame.duplicated().to_numpy())
    if not len(clashing):
        return
    row = int(clashing[0])
    name = ", ".join(str(frame[column].iloc[row]) for column in key)
    raise ImportFault(
        "ROW_CONFLICT",
        f"{len(clashing)} rows contradict others of {where}; the first has {key[0]} {name}. "
        "Nothing was imported; mend the file, or import it with REPLACE.",
        count=len(clashing),
    )


def _hashes(rows: pa.Table) -> pd.DataFrame:
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
        elif pa.types.is_string(column.type):
            words[name] = np.asarray(pc.cast(column, pa.string()).to_pandas(), dtype=object)
        else:
            words[name] = column.to_numpy(zero_copy_only=False)
    return words
