"""Holes in recordings: said, filled, and none at the seam to what is live. Cases MD-88, MD-89."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from integration.market_data.recording.conftest import (
    FEED,
    PROJECT,
    QUICK,
    Lab,
    refused,
    until,
)
from integration.market_data.recording.rows import (
    LAG,
    SECOND,
    START,
    bar,
    batches_of,
    channel_of,
    trade,
)
from services.market_data.domain import Series
from services.market_data.live.domain import Channel
from services.market_data.live.frames import Gap
from services.market_data.live.history.store import HistoryJobStore
from services.market_data.live.recording.taking import series_of
from services.market_data.ranges import RangeStore

LOST = Gap(1, "VENUE_DISCONNECTED", message="The connection was lost.")


async def filled(lab: Lab, channel: Channel) -> Any:
    """Return the only gap of a channel when it is filled."""

    async def look() -> Any:
        gaps = await lab.gaps(channel)
        return gaps[0] if len(gaps) == 1 and gaps[0].filled else None

    return await until(look)


async def ranges(lab: Lab, series: Series) -> list[tuple[int, int]]:
    """Return what is known of a series."""
    async with lab.database.connection() as tx:
        return await RangeStore().find(tx, PROJECT, series)


async def test_md88_a_hole_in_trades_is_filled_from_the_venue(lab: Lab) -> None:
    """MD-88a: what came at the venue while the feed was away is there once, and no row twice,
    also of the very instants at which the hole begins and ends.
    """
    twin = trade(91, trade(9).ts_event), trade(92, trade(30).ts_event)
    there = [*(trade(n, lag=0) for n in range(10)), twin[0], *(trade(n) for n in range(10, 30))]
    lab.venue.rows = [*there, twin[1], *(trade(n, lag=0) for n in range(30, 40))]
    async with lab.life():
        channel = await lab.start("TRADE_TICK")
        lab.take(channel, batches_of("TRADE_TICK", [trade(n) for n in range(10)]))
        lab.recorder.gap(PROJECT, FEED, channel, LOST)
        lab.recorder.gap(PROJECT, FEED, channel, LOST)
        await lab.recorder.flush(PROJECT, series_of(channel))
        (open_,) = await lab.gaps(channel)
        assert (open_.to_init, open_.from_init) == (None, trade(9).ts_init)
        lab.take(channel, batches_of("TRADE_TICK", [trade(n) for n in range(30, 40)]))
        await lab.recorder.flush(PROJECT, series_of(channel))
        gap = await filled(lab, channel)
        assert (gap.cause, gap.to_init) == ("VENUE_DISCONNECTED", trade(30).ts_init)
        stored = (await lab.read(channel)).to_pylist()
        async with lab.database.connection() as tx:
            job = await HistoryJobStore().find(tx, [PROJECT], gap.history_job_id)
    assert job is not None
    assert (job.state, job.rows_written) == ("SUCCEEDED", 22)
    assert [row["ts_init"] for row in stored] == sorted(row["ts_init"] for row in stored)
    ids = sorted(int(row["trade_id"]) for row in stored)
    assert ids == [*range(40), 91, 92]
    live = {int(r["trade_id"]): r["ts_init"] - r["ts_event"] for r in stored}
    assert [n for n, lag in live.items() if lag == LAG] == [*range(10), *range(30, 40)]
    assert await ranges(lab, series_of(channel)) == [(START, trade(39).ts_event)]


async def test_md88_a_hole_in_bars_is_filled_and_the_next_bar_is_none(lab: Lab) -> None:
    """MD-88b: missing bars are fetched; when the next bar follows, nothing is asked for."""
    lab.venue.rows = [bar(n, lag=0) for n in range(20)]
    async with lab.life():
        channel = await lab.start("BAR")
        lab.take(channel, batches_of("BAR", [bar(n) for n in range(3)]))
        lab.recorder.gap(PROJECT, FEED, channel, LOST)
        lab.take(channel, batches_of("BAR", [bar(3)]))
        await lab.read(channel)
        gap = await filled(lab, channel)
        assert (gap.history_job_id, lab.venue.asked) == (None, [])
        lab.recorder.gap(PROJECT, FEED, channel, LOST)
        lab.take(channel, batches_of("BAR", [bar(10)]))
        await lab.read(channel)
        await until(lambda: _all_filled(lab, channel))
        stored = (await lab.read(channel))["ts_event"].to_pylist()
    assert stored == [bar(n).ts_event for n in range(11)]


async def _all_filled(lab: Lab, channel: Channel) -> bool:
    return all(gap.filled for gap in await lab.gaps(channel))


async def test_md88_a_restart_leaves_no_hole(lab: Lab) -> None:
    """MD-88c: between two lives of the service trades went by: they are fetched."""
    lab.venue.rows = [trade(n, lag=0) for n in range(60)]
    channel = channel_of("TRADE_TICK")
    async with lab.life():
        await lab.start("TRADE_TICK")
        lab.take(channel, batches_of("TRADE_TICK", [trade(n) for n in range(20)]))
    async with lab.life():
        await lab.start("TRADE_TICK")
        lab.take(channel, batches_of("TRADE_TICK", [trade(n) for n in range(50, 60)]))
        await lab.read(channel)
        gap = await filled(lab, channel)
        stored = (await lab.read(channel))["trade_id"].to_pylist()
    assert gap.cause == "FEED_RESTARTED"
    assert sorted(int(each) for each in stored) == [*range(60)]


async def test_md88_a_filling_that_fails_leaves_the_gap(lab: Lab) -> None:
    """MD-88d: when the venue refuses, the gap stays said, with the job that says why."""
    lab.venue.troubles = [refused("VENUE_REFUSED", "Too old.")]
    async with lab.life():
        channel = await lab.start("TRADE_TICK")
        lab.take(channel, batches_of("TRADE_TICK", [trade(1)]))
        lab.recorder.gap(PROJECT, FEED, channel, LOST)
        lab.take(channel, batches_of("TRADE_TICK", [trade(9)]))
        await lab.read(channel)
        (gap,) = await lab.gaps(channel)

        async def failed() -> Any:
            async with lab.database.connection() as tx:
                job = await HistoryJobStore().find(tx, [PROJECT], gap.history_job_id)
            return job if job and job.state == "FAILED" else None

        job = await until(failed)
        assert (job.reason, job.message) == ("VENUE_REFUSED", "Too old.")
        assert not (await lab.gaps(channel))[0].filled


async def test_md88_a_job_ahead_of_a_recording_doubles_nothing(lab: Lab) -> None:
    """MD-88e: rows that a job fetches before they come live, or while they wait in the journal,
    are there once; what came live first stays as it came.
    """
    lab.limits = replace(QUICK, interval=3_600.0)
    lab.venue.rows = [trade(n, lag=0) for n in range(15)]
    async with lab.life():
        channel = await lab.start("TRADE_TICK")
        lab.take(channel, batches_of("TRADE_TICK", [trade(n) for n in range(5, 10)]))
        job = await lab.ask("TRADE_TICK", START, START + 20 * SECOND)
        assert (job.rows_received, job.rows_written) == (15, 10)
        lab.take(channel, batches_of("TRADE_TICK", [trade(n) for n in range(10, 30)]))
        stored = (await lab.read(channel)).to_pylist()
        lab.take(channel, batches_of("TRADE_TICK", [trade(n) for n in range(30, 40)]))
        assert (await lab.read(channel)).num_rows == 40
    lags = {int(row["trade_id"]): row["ts_init"] - row["ts_event"] for row in stored}
    assert sorted(int(row["trade_id"]) for row in stored) == [*range(30)]
    assert [n for n, lag in sorted(lags.items()) if lag] == [*range(5, 10), *range(15, 30)]


@pytest.mark.parametrize("kind", ["QUOTE_TICK", "TRADE_TICK"])
async def test_md89_there_is_no_hole_at_the_seam(lab: Lab, kind: str) -> None:
    """MD-89: whoever begins to listen, and then reads what was recorded before, has every row
    once, however many do so at once and whatever is written meanwhile.
    """
    from integration.market_data.recording.test_recording import ticks

    rows = [trade(n) for n in range(3_000)] if kind == "TRADE_TICK" else ticks(kind) * 60
    if kind == "QUOTE_TICK":
        rows = sorted(rows, key=lambda row: row.ts_init)
    batches = batches_of(kind, rows, 10)
    seen: list[int] = []
    async with lab.life():
        channel = await lab.start(kind)

        async def play() -> None:
            for batch in batches:
                lab.take(channel, [batch])
                seen.append(batch.rows)  # a watcher sees it only now
                await asyncio.sleep(0)

        async def client() -> int:
            listening = len(seen)
            stored = await lab.read(channel)
            assert stored.num_rows >= sum(seen[:listening])
            return int(stored.num_rows)

        playing = asyncio.create_task(play())
        await until(lambda: len(seen) > 5)
        counts: list[int] = []
        while not playing.done():
            counts += await asyncio.gather(client(), client())
            await asyncio.sleep(0)
        await playing
        assert counts == sorted(counts)
        assert (await lab.read(channel)).num_rows == len(rows)
