"""History jobs: exact, resumed, and only what is missing. Cases MD-90 to MD-93."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from integration.market_data.recording.conftest import Lab, refused, until
from integration.market_data.recording.rows import (
    LAG,
    MINUTE,
    SECOND,
    START,
    bar,
    batches_of,
    channel_of,
    trade,
)
from services.market_data.live.errors import FeedUnavailable
from services.market_data.live.history.fetching import MILLISECOND
from services.market_data.live.history.store import HistoryJobStore
from services.market_data.live.recording.taking import series_of

DYING = Path(__file__).with_name("dying_fetcher.py")
ROOT = Path(__file__).parents[4]
TRADES = channel_of("TRADE_TICK")


async def ids(lab: Lab) -> list[int]:
    """Return the ids of the trades in the catalog, in order."""
    return [int(each) for each in (await lab.stored(series_of(TRADES)))["trade_id"].to_pylist()]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("together", [1, 7])
async def test_md90_all_that_the_venue_has_is_fetched(
    lab: Lab, newest_first: bool, together: int
) -> None:
    """MD-90a: whichever end a venue cuts its answers at, and however many trades one instant has
    at the cut, each is fetched once.
    """
    lab.venue.page, lab.venue.newest_first = 150, newest_first
    lab.venue.rows = [trade(n, START + n // together * together * SECOND) for n in range(9_000)]
    async with lab.life():
        job = await lab.ask("TRADE_TICK", START, START + 9_000 * SECOND)
        assert (job.state, job.rows_received, job.rows_written) == ("SUCCEEDED", 9_000, 9_000)
        assert await ids(lab) == [*range(9_000)]
        assert (job.position, job.progress) == (job.end + 1, 1.0)
        assert job.requests == len(lab.venue.asked)
        files = list(lab.catalog.glob("data/trade_tick/**/*.parquet"))
    assert len(files) < 5


async def test_md90_bars_are_fetched_by_their_close(lab: Lab) -> None:
    """MD-90b: bars that close within the range, both ends included, and no others."""
    lab.venue.rows = [bar(n, lag=0) for n in range(3_000)]
    async with lab.life():
        job = await lab.ask("BAR", START + 10 * MINUTE, START + 2_500 * MINUTE)
        stored = await lab.stored(series_of(channel_of("BAR")))
    assert (job.rows_written, job.state) == (2_491, "SUCCEEDED")
    assert stored["ts_event"].to_pylist() == [bar(n).ts_event for n in range(10, 2_501)]


async def test_md91_only_what_is_missing_is_asked_for(lab: Lab) -> None:
    """MD-91a: what was fetched or recorded is not asked for again, unless it is to be refreshed."""
    lab.venue.rows = [trade(n, lag=0) for n in range(100)]
    async with lab.life():
        await lab.start("TRADE_TICK")
        lab.take(TRADES, batches_of("TRADE_TICK", [trade(n) for n in range(40, 60)]))
        await lab.read(TRADES)
        first = await lab.ask("TRADE_TICK", START, START + 20 * SECOND)
        lab.venue.asked.clear()
        second = await lab.ask("TRADE_TICK", START, START + 99 * SECOND)
        assert lab.venue.asked == [
            (START + 20 * SECOND + 1 - MILLISECOND, START + 40 * SECOND - 1 + MILLISECOND),
            (START + 59 * SECOND + 1 - MILLISECOND, START + 99 * SECOND + MILLISECOND),
        ]
        assert (first.rows_written, second.rows_written) == (21, 59)
        assert sorted(await ids(lab)) == [*range(100)]
        lab.venue.asked.clear()
        third = await lab.ask("TRADE_TICK", START, START + 99 * SECOND)
        assert (third.state, third.requests, lab.venue.asked) == ("SUCCEEDED", 0, [])
        fourth = await lab.ask("TRADE_TICK", START, START + 99 * SECOND, refresh=True)
        assert (fourth.rows_received, fourth.rows_written) == (100, 0)
        stored = (await lab.stored(series_of(TRADES))).to_pylist()
    assert [int(row["trade_id"]) for row in stored] == [*range(100)]
    assert {row["ts_init"] - row["ts_event"] for row in stored} == {0}, LAG


async def test_md91_bars_with_holes_are_mended(lab: Lab) -> None:
    """MD-91b: of bars the holes between rows are asked for."""
    kept = [bar(n) for n in (*range(10), *range(15, 30))]
    lab.venue.rows = [bar(n, lag=0) for n in range(30)]
    async with lab.life():
        channel = await lab.start("BAR")
        for each in (kept[:10], kept[10:]):
            lab.take(channel, batches_of("BAR", each))
            await lab.recorder.stop("default", "binance", channel)
            await lab.start("BAR")
        job = await lab.ask("BAR", START, START + 29 * MINUTE)
        stored = (await lab.stored(series_of(channel)))["ts_event"].to_pylist()
    assert (job.rows_received, job.rows_written) == (5, 5)
    assert stored == [bar(n).ts_event for n in range(30)]


async def test_md92_troubles_of_the_venue(lab: Lab) -> None:
    """MD-92: limits and outages are waited out, a refusal ends the job, an outage that does not
    end ends it after a bound.
    """
    lab.venue.rows = [trade(n, lag=0) for n in range(10)]
    away = FeedUnavailable("The feed is not connected.", metadata={"feed_id": "binance"})
    until_ = START + 9 * SECOND
    async with lab.life():
        limited = refused("VENUE_RATE_LIMITED", "Slow down.", 0.05)
        lab.venue.troubles = [limited, away, refused("VENUE_DISCONNECTED"), limited]
        done = await lab.ask("TRADE_TICK", START, until_)
        assert (done.state, done.rows_written) == ("SUCCEEDED", 10)
        lab.venue.troubles = [refused("VENUE_REFUSED", "Invalid symbol.")]
        failed = await lab.ask("TRADE_TICK", START, until_, refresh=True)
        assert (failed.state, failed.reason) == ("FAILED", "VENUE_REFUSED")
        assert failed.message == "Invalid symbol."
        lab.venue.troubles = [away] * 1_000
        given_up = await lab.ask("TRADE_TICK", START, until_, refresh=True)
        assert (given_up.state, given_up.reason) == ("FAILED", "FEED_UNAVAILABLE")
        assert await ids(lab) == [*range(10)]


@pytest.mark.parametrize("place", ["asking", "deciding", "decided"])
async def test_md93_a_killed_job_goes_on_where_it_was(
    lab: Lab, database_url: str, place: str
) -> None:
    """MD-93: after kill -9 a job has its rows once, and asks for nothing that it has."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(DYING), place, database_url, str(lab.folder)),
        env={"PYTHONPATH": f"{ROOT}:{ROOT}/libs:{ROOT}/tests"},
    )
    assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
    lab.venue.rows = [trade(n, lag=0) for n in range(5_000)]
    async with lab.life():
        async with lab.database.connection() as tx:
            job_id = str(await tx.fetchval("SELECT history_job_id FROM history_jobs"))
        job = await lab.ended(job_id)
    assert (job.state, job.attempts, job.rows_written) == ("SUCCEEDED", 2, 5_000)
    assert await ids(lab) == [*range(5_000)]
    assert min(start for start, _ in lab.venue.asked) > START


async def test_md93_a_cancelled_job_stops(lab: Lab) -> None:
    """MD-93b: a job that waits for its feed is cancelled at once."""
    lab.venue.troubles = [refused("VENUE_RATE_LIMITED", "Wait.", 3_600.0)]
    async with lab.life():
        asking = asyncio.create_task(lab.ask("TRADE_TICK", START, START + SECOND))
        await until(lambda: not lab.venue.troubles)
        async with lab.database.transaction() as tx:
            (job,) = await HistoryJobStore().unfinished(tx)
            await lab.jobs.cancel(tx, job)
        lab.jobs.stop(job.history_job_id)
        assert (await asking).state == "CANCELLED"
