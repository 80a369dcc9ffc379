"""Synthetic data for figures: made as Nautilus catalog files, imported through the gateway."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mesh.marketdata.v1 import marketdata_pb2 as md
from mesh.marketdata.v1.instrument_pb2 import INSTRUMENT_TYPE_CURRENCY_PAIR, InstrumentDefinition
from meshclient.client import MeshClient
from services.market_data.domain import Series
from services.market_data.tables import stored_schema, to_stored

START = 1_600_000_000_000_000_000
MINUTE = 60 * 10**9
STEP = 10**6
"""Nanoseconds between two quotes."""
SCALE = 10**16


def pair(instrument_id: str) -> InstrumentDefinition:
    """Return a currency pair without fees."""
    return InstrumentDefinition(
        instrument_id=instrument_id,
        type=INSTRUMENT_TYPE_CURRENCY_PAIR,
        base_currency="USD",
        quote_currency="JPY",
        price_increment="0.001",
        size_increment="1",
    )


async def load_quotes(client: MeshClient, folder: Path, instrument_id: str, count: int) -> None:
    """Import quotes on a random walk, a millisecond apart."""
    walk = np.cumsum(np.random.default_rng(1).integers(-1, 2, count)) + 150_000
    columns = {
        "bid_price": _decimal(walk, 3),
        "ask_price": _decimal(walk + 2, 3),
        "bid_size": _decimal(np.full(count, 1_000_000), 0),
        "ask_size": _decimal(np.full(count, 1_000_000), 0),
    }
    times = START + np.arange(count, dtype=np.int64) * STEP
    await _load(client, folder, Series("QUOTE_TICK", instrument_id), columns, times)


async def load_bars(client: MeshClient, folder: Path, instrument_id: str, count: int) -> list[str]:
    """Import minute bars of both sides and return their bar types."""
    bar_types = []
    close = np.cumsum(np.random.default_rng(2).integers(-12, 13, count + 1)) + 150_000
    for side, offset in (("BID", 0), ("ASK", 4)):
        opened, closed = close[:-1] + offset, close[1:] + offset
        columns = {
            "open": _decimal(opened, 3),
            "high": _decimal(np.maximum(opened, closed) + 5, 3),
            "low": _decimal(np.minimum(opened, closed) - 5, 3),
            "close": _decimal(closed, 3),
            "volume": _decimal(np.full(count, 1_000_000), 0),
        }
        bar_types.append(f"{instrument_id}-1-MINUTE-{side}-EXTERNAL")
        times = START + np.arange(1, count + 1, dtype=np.int64) * MINUTE
        await _load(client, folder, Series("BAR", instrument_id, bar_types[-1]), columns, times)
    return bar_types


def _decimal(steps: np.ndarray, places: int) -> pa.Array:
    """Return whole steps as decimals, exactly: their integers scaled, as two words each."""
    scaled = steps.astype(object) * (SCALE // 10**places)
    words = np.empty((len(steps), 2), dtype="<i8")
    words[:, 0] = [int(v) - (1 << 64) if int(v) >= 1 << 63 else int(v) for v in scaled % (1 << 64)]
    words[:, 1] = [int(v) >> 64 for v in scaled]
    return pa.Array.from_buffers(
        pa.decimal128(38, 16), len(steps), [None, pa.py_buffer(words.tobytes())]
    )


async def _load(
    client: MeshClient,
    folder: Path,
    series: Series,
    columns: dict[str, pa.Array],
    times: np.ndarray,
) -> None:
    table = pa.table({**columns, "ts_event": times, "ts_init": times})
    path = folder / "made.parquet"
    pq.write_table(to_stored(table, stored_schema(series, 3, 0)), path)
    spec = md.ImportSpec(
        kind=md.DataKind.Value(f"DATA_KIND_{series.kind}"),
        format=md.IMPORT_FORMAT_NAUTILUS_PARQUET,
        instrument_id="" if series.bar_type else series.instrument_id,
        bar_type=series.bar_type,
    )
    await client.data.import_file(path, spec)
    path.unlink()
