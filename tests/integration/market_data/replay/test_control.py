"""A replay's time: its pace, and what it can be told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integration.market_data.replay.conftest import Replay
from integration.market_data.replay.made import (
    AUD,
    BTC,
    SECOND,
    START,
    described,
    quotes,
    rows_of,
    times,
    trades,
    write,
)
from services.market_data.live import frames

STEP = SECOND // 100
ROWS = 20_000
QUOTES = quotes(ROWS, STEP)
END = QUOTES[-1].ts_init
NOT_THERE = "INSTRUMENT_NOT_AT_VENUE"


@pytest.fixture
def stored(catalog: Path) -> None:
    """Store some minutes of quotes."""
    write(catalog, QUOTES)


async def _open(feed: Replay, number: int = 1) -> None:
    feed.send(frames.Open(number, "QUOTE_TICK", str(AUD.id)))
    await feed.item(number, "LIVE")


async def test_pace(stored: None, replay: Callable[..., Any]) -> None:
    """At ten times the speed, data does not run ahead of ten seconds a second."""
    async with replay({"speed": 10}) as feed:
        await _open(feed)
        began = feed.now()
        await feed.control("resume")
        await feed.rows(1, 500)
        took = feed.now() - began
        assert times(feed.batches(1))[-1] - START <= took * 10 * SECOND
        assert len(feed.batches(1)) > 5  # not all at once


async def test_pause_and_resume(stored: None, replay: Callable[..., Any]) -> None:
    """A pause stops the data where it is; it goes on with the very next row."""
    async with replay({"speed": 100, "paused": False}) as feed:
        await _open(feed)
        await feed.rows(1, 1_000)
        await feed.control("pause")
        paused = feed.of(frames.ReplayPosition)[-1]
        count = len(feed.of(frames.Batch))
        feed.send(frames.AskSnapshot(5, 1))
        await feed.answer(5, frames.Snapshot)
        beats = len(feed.of(frames.Pulse))
        await feed.until(lambda: len(feed.of(frames.Pulse)) > beats)
        assert len(feed.of(frames.Batch)) == count
        assert paused.paused
        sent = times(feed.batches(1))
        assert sent[-1] < paused.position <= sent[-1] + STEP
        assert len(feed.of(frames.ReplayPosition)) < 10  # at most once a second, not for each batch
        await feed.control("speed", speed=0.0)
        await feed.control("resume")
        await feed.end()
        assert rows_of(feed.batches(1)) == described(QUOTES)


@pytest.mark.parametrize("row", [0, 100, 15_000, ROWS - 1])
async def test_seek(stored: None, replay: Callable[..., Any], row: int) -> None:
    """After a seek, forward or backward, comes the gap and then the row of that time."""
    async with replay({"speed": 100, "paused": False}) as feed:
        await _open(feed)
        await feed.rows(1, 1_000)
        target = QUOTES[row].ts_init
        answer = await feed.control("seek", position=target)
        assert not answer.reason
        (gap,) = feed.of(frames.Gap)
        assert (gap.channel, gap.cause, gap.end) == (-1, "REPLAY_SOUGHT", target)
        at = feed.told.index(gap)
        await feed.control("speed", speed=0.0)
        await feed.end(at)
        assert rows_of(feed.batches(1, at)) == described(QUOTES[row:])
        sent = times([b for b in feed.told[:at] if isinstance(b, frames.Batch)])
        assert sent == [each.ts_init for each in QUOTES[: len(sent)]]


async def test_seek_while_paused(stored: None, replay: Callable[..., Any]) -> None:
    """A paused replay stays paused where it was moved to, and has no newest value there."""
    async with replay({"speed": 100, "paused": False}) as feed:
        await _open(feed)
        await feed.rows(1, 1_000)
        await feed.control("pause")
        await feed.control("seek", position=START + 5)
        told = feed.of(frames.ReplayPosition)[-1]
        assert (told.position, told.paused) == (START + 5, True)
        feed.send(frames.AskSnapshot(5, 1))
        assert (await feed.answer(5, frames.Snapshot)).payload == b""


async def test_seek_between_and_outside(stored: None, replay: Callable[..., Any]) -> None:
    """A time between rows is a place too; one outside the range is refused."""
    async with replay() as feed:
        await _open(feed)
        for position in (START - 1, END + 1):
            answer = await feed.control("seek", position=position)
            assert answer.reason == "INVALID_FIELD"
            assert "range" in answer.message
        await feed.control("seek", position=START + STEP + 1)
        await feed.control("resume")
        await feed.end()
        assert times(feed.batches(1))[0] == START + 2 * STEP


async def test_seek_bars(stored: None, replay: Callable[..., Any]) -> None:
    """Internal bars begin anew where a replay is moved to."""
    name = f"{AUD.id}-50-TICK-BID-INTERNAL"
    async with replay() as feed:
        feed.send(frames.Open(1, "BAR", str(AUD.id), name))
        await feed.item(1, "LIVE")
        await feed.control("resume")
        await feed.end()
        first = rows_of(feed.batches(1))
        await feed.control("seek", position=QUOTES[ROWS - 5_000].ts_init)
        at = feed.told.index(feed.of(frames.Gap)[-1])
        await feed.end(at)
        assert len(first) == ROWS // 50
        assert rows_of(feed.batches(1, at)) == first[-100:]


async def test_the_end_and_again(stored: None, replay: Callable[..., Any]) -> None:
    """At its end a replay says so and stands; a seek plays again."""
    async with replay({"paused": False}) as feed:
        await _open(feed)
        ended = await feed.end()
        assert (ended.position, ended.start, ended.end) == (END, START, END)
        await feed.control("seek", position=START)
        at = feed.told.index(feed.of(frames.Gap)[-1])
        assert not feed.of(frames.ReplayPosition, at)[0].ended
        await feed.end(at + 2)
        assert times(feed.batches(1)) == [row.ts_init for row in QUOTES] * 2


async def test_loop(stored: None, replay: Callable[..., Any]) -> None:
    """A loop begins again at the start, with a gap in between."""
    async with replay({"loop": True}) as feed:
        await _open(feed)
        await feed.control("resume")
        await feed.rows(1, ROWS * 2 + 1)
        gap = feed.of(frames.Gap)[0]
        at = feed.told.index(gap)
        assert (gap.cause, gap.end) == ("REPLAY_SOUGHT", START)
        first = [b for b in feed.told[:at] if isinstance(b, frames.Batch)]
        assert times(first) == [row.ts_init for row in QUOTES]
        assert times(feed.batches(1, at))[:ROWS] == [row.ts_init for row in QUOTES]


async def test_range_and_restart(stored: None, replay: Callable[..., Any]) -> None:
    """A range of the config bounds what is played; a restart goes on, as it was told last."""
    config = {"start": "2024-01-01T00:01:00Z", "end": "2024-01-01T00:02:00Z"}
    minute = START - 12_345_678_901 + 60 * SECOND
    async with replay(config, paused=False, speed=0.0, position=minute + 30 * SECOND) as feed:
        told = feed.of(frames.ReplayPosition)[0]
        assert (told.start, told.end) == (minute, minute + 60 * SECOND)
        assert (told.position, told.paused, told.speed) == (minute + 30 * SECOND, False, 0.0)
        await _open(feed)
        await feed.end()
        inside = range(minute + 30 * SECOND, minute + 60 * SECOND + 1)
        assert times(feed.batches(1)) == [q.ts_init for q in QUOTES if q.ts_init in inside]
    async with replay(config, paused=False, position=minute + 60 * SECOND) as feed:
        assert feed.of(frames.ReplayPosition)[0].ended


@pytest.mark.parametrize(
    ("config", "frame", "reason", "names"),
    [
        ({"instruments": [str(BTC.id)]}, ("QUOTE_TICK", str(AUD.id)), NOT_THERE, str(AUD.id)),
        ({"kinds": ["BAR"]}, ("QUOTE_TICK", str(AUD.id)), "KIND_UNSUPPORTED", "QUOTE_TICK"),
        ({"end": "2024-01-01T00:00:00Z"}, ("QUOTE_TICK", str(AUD.id)), "NO_DATA", str(AUD.id)),
        ({}, ("TRADE_TICK", str(AUD.id)), "NO_DATA", "TRADE_TICK"),
        ({}, ("QUOTE_TICK", "NOPE.SIM"), "NO_DATA", "NOPE.SIM"),
        ({}, ("QUOTE_TICK", "nonsense"), "KIND_UNSUPPORTED", "nonsense"),
        ({}, ("BAR", str(AUD.id), f"{AUD.id}-1-MINUTE-LAST-INTERNAL"), "NO_DATA", "TRADE_TICK"),
    ],
)  # fmt: skip
async def test_refused(
    stored: None,
    replay: Callable[..., Any],
    config: dict[str, Any],
    frame: tuple[str, ...],
    reason: str,
    names: str,
) -> None:
    """What a replay has not, or may not play, fails alone with its reason."""
    async with replay(config) as feed:
        feed.send(frames.Open(1, *frame))
        failed = await feed.item(1, "FAILED")
        assert failed.reason == reason
        assert names in failed.message


async def test_a_bad_config(replay: Callable[..., Any]) -> None:
    """A config that cannot be read is said to be so, and ends the process."""
    async with replay({"sped": 1}) as feed:
        failed = await feed.state("FAILED")
        assert failed.reason == "INVALID_FIELD"
        assert "did you mean speed?" in failed.message
        assert await feed.process.wait() == 3


async def test_history(catalog: Path, replay: Callable[..., Any]) -> None:
    """History ends before the position: a trader does not see the future."""
    rows = trades(5_000)
    write(catalog, QUOTES[:100], rows)
    position, end = rows[3_000].ts_init, rows[-1].ts_init
    async with replay(position=position) as feed:
        about = ("TRADE_TICK", str(BTC.id), "")
        feed.send(frames.AskHistory(1, *about, 0, end), frames.AskHistory(2, *about, 0, end, 10))
        feed.send(frames.AskHistory(3, *about, rows[5].ts_init, rows[9].ts_init))
        feed.send(frames.AskHistory(4, *about, position, end))
        feed.send(
            frames.AskHistory(5, "BAR", str(BTC.id), f"{BTC.id}-1-MINUTE-LAST-INTERNAL", 0, end)
        )
        answers = [await feed.answer(n, frames.Answer) for n in range(1, 6)]
        assert [a.reason for a in answers] == ["", "", "", "", "HISTORY_UNSUPPORTED"]
        past = [row for row in rows if row.ts_init < position]
        told: dict[int, list[Any]] = {n: [] for n in range(1, 5)}
        for page in feed.of(frames.HistoryRows):
            told[page.id] += rows_of([page])
        within = [r for r in rows if rows[5].ts_init <= r.ts_init <= rows[9].ts_init]
        assert told[1] == described(past)
        assert told[2] == described(past[-10:])
        assert told[3] == described(within)
        assert told[4] == []
