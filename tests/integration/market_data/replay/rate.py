"""How many rows a second leave the process of a replay that plays as fast as it can.

Run by hand, from the repository: ``PYTHONPATH=tests .venv/bin/python -m
integration.market_data.replay.rate [rows]``. CPU seconds are those of the process, from the first
row to the end.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from integration.market_data.replay.made import BTC, START
from services.market_data.catalog import Catalog, folder_of
from services.market_data.domain import Series
from services.market_data.live import frames
from services.market_data.live.ports import FeedSpec
from services.market_data.live.process import Processes
from services.market_data.tables import BINARY, stored_schema

ID = str(BTC.id)
SCALE = 10**16


def main() -> None:
    """Print the figures."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "catalog", rows)
        for names, channels in CASES.items():
            seconds, cpu, count = asyncio.run(played(Path(folder), channels))
            about = f"{count / seconds:,.0f} rows/s, {count / cpu:,.0f} rows per CPU second"
            print(f"{names}: {count:,} rows, {about}", flush=True)


CASES: dict[str, list[tuple[str, str, str]]] = {
    "quotes": [("QUOTE_TICK", ID, "")],
    "quotes and trades": [("QUOTE_TICK", ID, ""), ("TRADE_TICK", ID, "")],
    "changes of a book": [("ORDER_BOOK_DELTA", ID, "")],
    "quotes, trades and a minute bar of trades": [
        ("QUOTE_TICK", ID, ""),
        ("TRADE_TICK", ID, ""),
        ("BAR", ID, f"{ID}-1-MINUTE-LAST-INTERNAL"),
    ],
}


def write(root: Path, rows: int) -> None:
    """Write a catalog of quotes, trades and changes of a book."""
    ParquetDataCatalog(str(root / "p")).write_data([BTC])
    rng = np.random.default_rng(1)
    times = pa.array((START + np.arange(rows) * 1_000_000).astype("u8"))
    price = [_decimals(3_000_000 + rng.integers(-500, 500, rows), 100) for _ in range(2)]
    size = [_decimals(rng.integers(1, 10**6, rows), 10**6) for _ in range(2)]
    side = pa.array(rng.integers(1, 3, rows).astype("u1"))
    numbers = pa.array(np.arange(rows).astype("u8"))
    zeros = pa.array(np.zeros(rows, "u8"))
    trade_ids = numbers.cast(pa.string())
    updates = pa.array(np.full(rows, 2, "u1"))
    flags = pa.array(np.full(rows, 128, "u1"))
    columns: dict[str, list[Any]] = {
        "QUOTE_TICK": [*price, *size],
        "TRADE_TICK": [price[0], size[0], side, trade_ids],
        "ORDER_BOOK_DELTA": [updates, side, price[0], size[0], zeros, flags, numbers],
    }
    catalog = Catalog(root, "p")
    for kind, made in columns.items():
        schema = stored_schema(Series(kind, ID), 2, 6)
        table = pa.Table.from_arrays([*made, times, times], schema=schema)
        staged, file = catalog.stage(table, folder_of(kind, ID))
        catalog.apply([(staged, file.path)], [])


def _decimals(values: Any, unit: int) -> pa.Array:
    """Return integers of a unit as a catalog has them: 16 bytes, scaled by 10^16."""
    raw = values.astype(object) * (SCALE // unit)
    content = b"".join(int(each).to_bytes(16, "little") for each in raw)
    return pa.Array.from_buffers(BINARY, len(values), [None, pa.py_buffer(content)])


async def played(folder: Path, channels: list[tuple[str, str, str]]) -> tuple[float, float, int]:
    """Return seconds, CPU seconds and rows of a replay of channels."""
    processes = Processes(folder / "logs", os.environ, frozenset())
    config = json.dumps({"speed": 0, "paused": True})
    spec = FeedSpec("p", "rate", "REPLAY", config, 0.0, str(folder / "catalog" / "p"))
    process, reader, writer = await processes(spec)
    for number, channel in enumerate(channels):
        writer.write(frames.encode(frames.Open(number, *channel)))
    rows, waiting, began, cpu = 0, len(channels), 0.0, 0.0
    async for frame in frames.read(reader, frames.told):
        if isinstance(frame, frames.Batch):
            rows += frame.rows
        elif isinstance(frame, frames.ItemStatus) and frame.state == "LIVE":
            waiting -= 1
            if not waiting:
                began, cpu = time.perf_counter(), _cpu(process.pid)
                writer.write(frames.encode(frames.Control(1, "resume")))
        elif isinstance(frame, frames.ReplayPosition) and frame.ended:
            break
    took = time.perf_counter() - began, _cpu(process.pid) - cpu
    writer.write(frames.encode(frames.Stop()))
    await process.wait()
    writer.close()
    return (*took, rows)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
