"""A process that writes bars to a catalog and dies of SIGKILL in the middle: at a named place."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from meshkit.database import Database
from services.market_data.catalog import Catalog
from services.market_data.domain import Series
from services.market_data.file_store import FileStore
from services.market_data.merging import Counts, Lines
from services.market_data.tables import DECIMAL, KINDS, stored_schema, to_stored
from services.market_data.writing import Write, Writer


def _die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _lines(series: Series, times: list[int]) -> Lines:
    ones = pa.array([1] * len(times)).cast(DECIMAL)
    columns = {name: ones for name in KINDS["BAR"].order}
    table = pa.table({**columns, "ts_event": times, "ts_init": times})
    return Lines(to_stored(table, stored_schema(series, 3, 0)), np.arange(len(times)))


async def _write(dsn: str, catalog: Path, bar_type: str, times: list[int]) -> None:
    series = Series.of("", "BAR", "", bar_type)

    async def also(_: Any) -> bool:
        return True

    async with Database.open(dsn, schema="market_data") as database:
        writer = Writer(database, FileStore(), catalog)
        write = Write("default", "t", series, _lines(series, times), "REPLACE")
        await writer.write(write, Counts(), also)


def main() -> None:
    """Arguments: where to die (``staged`` or ``decided``), DSN, catalog, bar type, times."""
    where, dsn, catalog, bar_type, *times = sys.argv[1:]
    if where == "decided":
        Catalog.apply = _die  # type: ignore[method-assign,assignment]  # the place to die at
    else:
        FileStore.replace = _die  # type: ignore[method-assign,assignment]  # the place to die at
    asyncio.run(_write(dsn, Path(catalog), bar_type, [int(t) for t in times]))


if __name__ == "__main__":
    main()
