"""Columns as updates: each row is what the feed's process would write of the object itself."""

from decimal import Decimal
from typing import Any

import pytest
from nautilus_trader.model.data import FundingRateUpdate

from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1.market_data_service_pb2 import (
    WatchMarketDataItem,
    WatchMarketDataResponse,
)
from mesh.marketdata.v1.marketdata_pb2 import DataKind
from services.market_data.engine.feed import columns as feed
from services.market_data.engine.feed import objects
from services.market_data.live import columns, wire
from unit.market_data.test_columns import BAR_TYPE, CASES, ID, made

FUNDING = [
    FundingRateUpdate(ID, Decimal("0.00010"), 1, 2, interval=480, next_funding_ns=2**60),
    FundingRateUpdate(ID, Decimal("-0.0003"), 3, 4),
]


def _channel(kind: str) -> pb.Channel:
    return pb.Channel(
        kind=DataKind.Value(f"DATA_KIND_{kind}"),
        instrument_id=str(ID),
        bar_type=str(BAR_TYPE) if kind == "BAR" else "",
    )


def _batch(kind: str, rows: list[Any], price: int, size: int) -> pb.MarketDataBatch:
    batch = pb.MarketDataBatch(channel=_channel(kind), rows=len(rows))
    feed.fill(kind, rows, batch, price, size)
    return batch


@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_rows_of_every_kind(kind: str, shape: tuple[int, int, int]) -> None:
    """Exact decimals, enums and times of every kind, of values in 8 and in 16 bytes."""
    price, size, _ = shape
    rows = made(kind, *shape)
    batch = _batch(kind, rows, price, size)
    expected = [objects.update(kind, _channel(kind), row) for row in rows]
    assert columns.updates(batch) == expected
    assert columns.updates(batch, only_last=True) == expected[-1:]
    response = WatchMarketDataResponse.FromString(columns.items(batch))
    assert [item.update for item in response.items] == expected


def test_funding_rates() -> None:
    """Rates are text, intervals and next times may be missing."""
    batch = _batch("FUNDING_RATE", FUNDING, 2, 0)
    channel = _channel("FUNDING_RATE")
    expected = [objects.update("FUNDING_RATE", channel, row) for row in FUNDING]
    assert columns.updates(batch) == expected


@pytest.mark.parametrize(
    ("mantissa", "precision", "text"),
    [
        (1500, 2, "15.00"),
        (-5, 2, "-0.05"),
        (0, 0, "0"),
        (-7, 0, "-7"),
        (10**20, 16, "10000.0" + "0" * 15),
    ],
)
def test_decimals(mantissa: int, precision: int, text: str) -> None:
    """All decimals of the precision are written, and nothing goes through a float."""
    assert columns.decimal(mantissa, precision) == text


@pytest.mark.parametrize("size", [0, 1, 127, 128, 20_000])
def test_a_response_is_put_together_from_bytes(size: int) -> None:
    """What is put together is what protobuf itself would read and write."""
    batch = pb.MarketDataBatch(sequence=7, rows=3, ts_init=b"x" * size)
    payload = batch.SerializeToString()
    gap = pb.FeedGap(cause=pb.GAP_CAUSE_SLOW_READER)
    out = wire.Outgoing()
    assert not out
    out.put(gap=gap)
    out.add(wire.batch_head(len(payload)), payload)
    expected = WatchMarketDataResponse(
        items=[WatchMarketDataItem(gap=gap), WatchMarketDataItem(batch=batch)], cursor="abc"
    )
    made_of = out.finish("abc", checkpoint=False)
    assert WatchMarketDataResponse.FromString(made_of) == expected
    expected.checkpoint = True
    assert WatchMarketDataResponse.FromString(out.finish("abc", checkpoint=True)) == expected
    assert wire.serialize(made_of) is made_of
