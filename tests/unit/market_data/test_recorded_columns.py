"""Batches as catalog rows: what came of catalog rows comes back as them, for every kind."""

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from nautilus_trader.model.data import FundingRateUpdate
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from mesh.marketdata.v1.live_pb2 import Channel, MarketDataBatch
from mesh.marketdata.v1.marketdata_pb2 import DataKind
from services.market_data.domain import Series
from services.market_data.live.recording.columns import Precision, TooPrecise, rows_of
from services.market_data.live.stored_columns import batch_of
from unit.market_data.test_columns import BAR_TYPE, CASES, HUGE, ID, SMALL, made

FUNDING = [
    FundingRateUpdate(ID, Decimal("0.00010"), 1, 2, interval=480, next_funding_ns=2**60),
    FundingRateUpdate(ID, Decimal("-0.0003"), 3, 4),
]


def stored(objects: list[object], folder: Path) -> pa.Table:
    """Return objects as Nautilus stores them."""
    ParquetDataCatalog(str(folder)).write_data(objects)
    (file,) = folder.rglob("*.parquet")
    return pq.read_table(file)


def series_of(kind: str) -> Series:
    """Return the tests' series of a kind."""
    return Series(kind, str(ID), str(BAR_TYPE) if kind == "BAR" else "")


def batch(series: Series, table: pa.Table) -> MarketDataBatch:
    """Return rows as a batch."""
    channel = Channel(
        kind=DataKind.Value(f"DATA_KIND_{series.kind}"),
        instrument_id=series.instrument_id,
        bar_type=series.bar_type,
    )
    return batch_of(series, channel, table.combine_chunks().to_batches()[0])


@pytest.mark.parametrize(("kind", "shape"), [*CASES, ("FUNDING_RATE", SMALL)])
def test_what_is_recorded_is_what_nautilus_stores(
    kind: str, shape: tuple[int, int, int], tmp_path: Path
) -> None:
    """A batch becomes the very rows and metadata that Nautilus writes of the same objects."""
    objects = FUNDING if kind == "FUNDING_RATE" else made(kind, *shape)
    theirs, series = stored(objects, tmp_path), series_of(kind)
    given = batch(series, theirs)
    ours = rows_of(series, [given, given], Precision(shape[0], shape[1]))
    assert ours.slice(0, theirs.num_rows).to_pylist() == theirs.to_pylist()
    assert ours.slice(theirs.num_rows).to_pylist() == theirs.to_pylist()
    assert ours.schema.equals(theirs.schema)
    assert ours.schema.metadata == theirs.schema.metadata


def test_a_value_of_too_many_decimals_is_refused(tmp_path: Path) -> None:
    """Zeros after the instrument's decimals are nothing; other digits are refused."""
    series = series_of("QUOTE_TICK")
    given = batch(series, stored(made("QUOTE_TICK", *SMALL), tmp_path / "a"))
    assert rows_of(series, [given], Precision(9, 9)).num_rows == given.rows
    with pytest.raises(TooPrecise):
        rows_of(series, [given], Precision(1, 3))
    wide = batch(series, stored(made("QUOTE_TICK", *HUGE), tmp_path / "b"))
    with pytest.raises(TooPrecise):
        rows_of(series, [wide], Precision(2, 3))
