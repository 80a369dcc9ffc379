"""Recording: what is in the catalog is what was sent. Cases MD-80 to MD-84."""

from decimal import Decimal, InvalidOperation
from itertools import chain
from typing import Any

import pytest
from nautilus_trader.model.data import FundingRateUpdate
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from integration.market_data.recording.conftest import FEED, OWNER, PROJECT, Lab, definition, until
from integration.market_data.recording.rows import (
    BAR_TYPE,
    ID,
    PRICE,
    SIZE,
    batches_of,
    book,
    channel_of,
    funding,
    level,
    trade,
)
from integration.market_data.test_history import CLASSES
from mesh.marketdata.v1.marketdata_pb2 import DataKind
from services.backtest.engine.data import funding_rates, index_prices
from services.market_data.live.domain import Channel
from services.market_data.live.frames import Gap
from services.market_data.live.recording.columns import Precision, rows_of
from services.market_data.live.recording.taking import series_of
from services.market_data.tables import KINDS as TABLES
from unit.market_data.test_columns import made

KINDS = [name.removeprefix("DATA_KIND_") for name, value in DataKind.items() if value]


def ticks(kind: str) -> list[Any]:
    """Return ticks of a kind; deltas with the snapshot that a stream of them begins with."""
    if kind == "FUNDING_RATE":
        return [funding(number) for number in range(50)]
    rows = made(kind, PRICE, SIZE, 100)
    return [*book(1, 10**17), *rows] if kind == "ORDER_BOOK_DELTA" else rows


@pytest.mark.parametrize("kind", KINDS)
async def test_md80_what_is_recorded_is_what_was_sent(lab: Lab, kind: str) -> None:
    """MD-80: every kind, row for row and in order, also as Nautilus reads it."""
    rows = ticks(kind)
    batches = batches_of(kind, rows, 7)
    async with lab.life():
        channel = await lab.start(kind)
        lab.take(channel, batches[:3])
        await until(lambda: list(lab.catalog.glob("data/**/*.parquet")))
        lab.take(channel, batches[3:])
        stored = await lab.read(channel)
    sent = rows_of(series_of(channel), batches, Precision(PRICE, SIZE))
    assert stored.to_pylist() == sent.to_pylist()
    files = sorted(lab.catalog.glob(f"data/{TABLES[kind].folder}/*/*.parquet"))
    if kind == "INDEX_PRICE":  # Nautilus cannot read them; the backtest engine's reader does
        assert list(chain(*index_prices(files, str(ID), 0, 2**63, 10))) == rows
        return
    if kind == "FUNDING_RATE":
        assert list(chain(*funding_rates(files, str(ID), 0, 2**63))) == rows
    data_class = CLASSES.get(DataKind.Value(f"DATA_KIND_{kind}"), FundingRateUpdate)
    identifier = str(BAR_TYPE if kind == "BAR" else ID)
    theirs = ParquetDataCatalog(str(lab.catalog)).query(data_class, identifiers=[identifier])
    assert [plain(type(x).to_dict(x)) for x in theirs] == [plain(type(x).to_dict(x)) for x in rows]


def plain(value: Any) -> Any:
    """Return values as numbers: 0 and 0.000 are one price."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    try:
        return Decimal(value) if isinstance(value, str) else value
    except InvalidOperation:
        return value


async def test_md81_the_instrument_is_made_of_the_venues(lab: Lab) -> None:
    """MD-81a: what the project lacks is created; what comes before it is known is kept."""
    missing = lab.venue.instruments.pop(str(ID))
    async with lab.life():
        channel = await lab.start("TRADE_TICK")
        lab.take(channel, batches_of("TRADE_TICK", [trade(1)]))
        reason, message = await until(lambda: _problem(lab, channel))
        assert (reason, "no instrument" in message) == ("RECORDING_REFUSED", True)
    lab.venue.instruments[str(ID)] = missing
    async with lab.life():
        channel = await lab.start("TRADE_TICK")
        lab.take(channel, batches_of("TRADE_TICK", [trade(2)]))
        assert (await lab.read(channel))["trade_id"].to_pylist() == ["2"]
        assert _problem(lab, channel) is None
    assert [str(i.id) for i in ParquetDataCatalog(str(lab.catalog)).instruments()] == [str(ID)]


def _problem(lab: Lab, channel: Channel) -> tuple[str, str] | None:
    reason, message = lab.recorder.problem(PROJECT, FEED, channel)
    return (reason, message) if reason else None


async def test_md81_another_instrument_is_refused(lab: Lab) -> None:
    """MD-81b: a project's instrument of other decimals is not recorded into; nor are internal
    bars, nor one series by two feeds.
    """
    async with lab.life():
        channel = await lab.start("TRADE_TICK")
        lab.take(channel, batches_of("TRADE_TICK", [trade(1)]))
        await lab.read(channel)
        await lab.recorder.start(PROJECT, "other", channel, OWNER)
        reason, message = lab.recorder.problem(PROJECT, "other", channel)
        assert (reason, FEED in message) == ("RECORDING_REFUSED", True)
        internal = Channel("BAR", str(ID), "X/Y.SIM-1-MINUTE-LAST-INTERNAL")
        await lab.recorder.start(PROJECT, FEED, internal, OWNER)
        assert lab.recorder.problem(PROJECT, FEED, internal)[0] == "RECORDING_REFUSED"
        changed = definition(price_precision=5, price_increment="0.00001")
        lab.venue.instruments[str(ID)] = changed
        quotes = await lab.start("QUOTE_TICK")
        reason, message = await until(lambda: _problem(lab, quotes))
        assert (reason, "decimals" in message) == ("RECORDING_REFUSED", True)


async def test_md82_a_book_begins_with_its_snapshot(lab: Lab) -> None:
    """MD-82: changes before a snapshot are left out, at the start and after a gap."""
    kind = "ORDER_BOOK_DELTA"
    async with lab.life():
        channel = await lab.start(kind)
        lab.take(channel, batches_of(kind, [level(1), *book(2), level(3)], 2))
        assert (await lab.read(channel))["sequence"].to_pylist() == [2, 2, 2, 3]
        lab.recorder.gap(PROJECT, FEED, channel, Gap(1, "VENUE_DISCONNECTED", message="Lost."))
        lab.take(channel, batches_of(kind, [level(4), *book(5)]))
        assert (await lab.read(channel))["sequence"].to_pylist() == [2, 2, 2, 3, 5, 5, 5]
        (gap,) = await lab.gaps(channel)
        assert (gap.cause, gap.filled, gap.history_job_id) == ("VENUE_DISCONNECTED", False, None)
        assert gap.to_init == book(5)[0].ts_init


async def test_md83_many_writings_make_few_files(lab: Lab) -> None:
    """MD-83: a thousand rows written one by one are few files, each row once."""
    async with lab.life():
        channel = await lab.start("TRADE_TICK")
        for number in range(100):
            lab.take(channel, batches_of("TRADE_TICK", [trade(number)]))
            await lab.recorder.flush(PROJECT, series_of(channel))
        stored = await lab.read(channel)
    assert stored["trade_id"].to_pylist() == [str(number) for number in range(100)]
    assert len(list(lab.catalog.glob("data/trade_tick/**/*.parquet"))) <= 8


async def test_md84_recording_stops_and_goes_on(lab: Lab) -> None:
    """MD-84: all is in the catalog when it stops; a pause on purpose is no gap."""
    channel = channel_of("TRADE_TICK")
    async with lab.life():
        await lab.start("TRADE_TICK")
        lab.take(channel, batches_of("TRADE_TICK", [trade(1)]))
        await lab.recorder.stop(PROJECT, FEED, channel)
        assert (await lab.stored(series_of(channel))).num_rows == 1
        await lab.start("TRADE_TICK")
        lab.take(channel, batches_of("TRADE_TICK", [trade(3)]))
        assert (await lab.read(channel)).num_rows == 2
        assert not await lab.gaps(channel)
