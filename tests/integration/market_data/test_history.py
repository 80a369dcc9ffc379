"""Imports, coverage and history over a real channel: cases MD-02 to MD-10."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from nautilus_trader.model.data import (
    Bar,
    IndexPriceUpdate,
    MarkPriceUpdate,
    OrderBookDelta,
    OrderBookDepth10,
    QuoteTick,
    TradeTick,
)
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from integration.failures import failure
from integration.market_data.conftest import Served, new_id, parts
from mesh.marketdata.v1 import history_service_pb2 as rpc
from mesh.marketdata.v1 import instrument_service_pb2 as instrument_rpc
from mesh.marketdata.v1 import marketdata_pb2 as pb
from meshkit.times import to_timestamp
from services.backtest.engine.data import index_prices
from services.market_data import sample

CLASSES: dict[int, Any] = {
    pb.DATA_KIND_QUOTE_TICK: QuoteTick,
    pb.DATA_KIND_TRADE_TICK: TradeTick,
    pb.DATA_KIND_BAR: Bar,
    pb.DATA_KIND_ORDER_BOOK_DELTA: OrderBookDelta,
    pb.DATA_KIND_ORDER_BOOK_DEPTH10: OrderBookDepth10,
    pb.DATA_KIND_MARK_PRICE: MarkPriceUpdate,
    pb.DATA_KIND_INDEX_PRICE: IndexPriceUpdate,
}
BID = "USD/JPY.SIM-1-MINUTE-BID-EXTERNAL"
BARS = pb.ImportSpec(kind=pb.DATA_KIND_BAR, format=pb.IMPORT_FORMAT_CSV, bar_type=BID)
SELECTED = pb.DataSelection(kind=pb.DATA_KIND_BAR, bar_type=BID)
HEADER = b"timestamp,open,high,low,close,volume\n"


def bar_lines(*minutes: int, close: str = "1.5") -> bytes:
    """Return a CSV file of bars at these minutes."""
    times = [sample.START + minute * sample.MINUTE for minute in minutes]
    return HEADER + b"".join(f"{t},1,2,0.5,{close},10\n".encode() for t in times)


def tree(folder: Path) -> dict[str, str]:
    """Return the hash of every data file of a folder."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*.parquet"))
    }


async def test_md02_every_kind_is_read_as_nautilus_reads_it(served: Served, tmp_path: Path) -> None:
    """MD-02: the sample of every kind is imported, and both readers agree on every value."""
    await served.create(*sample.instruments())
    for file in sample.write(tmp_path / "sample"):
        job = await served.load(file.path.read_bytes(), file.spec)
        assert job.state == pb.IMPORT_STATE_SUCCEEDED, (file.path.name, job.message)
        assert job.rows_written == job.rows_read - job.duplicates
        wanted = pb.DataSelection(
            kind=file.spec.kind,
            instrument_id=file.spec.instrument_id,
            bar_type=file.spec.bar_type,
        )
        table = await served.read(wanted)
        assert table.num_rows == job.rows_written
        catalog = ParquetDataCatalog(str(served.catalog / "default"))
        identifier = file.spec.bar_type or file.spec.instrument_id
        theirs = read_by_nautilus(catalog, file.spec.kind, identifier)
        assert len(theirs) == table.num_rows
        for index in (0, 1, table.num_rows // 2, table.num_rows - 1):
            row = table.slice(index, 1).to_pylist()[0]
            assert_same(row, theirs[index])


def read_by_nautilus(catalog: ParquetDataCatalog, kind: int, identifier: str) -> list[Any]:
    """Return Nautilus' objects; its catalog cannot read index prices, so the engine's reader
    does.
    """
    if kind != pb.DATA_KIND_INDEX_PRICE:
        return catalog.query(CLASSES[kind], identifiers=[identifier])
    files = catalog.get_file_list_from_data_cls(IndexPriceUpdate)
    chunks = index_prices([Path(f) for f in files], identifier, 0, 2**63 - 1, 1_000)
    return [each for chunk in chunks for each in chunk]


def assert_same(row: dict[str, Any], theirs: Any) -> None:
    """Compare a row with the object that Nautilus made of it."""
    assert int(row["ts_init"].value) == theirs.ts_init
    match theirs:
        case OrderBookDelta():
            assert (row["price"], row["size"]) == (
                theirs.order.price.as_decimal(),
                theirs.order.size.as_decimal(),
            )
            assert (row["action"], row["side"]) == (theirs.action, theirs.order.side)
        case OrderBookDepth10():
            assert row["bid_price_3"] == theirs.bids[3].price.as_decimal()
            assert row["ask_size_9"] == theirs.asks[9].size.as_decimal()
        case TradeTick():
            assert (row["price"], row["trade_id"]) == (
                theirs.price.as_decimal(),
                theirs.trade_id.value,
            )
            assert row["aggressor_side"] == theirs.aggressor_side
        case _:
            names = [n for n in row if n not in {"ts_event", "ts_init"}]
            assert all(row[n] == getattr(theirs, n).as_decimal() for n in names)


async def test_md03_a_bad_row_names_its_line_and_changes_nothing(served: Served) -> None:
    """MD-03: bad rows are told with line, column and value; the catalog stays byte for byte."""
    await served.create(*sample.instruments())
    await served.load(bar_lines(1, 2), BARS)
    before = tree(served.catalog)
    content = bar_lines(3) + b"\nx,1,2,0.5,1.5,10\n1704067500000000000,1,0.4,0.5,1.5,1x3\n1,2\n"
    job = await served.load(content, BARS)
    assert (job.state, job.reason) == (pb.IMPORT_STATE_FAILED, "BAD_ROW")
    told = {(f.line, f.column, f.value) for f in job.faults}
    assert {(4, "timestamp", "x"), (5, "volume", "1x3"), (5, "high", "0.4"), (6, "", "1,2")} <= told
    assert "line 4" in job.message
    assert tree(served.catalog) == before


async def test_md04_a_cut_upload_leaves_nothing(served: Served) -> None:
    """MD-04: without its end, or with another checksum, an upload is refused whole."""
    await served.create(*sample.instruments())
    cut = await failure(served.history.ImportData(parts(bar_lines(1), BARS, end=False)))
    assert (cut.code, cut.reason) == ("INVALID_ARGUMENT", "UPLOAD_INCOMPLETE")
    too_large = await failure(served.history.ImportData(parts(b"x" * (2**24 + 1), BARS)))
    assert too_large.reason == "UPLOAD_TOO_LARGE"

    async def headless() -> AsyncIterator[rpc.ImportDataRequest]:
        yield rpc.ImportDataRequest(chunk=b"x")

    assert (await failure(served.history.ImportData(headless()))).reason == "UPLOAD_DISORDERED"
    assert not list(served.config.uploads.iterdir())
    assert not (await served.history.ListImportJobs(rpc.ListImportJobsRequest())).jobs


async def test_md05_importing_again_changes_nothing(served: Served) -> None:
    """MD-05: the same file twice is one file; new rows join it; a contradiction is refused."""
    await served.create(*sample.instruments())
    await served.load(bar_lines(1, 2, 3), BARS)
    before = tree(served.catalog)
    again = await served.load(bar_lines(3, 1, 2, 2), BARS)
    assert (again.rows_written, again.rows_present, again.duplicates) == (0, 3, 1)
    assert again.rows_unsorted == 1
    assert tree(served.catalog) == before
    more = await served.load(bar_lines(2, 3, 4, 8), BARS)
    assert (more.rows_written, more.rows_present, more.gap_count) == (2, 2, 1)
    times = (await served.read(SELECTED))["ts_init"].cast("int64").to_pylist()
    assert times == [sample.START + m * sample.MINUTE for m in (1, 2, 3, 4, 8)]
    clash = await served.load(bar_lines(2, close="0.7"), BARS)
    assert clash.reason == "ROW_CONFLICT"
    replaced = await served.load(
        bar_lines(2, close="0.7"),
        pb.ImportSpec(
            kind=BARS.kind,
            format=BARS.format,
            bar_type=BID,
            overlap=pb.OVERLAP_POLICY_REPLACE,
        ),
    )
    assert replaced.state == pb.IMPORT_STATE_SUCCEEDED
    closes = [str(c) for c in (await served.read(SELECTED))["close"].to_pylist()]
    assert [c[:3] for c in closes] == ["1.5", "0.7", "1.5", "1.5", "1.5"]


async def test_md06_coverage_tells_gaps(served: Served) -> None:
    """MD-06: coverage tells first, last, rows, files and where rows are missing."""
    await served.create(*sample.instruments())
    await served.load(bar_lines(1, 2, 5), BARS)
    await served.load(bar_lines(10), BARS)
    listed = (await served.history.ListCoverage(rpc.ListCoverageRequest())).coverage[0]
    assert (listed.rows, listed.files, listed.gap_count) == (4, 2, 2)
    request = rpc.GetCoverageRequest(kind=pb.DATA_KIND_BAR, bar_type=BID)
    detail = await served.history.GetCoverage(request)
    assert [g.missing for g in detail.gaps] == [2, 4]
    assert len(detail.files) == 2


async def test_md07_ranges_and_columns_are_chosen(served: Served) -> None:
    """MD-07: a range is closed on both sides; columns and limit are the reader's."""
    await served.create(*sample.instruments())
    await served.load(bar_lines(*range(1, 11)), BARS)
    selection = pb.DataSelection(kind=pb.DATA_KIND_BAR, bar_type=BID)
    selection.range.start.CopyFrom(to_timestamp(sample.START + 3 * sample.MINUTE))
    selection.range.end.CopyFrom(to_timestamp(sample.START + 5 * sample.MINUTE))
    table = await served.read(selection, columns=["close", "ts_init"])
    assert (table.num_rows, table.column_names) == (3, ["close", "ts_init"])
    assert (await served.read(SELECTED, limit=4)).num_rows == 4
    request = rpc.ReadHistoryRequest(selection=SELECTED, columns=["nonsense"])
    got = await failure(served.history.ReadHistory(request).read())
    assert (got.code, set(got.fields)) == ("INVALID_ARGUMENT", {"columns"})


async def test_md08_missing_data_is_told_apart(served: Served) -> None:
    """MD-08: no instrument, no data, and data outside the range are three errors."""
    selection = pb.DataSelection(kind=pb.DATA_KIND_BAR, bar_type=BID)
    request = rpc.ResolveDataRequest(selections=[selection])
    got = await failure(served.history.ResolveData(request))
    assert (got.code, got.reason) == ("NOT_FOUND", "INSTRUMENT_NOT_FOUND")
    await served.create(*sample.instruments())
    got = await failure(served.history.ResolveData(request))
    assert (got.code, got.reason) == ("NOT_FOUND", "NO_DATA")
    await served.load(bar_lines(1, 2), BARS)
    resolved = await served.history.ResolveData(request)
    assert (resolved.data[0].rows, len(resolved.fingerprint)) == (2, 64)
    request.selections[0].range.start.CopyFrom(to_timestamp(sample.START + 9 * sample.MINUTE))
    got = await failure(served.history.ResolveData(request))
    assert (got.code, got.reason) == ("OUT_OF_RANGE", "RANGE_OUTSIDE_COVERAGE")
    assert got.metadata["last"] == "2024-01-01T00:02:00Z"


async def test_md09_data_is_deleted_by_range(served: Served) -> None:
    """MD-09: rows of a range go, those around stay, and an instrument in use cannot go."""
    await served.create(*sample.instruments())
    await served.load(bar_lines(*range(1, 11)), BARS)
    selection = pb.DataSelection(kind=pb.DATA_KIND_BAR, bar_type=BID)
    selection.range.start.CopyFrom(to_timestamp(sample.START + 4 * sample.MINUTE))
    selection.range.end.CopyFrom(to_timestamp(sample.START + 6 * sample.MINUTE))
    delete = rpc.DeleteDataRequest(request_id=new_id(), selection=selection)
    reply = await served.history.DeleteData(delete)
    assert (reply.rows, reply.coverage.rows, reply.coverage.gap_count) == (3, 7, 1)
    assert (await served.read(SELECTED)).num_rows == 7
    remove = instrument_rpc.DeleteInstrumentRequest(
        request_id=new_id(), instrument_id="USD/JPY.SIM"
    )
    assert (
        await failure(served.instruments.DeleteInstrument(remove))
    ).reason == "INSTRUMENT_IN_USE"
    everything = rpc.DeleteDataRequest(request_id=new_id(), selection=SELECTED)
    assert (await served.history.DeleteData(everything)).rows == 7
    await served.instruments.DeleteInstrument(remove)
    assert not tree(served.catalog / "default" / "data" / "bar")


async def test_md10_projects_and_requests_are_kept_apart(served: Served) -> None:
    """MD-10: another project sees nothing; an upload repeated is one job, another is refused."""
    await served.create(*sample.instruments())
    request_id = new_id()
    first = await served.history.ImportData(parts(bar_lines(1), BARS, request_id=request_id))
    again = await served.history.ImportData(parts(bar_lines(1), BARS, request_id=request_id))
    assert again.job.import_id == first.job.import_id
    other = await failure(
        served.history.ImportData(parts(bar_lines(2), BARS, request_id=request_id))
    )
    assert other.reason == "REQUEST_ID_REUSED"
    stranger = await served.stub(projects=["other"])
    got = await failure(
        stranger.GetImportJob(rpc.GetImportJobRequest(import_id=first.job.import_id))
    )
    assert (got.code, got.reason) == ("NOT_FOUND", "IMPORT_NOT_FOUND")
    assert not (await stranger.ListCoverage(rpc.ListCoverageRequest())).coverage


@pytest.mark.parametrize(
    ("bar_type", "field"),
    [("USD/JPY.SIM-1-MINUTE-BID-INTERNAL", "bar_type"), ("nonsense", "bar_type")],
)
async def test_md11_bar_types_are_checked(served: Served, bar_type: str, field: str) -> None:
    """MD-11: a bar type that names no stored bars is refused by its field."""
    spec = pb.ImportSpec(kind=pb.DATA_KIND_BAR, format=pb.IMPORT_FORMAT_CSV, bar_type=bar_type)
    got = await failure(served.history.ImportData(parts(b"", spec)))
    assert set(got.fields) == {f"spec.{field}"}
