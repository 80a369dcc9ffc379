"""Arrow tables as ``ArrowChunk`` messages: one IPC stream cut into messages of one record batch
each.
"""

import io
from collections.abc import Iterable, Iterator

import pyarrow as pa

from mesh.common.v1.types_pb2 import ArrowChunk

BATCH_ROWS = 16_384
"""Rows a message: measured as the fastest on gRPC."""

CHUNK_BYTES = 4 * 2**20
"""Bytes a message, roughly: rows that are wide go in smaller batches, under the message limit."""


def chunks(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[ArrowChunk]:
    """Yield the IPC stream of ``batches``: the schema first, then at most ``BATCH_ROWS`` rows a
    chunk.
    """
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        yield ArrowChunk(data=_take(sink))
        for batch in batches:
            rows = _rows_a_chunk(batch)
            for start in range(0, batch.num_rows, rows):
                piece = batch.slice(start, rows)
                writer.write_batch(piece)
                yield ArrowChunk(data=_take(sink), rows=piece.num_rows)
    yield ArrowChunk(data=_take(sink))


def _rows_a_chunk(batch: pa.RecordBatch) -> int:
    fitting = int(batch.num_rows * CHUNK_BYTES // max(batch.nbytes, 1))
    return max(1, min(BATCH_ROWS, fitting))


def _take(sink: io.BytesIO) -> bytes:
    data = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return data
