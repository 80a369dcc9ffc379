"""Arrow tables in chunks."""

import pyarrow as pa

from meshkit.arrow import BATCH_ROWS, chunks


def test_chunks_make_one_stream() -> None:
    """The chunks of a table, joined, are one IPC stream with all its rows in bounded batches."""
    table = pa.table({"n": range(2 * BATCH_ROWS + 5)})
    made = list(chunks(table.schema, table.to_batches()))
    joined = pa.ipc.open_stream(b"".join(c.data for c in made))
    batches = list(joined)
    assert pa.Table.from_batches(batches) == table
    assert max(b.num_rows for b in batches) == BATCH_ROWS
    assert sum(c.rows for c in made) == table.num_rows


def test_no_rows_are_a_stream_too() -> None:
    """An empty result still has its schema."""
    schema = pa.schema([("n", pa.int64())])
    made = b"".join(c.data for c in chunks(schema, []))
    assert pa.ipc.open_stream(made).read_all().schema == schema


def test_wide_rows_come_in_smaller_chunks() -> None:
    """A chunk stays under the message limit however wide its rows are."""
    table = pa.table({"text": ["x" * 5_000] * 4_000})
    made = list(chunks(table.schema, table.to_batches()))
    assert max(len(c.data) for c in made) < 5 * 2**20
    assert sum(c.rows for c in made) == table.num_rows
