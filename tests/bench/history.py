"""History through the gateway to a Python client."""

import statistics
import time

from bench import made
from bench.figure import Figure, Measured
from bench.place import Place
from mesh.marketdata.v1 import marketdata_pb2 as md

ROWS = 5_000_000
RUNS = 3


async def rows_per_s(place: Place) -> Measured:
    """Read quotes as Arrow batches, all of them, and count rows a second."""
    instrument_id = "HISTORY/JPY.SIM"
    rates = []
    async with place.client() as client:
        await client.instruments.ensure(made.pair(instrument_id))
        await made.load_quotes(client, place.folder, instrument_id, ROWS)
        selection = md.DataSelection(kind=md.DATA_KIND_QUOTE_TICK, instrument_id=instrument_id)
        for _ in range(RUNS):
            started = time.perf_counter()
            rows = 0
            async for batch in client.data.read_batches(selection):
                rows += batch.num_rows
            rates.append(rows / (time.perf_counter() - started))
            assert rows == ROWS
    return Measured(statistics.median(rates), f"median of {RUNS} reads of {ROWS:,} rows")


FIGURES = [Figure("history_rows_per_s", "rows/s", rows_per_s, at_least=5_000_000)]
