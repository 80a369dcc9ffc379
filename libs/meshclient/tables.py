"""Tables as files."""

import json
from pathlib import Path

import pyarrow as pa
from pyarrow import csv, parquet

from meshclient.errors import MeshClientError


def write_table(table: pa.Table, file: Path) -> Path:
    """Write a table as the file's suffix says, ``.parquet`` or ``.csv``; return the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        parquet.write_table(table, file)
    elif file.suffix == ".csv":
        csv.write_csv(_flat(table), file)
    else:
        raise MeshClientError(
            f"{file.name} is neither .parquet nor .csv.",
            code="INVALID_ARGUMENT",
            reason="INVALID_FIELD",
        )
    return file


def _flat(table: pa.Table) -> pa.Table:
    """Return the table with nested columns as JSON text, for CSV has no other way."""
    for index, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            text = [
                None if v is None else json.dumps(v, default=str) for v in table[index].to_pylist()
            ]
            table = table.set_column(index, field.name, pa.array(text, pa.string()))
    return table
