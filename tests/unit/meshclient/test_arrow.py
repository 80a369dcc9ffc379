"""Arrow streams in pieces."""

from collections.abc import AsyncIterator, Iterable

import pyarrow as pa
import pytest

from mesh.common.v1.types_pb2 import ArrowChunk
from meshclient.arrow import read_batches, read_table
from meshclient.errors import MeshClientError
from meshkit import arrow

SCHEMA = pa.schema([("n", pa.int64()), ("t", pa.string())], metadata={"instrument_id": "X.Y"})
TABLE = pa.table({"n": range(40_000), "t": [str(n) for n in range(40_000)]}, schema=SCHEMA)


async def _sent(chunks: Iterable[ArrowChunk]) -> AsyncIterator[ArrowChunk]:
    for chunk in chunks:
        yield ArrowChunk.FromString(chunk.SerializeToString())


def _chunks() -> list[ArrowChunk]:
    return list(arrow.chunks(SCHEMA, TABLE.to_batches()))


async def test_mc_06_a_table_comes_back() -> None:
    """MC-06: what meshkit cuts is read back whole, metadata of the schema included."""
    found = await read_table(_sent(_chunks()))
    assert found.equals(TABLE)
    assert found.schema.metadata == {b"instrument_id": b"X.Y"}


async def test_mc_06_batches_come_as_they_arrive() -> None:
    """MC-06: each chunk gives its batch of at most 16,384 rows, in order."""
    found = [batch async for batch in read_batches(_sent(_chunks()))]
    assert [batch.num_rows for batch in found] == [16_384, 16_384, 7_232]
    assert pa.Table.from_batches(found).equals(TABLE)


async def test_mc_06_an_empty_table_keeps_its_schema() -> None:
    """MC-06: no rows are a table too."""
    found = await read_table(_sent(arrow.chunks(SCHEMA, [])))
    assert found.num_rows == 0
    assert found.schema == SCHEMA


@pytest.mark.parametrize("damage", ["drop", "cut", "nothing"])
async def test_mc_06_damage_is_told(damage: str) -> None:
    """MC-06: a chunk that is missing or cut, or no chunk at all, is an error."""
    chunks = _chunks()
    if damage == "drop":
        chunks[2].data = b""
    elif damage == "cut":
        chunks[1].data = chunks[1].data[:100]
    else:
        chunks = []
    with pytest.raises(MeshClientError) as caught:
        await read_table(_sent(chunks))
    assert caught.value.reason == "STREAM_DAMAGED"
