"""Batches of live data: what the bytes mean."""

from decimal import Decimal

import pyarrow as pa
import pytest

from mesh.marketdata.v1 import live_pb2 as pb
from meshclient.batches import Batch
from meshclient.errors import MeshClientError
from unit.meshclient.live_server import int64s, quotes, wide


def test_mc_13_integers_lie_in_the_bytes_that_came() -> None:
    """MC-13: a column of integers is a view of the message, and says its decimals."""
    batch = Batch(quotes((110000, 110002), (109999, 110001)))
    column = batch.column("bid_price")
    assert column.to_pylist() == [110000, 109999]
    assert column.type == pa.int64()
    assert batch.precision("bid_price") == 5
    assert column.to_numpy(zero_copy_only=True)[1] == 109999
    assert (batch.kind, len(batch), batch.sequence) == ("quotes", 2, 7)


def test_mc_13_a_table_has_the_columns_of_history() -> None:
    """MC-13: names and order are those of ``mesh.data.read``; integers say their decimals."""
    table = Batch(quotes((110000, 110002))).table()
    assert table.column_names == [
        *("bid_price", "ask_price", "bid_size", "ask_size"),
        *("ts_event", "ts_init"),
    ]
    assert table.schema.field("ask_price").metadata == {b"precision": b"5"}
    assert table.schema.field("ts_event").type == pa.timestamp("ns", "UTC")


def test_mc_13_decimals_are_exact() -> None:
    """MC-13: by request prices are decimal128(38, 16), also negative and 16-byte ones."""
    table = Batch(quotes((-1, 110002))).table(exact=True)
    assert table["bid_price"].to_pylist() == [Decimal("-0.00001")]
    assert table.schema.field("bid_price").type == pa.decimal128(38, 16)
    huge = 123_456_789_012_345_678_901
    prices = pb.PriceColumns(value=wide(huge, -huge))
    times = int64s(1, 2)
    batch = Batch(
        pb.MarketDataBatch(rows=2, price_precision=16, ts_event=times, ts_init=times, prices=prices)
    )
    assert batch.column("value").to_pylist() == [Decimal(huge), Decimal(-huge)]
    exact = batch.decimals("value").to_pylist()
    assert exact == [Decimal("12345.6789012345678901"), Decimal("-12345.6789012345678901")]


def test_mc_13_a_depth_has_a_column_for_each_level() -> None:
    """MC-13: ten levels a row become ``bid_price_0`` to ``bid_price_9``."""
    levels = int64s(*range(20))
    counts = b"".join(n.to_bytes(4, "little") for n in range(20))
    depths = pb.DepthColumns(
        bid_price=levels,
        ask_price=levels,
        bid_size=levels,
        ask_size=levels,
        bid_count=counts,
        ask_count=counts,
        flags=bytes(2),
        sequence=int64s(5, 6),
    )
    times = int64s(1, 2)
    table = Batch(pb.MarketDataBatch(rows=2, ts_event=times, ts_init=times, depths=depths)).table()
    assert table["bid_price_0"].to_pylist() == [0, 10]
    assert table["ask_count_9"].to_pylist() == [9, 19]
    assert table["sequence"].to_pylist() == [5, 6]
    assert table.num_columns == 64


def test_mc_13_texts_and_enums() -> None:
    """MC-13: trade ids are text, enums are Nautilus' own numbers."""
    trades = pb.TradeColumns(
        price=int64s(100), size=int64s(5), aggressor_side=b"\x02", trade_id=["T1"]
    )
    one = int64s(1)
    batch = Batch(
        pb.MarketDataBatch(rows=1, size_precision=3, ts_event=one, ts_init=one, trades=trades)
    )
    row = batch.table(exact=True).drop_columns(["ts_event", "ts_init"]).to_pylist()[0]
    assert row == {
        "price": Decimal(100),
        "size": Decimal("0.005"),
        "aggressor_side": 2,
        "trade_id": "T1",
    }


def test_mc_13_damage_is_told() -> None:
    """MC-13: a column of a wrong length, or of no kind, is an error and no wrong number."""
    message = quotes((1, 2), (3, 4))
    message.quotes.bid_price = message.quotes.bid_price[:-1]
    with pytest.raises(MeshClientError, match="2 values has 15 bytes"):
        Batch(message).column("bid_price")
    with pytest.raises(MeshClientError, match="no columns"):
        Batch(pb.MarketDataBatch(rows=1)).table()
