"""What a replay sends is what the catalog has."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from integration.market_data.replay.made import (
    AUD,
    BTC,
    EVERY,
    SECOND,
    START,
    described,
    quotes,
    rows_of,
    times,
    trades,
    write,
)
from services.market_data.live import frames, process


async def test_every_kind(catalog: Path, replay: Callable[..., Any]) -> None:
    """Each row of each kind comes once, in order, as it is stored."""
    write(catalog, *EVERY.values())
    async with replay() as feed:
        for number, channel in enumerate(EVERY):
            feed.send(frames.Open(number, *channel))
            await feed.item(number, "LIVE")
        await feed.control("resume")
        await feed.end()
        for number, rows in enumerate(EVERY.values()):
            assert rows_of(feed.batches(number)) == described(rows)
        sequences = [batch.sequence for batch in feed.of(frames.Batch)]
        assert sequences == list(range(1, len(sequences) + 1))
        assert max(batch.rows for batch in feed.of(frames.Batch)) <= 500


async def test_the_order_of_time(catalog: Path, replay: Callable[..., Any]) -> None:
    """No batch is earlier than one before it, and at equal times channels come as opened."""
    first, second = quotes(3_000), trades(3_000)
    write(catalog, first, second)
    async with replay() as feed:
        feed.send(frames.Open(7, "TRADE_TICK", str(BTC.id)))
        feed.send(frames.Open(3, "QUOTE_TICK", str(AUD.id)))
        await feed.item(3, "LIVE")
        await feed.control("resume")
        await feed.end()
        windows: list[list[frames.Batch]] = []
        for batch in feed.of(frames.Batch):
            if batch.channel == 7 or not windows or len(windows[-1]) == 2:
                windows.append([])
            windows[-1].append(batch)
        for window, following in pairwise(windows):
            assert max(batch.last for batch in window) < min(batch.first for batch in following)
        assert [batch.channel for batch in windows[0]] == [7, 3]
        assert times(feed.batches(3)) == [row.ts_init for row in first]
        assert times(feed.batches(7)) == [row.ts_init for row in second]


async def test_many_rows_at_one_time(catalog: Path, replay: Callable[..., Any]) -> None:
    """A crowd in one nanosecond larger than a batch, and than what is read at once, is whole."""
    crowd = quotes(10, at=START - SECOND * 2) + quotes(20_000, step=0) + quotes(10, at=START + 1)
    write(catalog, crowd, trades(50))
    async with replay() as feed:
        feed.send(frames.Open(1, "QUOTE_TICK", str(AUD.id)))
        feed.send(frames.Open(2, "TRADE_TICK", str(BTC.id)))
        await feed.item(2, "LIVE")
        await feed.control("resume")
        await feed.end()
        assert rows_of(feed.batches(1)) == described(crowd)
        assert max(batch.rows for batch in feed.batches(1)) <= 500


async def test_opened_while_it_plays(catalog: Path, replay: Callable[..., Any]) -> None:
    """A channel opened in mid-play begins there, and another goes on with no row twice or lost."""
    first, second = quotes(20_000, SECOND // 100), trades(20_000, SECOND // 100)
    write(catalog, first, second)
    async with replay({"speed": 100}) as feed:
        feed.send(frames.Open(1, "QUOTE_TICK", str(AUD.id)))
        await feed.item(1, "LIVE")
        await feed.control("resume")
        await feed.rows(1, 2_000)
        feed.send(frames.Open(2, "TRADE_TICK", str(BTC.id)))
        await feed.rows(2, 2_000)
        await feed.control("speed", speed=0.0)
        await feed.end()
        assert rows_of(feed.batches(1)) == described(first)
        late = described(second)[-sum(batch.rows for batch in feed.batches(2)) :]
        assert 2_000 <= len(late) < len(second)
        assert rows_of(feed.batches(2)) == late
        before = feed.told.index(feed.batches(2)[0])
        played = [b.last for b in feed.told[:before] if isinstance(b, frames.Batch)]
        assert times(feed.batches(2))[0] > played[0]


async def test_closing(catalog: Path, replay: Callable[..., Any]) -> None:
    """Nothing of a channel comes after it is closed; time stands still without any."""
    write(catalog, quotes(20_000, SECOND // 100))
    async with replay({"speed": 100, "paused": False}) as feed:
        feed.send(frames.Open(1, "QUOTE_TICK", str(AUD.id)))
        await feed.rows(1, 1_000)
        feed.send(frames.Close(1))
        await feed.until(lambda: feed.of(frames.Closed))
        closed = feed.told.index(feed.of(frames.Closed)[0])
        await feed.control("pause")
        stood = feed.of(frames.ReplayPosition)[-1].position
        await feed.control("resume")
        feed.send(frames.Open(2, "QUOTE_TICK", str(AUD.id)))
        await feed.rows(2, 1_000)
        assert not feed.batches(1, closed)
        following = times(feed.batches(2))[0]
        assert times(feed.batches(1))[-1] < following
        assert following - stood <= SECOND // 100
        assert following - times(feed.batches(1))[-1] == SECOND // 100


async def test_files_replaced_while_it_plays(catalog: Path, replay: Callable[..., Any]) -> None:
    """A writer may put other files in place: what was opened is played to its end."""
    rows = quotes(20_000, SECOND // 100)
    write(catalog, rows[:10_000], rows[10_000:])
    (folder,) = catalog.glob("data/quote_tick/*")
    async with replay({"speed": 100}) as feed:
        feed.send(frames.Open(1, "QUOTE_TICK", str(AUD.id)))
        await feed.item(1, "LIVE")
        await feed.control("resume")
        await feed.rows(1, 500)
        for path in folder.glob("*.parquet"):
            path.unlink()
        write(catalog, rows)
        feed.send(frames.Open(2, "QUOTE_TICK", str(AUD.id)))
        await feed.item(2, "LIVE")
        await feed.control("speed", speed=0.0)
        await feed.end()
        assert rows_of(feed.batches(1)) == described(rows)


async def test_what_was_stored_meanwhile(catalog: Path, replay: Callable[..., Any]) -> None:
    """A replay that comes to its end goes on with rows that were added behind it."""
    rows = quotes(2_000)
    write(catalog, rows[:1_000])
    async with replay() as feed:
        feed.send(frames.Open(1, "QUOTE_TICK", str(AUD.id)))
        await feed.item(1, "LIVE")
        write(catalog, rows[1_000:])
        await feed.control("resume")
        await feed.end()
        assert rows_of(feed.batches(1)) == described(rows)


async def test_stored_after_the_start(catalog: Path, replay: Callable[..., Any]) -> None:
    """A replay of an empty project plays what is stored before a channel is opened."""
    rows = quotes(1_000)
    async with replay() as feed:
        feed.send(frames.Open(1, "QUOTE_TICK", str(AUD.id)))
        assert (await feed.item(1, "FAILED")).reason == "NO_DATA"
        write(catalog, rows)
        feed.send(frames.Close(1), frames.Open(2, "QUOTE_TICK", str(AUD.id)))
        await feed.item(2, "LIVE")
        await feed.control("resume")
        await feed.end()
        assert rows_of(feed.batches(2)) == described(rows)


async def test_a_damaged_file(catalog: Path, replay: Callable[..., Any]) -> None:
    """A file that cannot be read fails its channels alone; the others are played on."""
    rows, others = quotes(20_000), trades(20_000)
    write(catalog, rows[:10_000], rows[10_000:], others)
    (*_, second) = sorted(catalog.glob("data/quote_tick/*/*.parquet"))
    with second.open("r+b") as file:
        file.seek(100)
        file.write(bytes(5_000))
    async with replay() as feed:
        feed.send(frames.Open(1, "QUOTE_TICK", str(AUD.id)))
        feed.send(frames.Open(2, "TRADE_TICK", str(BTC.id)))
        feed.send(frames.Open(3, "BAR", "", f"{AUD.id}-50-TICK-BID-INTERNAL"))
        await feed.item(3, "LIVE")
        await feed.control("resume")
        await feed.end()
        failed = [await feed.item(number, "FAILED") for number in (1, 3)]
        assert {each.reason for each in failed} == {"VENUE_REFUSED"}
        assert all(str(AUD.id) in each.message for each in failed)
        assert rows_of(feed.batches(2)) == described(others)


async def test_a_slow_reader(
    catalog: Path, replay: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that does not read is waited for: nothing is dropped."""
    monkeypatch.setattr(process, "LIMIT", 2**16)
    rows = quotes(150_000, SECOND // 1_000)
    write(catalog, rows)
    async with replay() as feed:
        feed.send(frames.Open(1, "QUOTE_TICK", str(AUD.id)))
        await feed.item(1, "LIVE")
        feed.pause()
        feed.unheard("resume")
        await feed.stuffed()
        feed.resume()
        await feed.end()
        assert times(feed.batches(1)) == [row.ts_init for row in rows]
        assert not feed.of(frames.Gap)
