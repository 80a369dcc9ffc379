"""Arrow IPC streams that arrive in pieces, as ``pyarrow`` batches and tables."""

from collections.abc import AsyncIterator

import pyarrow as pa

from mesh.common.v1.types_pb2 import ArrowChunk
from meshclient.errors import MeshClientError

_BROKEN = (pa.ArrowInvalid, pa.ArrowSerializationError, OSError)


async def read_table(chunks: AsyncIterator[ArrowChunk]) -> pa.Table:
    """Return all the chunks of a reply as one table; its columns lie in the bytes received."""
    parts, rows = [], 0
    async for chunk in chunks:
        parts.append(chunk.data)
        rows += chunk.rows
    try:
        table = pa.ipc.open_stream(pa.py_buffer(b"".join(parts))).read_all()
    except _BROKEN as error:
        raise _damaged(str(error)) from None
    if table.num_rows != rows:
        raise _damaged(f"{rows} rows were sent, {table.num_rows} arrived")
    return table


async def read_batches(chunks: AsyncIterator[ArrowChunk]) -> AsyncIterator[pa.RecordBatch]:
    """Yield the record batches of a reply as they arrive, for what does not fit in memory.

    A chunk holds whole IPC messages, so each is decoded by itself, behind the schema message.
    A schema with dictionaries cannot be read so: use ``read_table``.
    """
    head = b""
    async for chunk in chunks:
        if not chunk.data:
            continue  # the writer may hold the schema back until the first batch
        try:
            # pyarrow reads whole streams only, so the schema stands before every piece again.
            reader = pa.ipc.open_stream(pa.py_buffer(head + chunk.data))
            batches = list(reader)
        except _BROKEN as error:
            raise _damaged(str(error)) from None
        if not head:
            _refuse_dictionaries(reader.schema)
            head = reader.schema.serialize().to_pybytes()
        if sum(batch.num_rows for batch in batches) != chunk.rows:
            raise _damaged(f"a chunk of {chunk.rows} rows holds other ones")
        for batch in batches:
            yield batch


def _refuse_dictionaries(schema: pa.Schema) -> None:
    if any(pa.types.is_dictionary(each) for each in schema.types):
        raise _damaged("it has dictionary columns; read it as a table")


def _damaged(what: str) -> MeshClientError:
    return MeshClientError(
        f"The Arrow stream cannot be read: {what}.", code="DATA_LOSS", reason="STREAM_DAMAGED"
    )
