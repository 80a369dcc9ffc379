"""Uploads of every format → rows: cases MD-14 (formats) and MD-03 (faults)."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mesh.marketdata.v1 import marketdata_pb2 as pb
from services.market_data.domain import Series
from services.market_data.errors import ImportFault
from services.market_data.merging import Counts, Lines
from services.market_data.parsing import raw
from services.market_data.parsing.columns import Precision
from services.market_data.preparing import Task, prepare, read
from services.market_data.tables import KINDS, to_client

BAR_TYPE = "BTCUSDT.BINANCE-1-MINUTE-LAST-EXTERNAL"
KLINE = "{open},100.5,101,99.5,100,1.25,{close},125.6,7,0.5,50.2,0"
MILLIS = 1_704_067_200_000
MINUTE = 60 * 10**9
START = MILLIS * 10**6


def prepared(
    folder: Path, content: bytes | str, kind: str, file_format: str = "CSV", **spec: Any
) -> tuple[Lines, Counts]:
    """Return what an upload becomes, with two decimals of price and three of size."""
    upload = folder / "upload"
    upload.write_bytes(content.encode() if isinstance(content, str) else content)
    bars = kind == "BAR"
    series = Series(kind, "BTCUSDT.BINANCE", BAR_TYPE if bars else "")
    message = pb.ImportSpec(
        kind=pb.DataKind.Value(f"DATA_KIND_{kind}"),
        format=pb.ImportFormat.Value(f"IMPORT_FORMAT_{file_format}"),
        instrument_id="" if bars else series.instrument_id,
        bar_type=series.bar_type,
        **spec,
    )
    task = Task(upload, folder / "rows", message, series, Precision(2, 3))
    counts = prepare(task)
    return read(task.scratch), counts


def values(given: Lines, kind: str) -> list[dict[str, Any]]:
    """Return rows with our types, and times in nanoseconds."""
    schema = KINDS[kind].client_schema(None)
    tables = [to_client(b, schema) for b in given.rows.combine_chunks().to_batches()]
    table = pa.Table.from_batches(tables)
    for i, name in enumerate(table.column_names):
        if pa.types.is_timestamp(table.schema.field(name).type):
            table = table.set_column(i, name, table[name].cast(pa.int64()))
    return [dict(row) for row in table.to_pylist()]


def fault_of(folder: Path, content: bytes | str, kind: str, *args: str, **spec: Any) -> ImportFault:
    """Return the fault that an upload ends in."""
    with pytest.raises(ImportFault) as caught:
        prepared(folder, content, kind, *args, **spec)
    return caught.value


@pytest.mark.parametrize("header", [False, True], ids=["bare", "header"])
@pytest.mark.parametrize("factor", [1, 1_000], ids=["milliseconds", "microseconds"])
def test_md14_binance_klines(tmp_path: Path, header: bool, factor: int) -> None:
    """MD-14a: klines of any year of the public data become bars stamped at their close."""
    lines = [
        KLINE.format(open=(MILLIS + i * 60_000) * factor, close=(MILLIS + i * 60_000 + 59_999))
        for i in range(2)
    ]
    if header:
        lines.insert(
            0,
            "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
            "taker_buy_volume,taker_buy_quote_volume,ignore",
        )
    given, counts = prepared(tmp_path, "\n".join(lines) + "\n", "BAR", "BINANCE_KLINES")
    rows = values(given, "BAR")
    assert [row["ts_init"] for row in rows] == [START + MINUTE, START + 2 * MINUTE]
    assert [str(rows[0][n]).rstrip("0") for n in ("high", "volume")] == ["101.", "1.25"]
    assert counts.rows_read == 2
    assert list(given.lines) == ([2, 3] if header else [1, 2])


def test_md14_binance_trades(tmp_path: Path) -> None:
    """MD-14b: of a trade whose buyer was the maker the seller is the aggressor."""
    text = f"7,100.5,0.250,25.1,{MILLIS},True,True\n8,100.4,1,100.4,{MILLIS + 1},false,True\n"
    rows = values(prepared(tmp_path, text, "TRADE_TICK", "BINANCE_TRADES")[0], "TRADE_TICK")
    assert [(r["trade_id"], r["aggressor_side"]) for r in rows] == [("7", 2), ("8", 1)]
    text = f"7,100.5,0.250,1,2,{MILLIS},true,true\n"
    rows = values(prepared(tmp_path, text, "TRADE_TICK", "BINANCE_AGG_TRADES")[0], "TRADE_TICK")
    assert [(r["trade_id"], r["ts_event"]) for r in rows] == [("7", START)]


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("2024-01-01 00:00:00+00:00", {}),
        ("2024-01-01T00:00:00.000000000Z", {}),
        ("2024-01-01T00:00:00", {}),
        ("2024-01-01", {}),
        ("2024-01-01 01:00:00", {"time_zone": "Europe/Berlin"}),
        ("1704067200", {}),
        (str(MILLIS), {}),
        (f" {START} ", {}),
        (str(MILLIS), {"time_unit": pb.TIME_UNIT_MILLISECOND}),
    ],
)
def test_md14_timestamps(tmp_path: Path, text: str, spec: dict[str, Any]) -> None:
    """MD-14c: a time is found in any common spelling, unit and zone."""
    content = f"timestamp,value\n{text},1.5\n"
    rows = values(prepared(tmp_path, content, "MARK_PRICE", **spec)[0], "MARK_PRICE")
    assert rows[0]["ts_init"] == START


def test_md14_floats_of_parquet_are_the_decimals_they_stand_for(tmp_path: Path) -> None:
    """MD-14d: binary noise is taken off, and what has more decimals is refused."""
    path = tmp_path / "f.parquet"
    table = pa.table({"timestamp": [START], "bid": [0.1 + 0.2], "ask": [0.31], "junk": ["x"]})
    pq.write_table(table, path)
    given, _ = prepared(tmp_path, path.read_bytes(), "QUOTE_TICK", "PARQUET")
    row = values(given, "QUOTE_TICK")[0]
    assert (str(row["bid_price"])[:6], str(row["bid_size"])[:7]) == ("0.3000", "1000000")
    pq.write_table(table.set_column(1, "bid", pa.array([0.3001])), path)
    fault = fault_of(tmp_path, path.read_bytes(), "QUOTE_TICK", "PARQUET")
    assert (fault.reason, fault.faults[0]["line"]) == ("BAD_ROW", 1)


QUOTE = "timestamp,bid,ask,bid_size,ask_size\n"
DELTA = "timestamp,action,side,price,size,order_id\n"
TRADE = "timestamp,price,size,side,trade_id\n"
BAR = "timestamp,open,high,low,close\n"


@pytest.mark.parametrize(
    ("kind", "content", "line", "column"),
    [
        ("BAR", BAR + "0,1,2,1,1.5\n60,2.5,2,1,1\n", 3, "high"),
        ("BAR", BAR + "60,1,2,1.5,1.7\n", 2, "low"),
        ("BAR", BAR + "60,1,2,,1\n", 2, "low"),
        ("QUOTE_TICK", QUOTE + "1,1.5,1.6,1,-1\n", 2, "ask_size"),
        ("QUOTE_TICK", QUOTE + "1,1.555,1.6,1,1\n", 2, "bid"),
        ("QUOTE_TICK", QUOTE + "1,99999999999999,1.6,1,1\n", 2, "bid"),
        ("QUOTE_TICK", QUOTE + "1,nan,1.6,1,1\n", 2, "bid"),
        ("TRADE_TICK", TRADE + "1,1,0,BUY,a\n", 2, "size"),
        ("TRADE_TICK", TRADE + "1,1,1,up,a\n", 2, "side"),
        ("TRADE_TICK", TRADE + "1,1,1,BUY,\n", 2, "trade_id"),
        ("ORDER_BOOK_DELTA", DELTA + "1,ADD,BUY,1,0,1\n", 2, "size"),
        ("ORDER_BOOK_DELTA", DELTA + "1,ADD,BUY,1,1,-1\n", 2, "order_id"),
        ("MARK_PRICE", "timestamp,value\n1969-12-31,1\n", 2, "timestamp"),
        ("MARK_PRICE", "timestamp,value\n\n2024-01-01,1\n\nyesterday,1\n", 5, "timestamp"),
        ("MARK_PRICE", "timestamp,value\n2024-01-01T00:00:00Z,1\n2024-01-02,1\n", 3, "timestamp"),
    ],
)
def test_md03_each_fault_is_found(
    tmp_path: Path, kind: str, content: str, line: int, column: str
) -> None:
    """MD-03b: each kind of bad value is told with its line and its column."""
    fault = fault_of(tmp_path, content, kind)
    assert fault.reason == "BAD_ROW"
    assert [(f["line"], f["column"]) for f in fault.faults] == [(line, column)]


def test_md03_lines_are_counted_over_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MD-03c: in a file larger than a block the line is still exact, past empty lines too."""
    monkeypatch.setattr(raw, "BLOCK", 4096)
    good = "".join(f"{i},1.5\n" + ("\n" if i % 97 == 0 else "") for i in range(1, 2_000))
    content = f"timestamp,value\n{good}x,1\n"
    fault = fault_of(tmp_path, content, "MARK_PRICE")
    assert fault.faults[0]["line"] == content.count("\n")


@pytest.mark.parametrize(
    ("content", "args", "text"),
    [
        (b"", (), "not CSV"),
        (b"timestamp,open\n1,2\n", (), "no column 'high'"),
        (b"timestamp,open,high,low,close\n", (), "no rows"),
        (gzip.compress(b"x" * 100, mtime=0), (), "BAD_FILE"),
        (b"PAR1 not really", ("PARQUET",), "not Parquet"),
        (b"1,2,3\n", ("BINANCE_KLINES",), "3 columns"),
        (b"1,2\n", ("BINANCE_TRADES",), "TRADE_TICK"),
    ],
)
def test_md03_files_of_another_format(
    tmp_path: Path, content: bytes, args: tuple[str, ...], text: str
) -> None:
    """MD-03d: a file that is not of its format is a BAD_FILE with a plain sentence."""
    fault = fault_of(tmp_path, content, "BAR", *args)
    assert fault.reason == "BAD_FILE"
    assert text in f"{fault.reason} {fault.message}"


def test_md05_duplicates_by_kind(tmp_path: Path) -> None:
    """MD-05b: equal rows of a name are one; of quotes only repeats in a row; of deltas none."""
    bars = BAR + "60,1,2,1,1.5\n120,1,2,1,1.5\n60,1,2,1,1.5\n"
    assert prepared(tmp_path, bars, "BAR")[1].duplicates == 1
    quotes = QUOTE + "1,1,2,1,1\n1,1,2,1,1\n1,1.5,2,1,1\n1,1,2,1,1\n"
    given, counts = prepared(tmp_path, quotes, "QUOTE_TICK")
    assert (counts.duplicates, list(given.lines)) == (1, [2, 4, 5])
    deltas = DELTA + "1,ADD,BUY,1,1,1\n1,DELETE,BUY,1,1,1\n1,ADD,BUY,1,1,1\n1,ADD,BUY,1,1,1\n"
    assert prepared(tmp_path, deltas, "ORDER_BOOK_DELTA")[1].duplicates == 0


def test_md05_contradictions_name_their_line(tmp_path: Path) -> None:
    """MD-05c: two rows of one name that differ are told with the line of the later one."""
    fault = fault_of(tmp_path, BAR + "120,1,2,1,1.5\n60,1,2,1,1.5\n60,1,2,1,1.6\n", "BAR")
    assert (fault.reason, fault.faults[0]["line"]) == ("ROW_CONFLICT", 4)
    fault = fault_of(tmp_path, TRADE + "1,1,1,BUY,a\n2,1,1,BUY,a\n", "TRADE_TICK")
    assert (fault.reason, fault.faults[0]["line"]) == ("ROW_CONFLICT", 3)


def test_md05_order(tmp_path: Path) -> None:
    """MD-05d: rows out of order are sorted, keeping the file's order among equals, or refused."""
    text = "timestamp,value\n3,1\n1,2\n1,3\n2,4\n"
    given, counts = prepared(tmp_path, text, "MARK_PRICE")
    assert (list(given.lines), counts.rows_unsorted) == ([3, 4, 5, 2], 1)
    fault = fault_of(tmp_path, text, "MARK_PRICE", require_sorted=True)
    assert (fault.reason, fault.faults[0]["line"]) == ("BAD_ROW", 3)
