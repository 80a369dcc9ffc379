"""Backtests on what was recorded: case MD-96."""

import asyncio
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from nautilus_trader.model.data import BookOrder, OrderBookDelta, QuoteTick
from nautilus_trader.model.enums import BookAction, OrderSide
from nautilus_trader.model.objects import Price, Quantity

from integration.backtest import sample
from integration.backtest.test_parity import RANDOM_COLUMNS, nothing
from integration.market_data.recording.conftest import FEED, OWNER, PROJECT, Lab
from integration.market_data.recording.rows import channel_message
from mesh.marketdata.v1.live_pb2 import MarketDataBatch
from meshkit.nautilus.definitions import definition
from services.backtest.engine.run import run
from services.backtest.task import DataTask, RunTask
from services.market_data.engine.feed.columns import fill
from services.market_data.file_store import FileStore
from services.market_data.live.domain import Channel
from services.market_data.live.recording.taking import series_of

YEN = sample.currency_pair()
ID = str(YEN.id)


def quotes(count: int) -> list[QuoteTick]:
    """Return quotes on a random walk, two seconds apart."""
    middle = 100 + np.cumsum(np.random.default_rng(3).normal(0, 0.01, count))
    million = Quantity.from_int(1_000_000)
    return [
        QuoteTick(YEN.id, Price(m, 3), Price(m + 0.02, 3), million, million, ts, ts)
        for ts, m in ((sample.START + i * 2 * 10**9, m) for i, m in enumerate(middle))
    ]


def deltas(count: int) -> list[OrderBookDelta]:
    """Return a book that is said anew each second: CLEAR and a level on each side."""
    made = []
    for i, quote in enumerate(quotes(count)):
        ts = quote.ts_init
        made.append(OrderBookDelta.clear(YEN.id, i, ts, ts))
        levels = ((OrderSide.BUY, quote.bid_price), (OrderSide.SELL, quote.ask_price))
        for last, (side, price) in enumerate(levels):
            order = BookOrder(side, price, quote.bid_size, last + 1)
            flags = 32 | (128 if last else 0)  # of a snapshot; the last of its event
            made.append(OrderBookDelta(YEN.id, BookAction.ADD, order, flags, i, ts, ts))
    return made


BARS = sample.BAR.format(ID, "BID")
CASES: dict[str, tuple[list[tuple[str, list[Any]]], str, dict[str, Any]]] = {
    "bars": ([("BAR", sample.bars(YEN, side, 3_000)) for side in ("BID", "ASK")], BARS, {}),
    "trades": (
        [("TRADE_TICK", sample.trades(YEN, 8_000))],
        f"{ID}-1-MINUTE-LAST-INTERNAL",
        {},
    ),
    "quotes": ([("QUOTE_TICK", quotes(20_000))], f"{ID}-1-MINUTE-BID-INTERNAL", {}),
    "deltas": (
        [("ORDER_BOOK_DELTA", deltas(20_000)), ("QUOTE_TICK", quotes(20_000))],
        f"{ID}-1-MINUTE-BID-INTERNAL",
        {"book_type": "BOOK_TYPE_L2_MBP"},
    ),
}


def channel_of(kind: str, rows: list[Any]) -> Channel:
    """Return the channel of ticks."""
    return Channel(kind, ID, str(rows[0].bar_type) if kind == "BAR" else "")


async def record(lab: Lab, kind: str, rows: list[Any]) -> DataTask:
    """Record ticks; returns them as a run selects them."""
    channel = channel_of(kind, rows)
    await lab.recorder.start(PROJECT, FEED, channel, OWNER)
    for start in range(0, len(rows), 500):
        batch = MarketDataBatch(channel=channel_message(channel))
        fill(kind, rows[start : start + 500], batch, 3, 0)
        lab.take(channel, [batch])
        if start % 5_000 == 0:
            await lab.read(channel)
    series = series_of(channel)
    await lab.recorder.flush(PROJECT, series)
    async with lab.database.connection() as tx:
        files = await FileStore().find(tx, PROJECT, series)
    return DataTask(
        kind=kind,
        instrument_id=ID,
        bar_type=channel.bar_type,
        files=tuple((file.path, file.sha256) for file in files),
        start=rows[0].ts_init,
        end=rows[-1].ts_init,
    )


@pytest.fixture(scope="module")
def apart() -> Iterator[ProcessPoolExecutor]:
    """Give a process for runs: what replaces parts of Nautilus must not do so in the tests'."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def figures_of(
    apart: ProcessPoolExecutor,
    catalog: Path,
    data: list[DataTask],
    bar_type: str,
    venue: dict[str, Any],
) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """Run the EMA cross on stored data, in a process of its own."""
    output = catalog.with_name(f"{catalog.name}-output")
    output.mkdir()
    config = {"instrument_id": ID, "bar_type": bar_type, "trade_size": "100000"}
    task = RunTask(
        backtest_id="recorded",
        trader_id="BACKTESTER-001",
        venues=[sample.venue(**venue)],
        data=tuple(data),
        instrument_ids=(ID,),
        components=(sample.component("ema_cross", **config),),
        start=min(each.start for each in data),
        end=max(each.end for each in data),
        chunk_size=0,
        seed=0,
        skip_analysis=False,
        catalog=str(catalog),
        output=str(output),
        memory_mb=0,
    )
    figures = apart.submit(run, task, nothing).result()
    return figures, {p.stem: pq.read_table(p).to_pandas() for p in output.glob("*.parquet")}


@pytest.mark.parametrize("name", CASES)
async def test_md96_a_backtest_on_recorded_data(
    lab: Lab, name: str, tmp_path: Path, apart: ProcessPoolExecutor
) -> None:
    """MD-96: a run on what was recorded trades as one on what Nautilus wrote of the same ticks."""
    parts, bar_type, venue = CASES[name]
    lab.venue.instruments = {ID: definition(YEN)}
    async with lab.life():
        recorded = [await record(lab, kind, rows) for kind, rows in parts]
        await _go_on(lab, *parts[0])
        figures, tables = await asyncio.to_thread(
            figures_of, apart, lab.catalog, recorded, bar_type, venue
        )
    theirs = sample.write(tmp_path / "theirs", [YEN], *(rows for _, rows in parts))
    selected = [sample.selection(theirs, rows) for _, rows in parts]
    for index, (kind, _) in enumerate(parts):
        selected[index] = DataTask(kind, *_rest(selected[index]))
    others = await asyncio.to_thread(
        figures_of, apart, Path(theirs.path), selected, bar_type, venue
    )
    assert figures["total_orders"] > 20
    assert _comparable(figures) == _comparable(others[0])
    for table, rows in tables.items():
        columns = [c for c in rows.columns if c not in RANDOM_COLUMNS]
        assert rows[columns].to_dict("list") == others[1][table][columns].to_dict("list"), table


async def _go_on(lab: Lab, kind: str, rows: list[Any]) -> None:
    """Record on, so that the files that the run has pinned are joined with others."""
    more = [type(row).from_dict(type(row).to_dict(row)) for row in rows[-100:]]
    series = series_of(channel_of(kind, rows))
    batch = MarketDataBatch(channel=channel_message(channel_of(kind, rows)))
    fill(kind, more, batch, 3, 0)
    lab.take(channel_of(kind, rows), [batch])
    await lab.recorder.flush(PROJECT, series)


def _rest(task: DataTask) -> tuple[Any, ...]:
    return task.instrument_id, task.bar_type, task.files, task.start, task.end


def _comparable(figures: dict[str, Any]) -> dict[str, Any]:
    names = ("iterations", "total_events", "total_orders", "total_positions", "pnls", "returns")
    return {name: figures[name] for name in names}
