"""Internal bars of a replay are those of a backtest on the same data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nautilus_trader.model.data import Bar
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from integration.market_data.replay.conftest import Replay
from integration.market_data.replay.made import described, rows_of
from integration.nautilus.runs import apart, in_backtest
from integration.nautilus.witness import BTC, ETH, Case
from mesh.marketdata.v1 import live_pb2 as live
from meshkit.nautilus.ticks import objects_of
from services.market_data.live import frames

BARS = (
    "1-MINUTE-LAST-INTERNAL",
    "15-SECOND-LAST-INTERNAL",
    "100-TICK-LAST-INTERNAL",
    "50-VOLUME-LAST-INTERNAL",
    "500000-VALUE-LAST-INTERNAL",
    "5-MINUTE-LAST-INTERNAL@1-MINUTE-INTERNAL",
)


def _write(catalog: Path, case: Case) -> None:
    stored = ParquetDataCatalog(str(catalog))
    stored.write_data([BTC, ETH])
    for instrument in (BTC, ETH)[: case.instruments]:
        stored.write_data([row for row in case.data() if row.instrument_id == instrument.id])


def _told(feed: Replay, channel: int) -> list[tuple[Any, ...]]:
    """Return bars as a backtest's witness notes them, but for its clock."""
    made: list[tuple[Any, ...]] = []
    for batch in feed.batches(channel):
        for bar in objects_of(live.MarketDataBatch.FromString(batch.payload)):
            assert isinstance(bar, Bar)
            prices = (str(bar.open), str(bar.high), str(bar.low), str(bar.close), str(bar.volume))
            made.append(("bar", bar.ts_event, bar.ts_init, *prices))
    return made


@pytest.mark.parametrize(
    ("case", "speed"),
    [
        (Case(5_000, bars=BARS), 0),
        (Case(5_000, bars=BARS), 20_000),
        (Case(5_000, "quotes", bars=("1-MINUTE-BID-INTERNAL", "90-TICK-MID-INTERNAL")), 0),
        (Case(3_000, "trades", instruments=2, bars=("1-MINUTE-LAST-INTERNAL",)), 0),
    ],
)
async def test_bars_of_a_backtest(
    catalog: Path, replay: Callable[..., Any], case: Case, speed: float
) -> None:
    """Bars by time, ticks, volume, value and of other bars equal a backtest's, at any speed."""
    _write(catalog, case)
    names = [f"{i.id}-{bars}" for i in (BTC, ETH)[: case.instruments] for bars in case.bars]
    expected = apart(in_backtest, case)
    async with replay({"speed": speed}) as feed:
        for number, name in enumerate(names):
            feed.send(frames.Open(number, "BAR", name.split("-")[0], name))
            await feed.item(number, "LIVE")
        await feed.control("resume")
        await feed.end()
        for number, name in enumerate(names):
            short = name.split("@")[0]
            theirs = [(n[0], *n[2:9]) for n in expected if n[:2] == ("bar", short)]
            assert theirs
            assert _told(feed, number) == theirs


async def test_bars_beside_their_ticks(catalog: Path, replay: Callable[..., Any]) -> None:
    """A window's bars come after its ticks, and a channel of ticks is whole beside them."""
    case = Case(3_000)
    _write(catalog, case)
    async with replay() as feed:
        feed.send(frames.Open(1, "BAR", str(BTC.id), f"{BTC.id}-10-TICK-LAST-INTERNAL"))
        feed.send(frames.Open(2, "TRADE_TICK", str(BTC.id)))
        await feed.item(2, "LIVE")
        await feed.control("resume")
        await feed.end()
        assert rows_of(feed.batches(2)) == described(case.data())
        seen = 0
        for batch in feed.of(frames.Batch):
            if batch.channel == 2:
                seen = batch.last
            else:
                assert batch.last <= seen
        assert sum(batch.rows for batch in feed.batches(1)) == 300


async def test_an_unknown_instrument(catalog: Path, replay: Callable[..., Any]) -> None:
    """Bars of an instrument that the catalog does not define are refused with its name."""
    stored = ParquetDataCatalog(str(catalog))
    stored.write_data(Case(100).data())
    async with replay() as feed:
        name = f"{BTC.id}-1-MINUTE-LAST-INTERNAL"
        feed.send(frames.Open(1, "BAR", str(BTC.id), name))
        failed = await feed.item(1, "FAILED")
        assert failed.reason == "INSTRUMENT_NOT_AT_VENUE"
        assert str(BTC.id) in failed.message


async def test_bars_that_cannot_be_made(catalog: Path, replay: Callable[..., Any]) -> None:
    """Bars of too small a step end alone, and so do those that another open type hides."""
    _write(catalog, Case(3_000))
    small, minute = f"{BTC.id}-1-VALUE-LAST-INTERNAL", f"{BTC.id}-1-MINUTE-LAST-INTERNAL"
    hidden = f"{BTC.id}-1-MINUTE-LAST-INTERNAL@15-SECOND-INTERNAL"
    async with replay({"speed": 0}) as feed:
        feed.send(frames.Open(1, "BAR", str(BTC.id), small))
        feed.send(frames.Open(2, "BAR", str(BTC.id), minute))
        await feed.item(2, "LIVE")
        feed.send(frames.Open(3, "BAR", str(BTC.id), hidden))
        failed = await feed.item(3, "FAILED")
        assert (failed.reason, minute in failed.message) == ("KIND_UNSUPPORTED", True)
        await feed.control("resume")
        failed = await feed.item(1, "FAILED")
        assert (failed.reason, small in failed.message) == ("KIND_UNSUPPORTED", True)
        await feed.end()
        assert _told(feed, 2)
