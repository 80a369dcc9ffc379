"""Reading a folder that a writer changes at the same time."""

import asyncio
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from integration.market_data.replay.made import AUD, quotes, write
from services.market_data.catalog import Catalog, folder_of
from services.market_data.domain import Series
from services.market_data.engine.replay.stored import Stored

SERIES = Series("QUOTE_TICK", str(AUD.id))
FOLDER = folder_of(SERIES.kind, SERIES.identifier)
ROWS = 3_000


@pytest.fixture
def table(catalog: Path) -> pa.Table:
    """Store rows in two files; return them."""
    rows = quotes(ROWS)
    write(catalog, rows[:1_000], rows[1_000:])
    return pa.concat_tables(pq.read_table(path) for path in sorted((catalog / FOLDER).iterdir()))


def _place(catalog: Path, table: pa.Table, *cuts: int) -> None:
    """Put files of the rows between cuts in place of all that are there, as the writer does."""
    made = Catalog(catalog.parent, catalog.name)
    before = [f"{FOLDER}/{path.name}" for path in (catalog / FOLDER).iterdir()]
    parts = [table.slice(a, b - a) for a, b in zip((0, *cuts), (*cuts, ROWS), strict=True)]
    staged = [made.stage(part, FOLDER) for part in parts]
    made.apply([(path, file.path) for path, file in staged], before)


async def _rows(stored: Stored) -> int:
    opened = await stored.open(SERIES)
    await asyncio.sleep(0)  # the writer may go on before it is read
    return sum(batch.num_rows for batch in opened.forwards())


async def test_replaced_again_and_again(catalog: Path, table: pa.Table) -> None:
    """However files are cut anew meanwhile, a reader gets each row once."""
    stored = Stored(catalog)
    done = asyncio.Event()

    def rewrite() -> None:
        for i in range(60):
            _place(catalog, table, *((), (1_000,), (700, 2_000))[i % 3])

    async def rewritten() -> None:
        await asyncio.to_thread(rewrite)
        done.set()

    writing = asyncio.create_task(rewritten())
    looks = 0
    while not done.is_set():
        assert await _rows(stored) == ROWS
        looks += 1
    await writing
    assert looks > 5


async def test_a_writer_that_died(catalog: Path, table: pa.Table) -> None:
    """Of files with the same times, left by a writer that died half way, the newer are read."""
    made = Catalog(catalog.parent, catalog.name)
    staged, file = made.stage(table, FOLDER)
    made.apply([(staged, file.path)], [])
    assert len(list((catalog / FOLDER).iterdir())) == 3
    assert await _rows(Stored(catalog)) == ROWS
