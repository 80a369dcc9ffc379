"""The log of a feed: what is kept, and what is known of what is not."""

import random
from typing import Any

import pytest

from meshkit.errors import InvalidCursor
from services.market_data.live.cursor import Cursor
from services.market_data.live.domain import Channel
from services.market_data.live.log import (
    DATA,
    GAP,
    OVERHEAD,
    Bounds,
    Entry,
    FeedLog,
    GapNote,
    LiveChannel,
)


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def _channel(name: str = "A.SIM") -> LiveChannel:
    return LiveChannel(Channel("QUOTE_TICK", name), 0)


def _batch(channel: LiveChannel, size: int = 10) -> Entry:
    return Entry(DATA, channel, b"x" * size, rows=1, last=1)


def _kept(log: FeedLog) -> list[int]:
    return [entry.number for entry in log.read(log.first, 100_000)]


def test_entries_are_kept_for_their_time() -> None:
    """What is younger than the retention stays, what is older goes and is known to be gone."""
    clock = Clock()
    log, channel = FeedLog(Bounds(seconds=60), clock), _channel()
    for _ in range(10):
        log.append(_batch(channel))
        clock.now += 10
    assert _kept(log) == [3, 4, 5, 6, 7, 8, 9]
    log.trim()
    assert _kept(log) == [4, 5, 6, 7, 8, 9]
    assert log.lost(channel, 3)
    assert not log.lost(channel, 4)
    assert channel.bytes == 60
    assert log.bytes == 60 + 6 * OVERHEAD


def test_a_channel_is_bounded_by_bytes() -> None:
    """A busy channel loses its oldest; a quiet one beside it loses nothing."""
    log, busy, quiet = FeedLog(Bounds(channel_bytes=100)), _channel(), _channel("B.SIM")
    log.append(_batch(quiet))
    for _ in range(50):
        log.append(_batch(busy))
    assert busy.bytes == 100
    assert [entry.number for entry in busy.entries] == list(range(41, 51))
    assert log.lost(busy, 40)
    assert not log.lost(busy, 41)
    assert not log.lost(quiet, 0)
    entries = {entry.number: entry.payload for entry in log.read(0, 100)}
    assert entries[40] is None
    assert entries[41] == b"x" * 10


def test_a_feed_is_bounded_by_bytes() -> None:
    """All channels together have a bound too: the oldest of all go."""
    log = FeedLog(Bounds(feed_bytes=10_000))
    channels = [_channel(f"{i}.SIM") for i in range(100)]
    for _ in range(20):
        for channel in channels:
            log.append(_batch(channel))
    assert log.bytes <= 10_000
    kept = len(_kept(log))
    assert log.bytes == sum(channel.bytes for channel in channels) + kept * OVERHEAD


def test_the_newest_value_is_kept_for_ever() -> None:
    """A quiet channel has a snapshot, however long ago its last row was."""
    clock = Clock()
    log, channel, other = FeedLog(Bounds(seconds=1), clock), _channel(), _channel("B.SIM")
    log.append(_batch(channel))
    clock.now = 1_000
    log.append(_batch(other))
    assert not channel.entries
    assert channel.newest is not None
    assert channel.newest.payload == b"x" * 10


def test_gaps_that_are_dropped_are_known() -> None:
    """A reader that is behind a gap that was dropped has lost something, even without rows."""
    clock = Clock()
    log, channel, other = FeedLog(Bounds(seconds=1), clock), _channel(), _channel("B.SIM")
    log.append(Entry(GAP, channel, GapNote("VENUE_SILENT")))
    clock.now = 10
    log.append(_batch(other))
    assert log.lost(channel, 0)
    assert not log.lost(other, 0)
    log.append(Entry(GAP, None, GapNote("VENUE_DISCONNECTED")))
    clock.now = 20
    log.append(_batch(other))
    assert log.lost(channel, 1)
    assert log.lost(other, 2)


def test_any_run_is_read_without_holes() -> None:
    """Whatever is appended and dropped, numbers run on, and bytes are those of what is kept."""
    random.seed(3)
    clock = Clock()
    bounds = Bounds(seconds=5, channel_bytes=500, feed_bytes=100_000)
    log, channels = FeedLog(bounds, clock), [_channel(f"{i}.SIM") for i in range(10)]
    for step in range(30_000):
        clock.now += random.random() * 0.01
        log.append(_batch(random.choice(channels), random.randrange(1, 60)))
        if step % 500 == 0:
            assert _kept(log) == list(range(log.first, log.end))
            kept = [len(e.payload) for e in log.read(log.first, 100_000) if e.payload]
            assert sum(kept) == sum(c.bytes for c in channels)
            assert log.bytes == sum(kept) + len(_kept(log)) * OVERHEAD
            for channel in channels:
                numbers = [entry.number for entry in channel.entries]
                assert not numbers or channel.trimmed < numbers[0]


def test_cursors() -> None:
    """A cursor comes back as it was; a changed, cut or foreign one is refused."""
    cursor = Cursor("log", 17, 1_700_000_000_000_000_000, True)
    text = cursor.encode("subscriptions")
    assert Cursor.decode(text, "subscriptions") == cursor
    for bad in (text[:-1], "A" + text[1:], "", "é", text + "AAAA"):
        with pytest.raises(InvalidCursor):
            Cursor.decode(bad, "subscriptions")
    with pytest.raises(InvalidCursor):
        Cursor.decode(text, "others")


@pytest.mark.parametrize(("place", "time"), [("1", 0), (-1, 0), (1, 2**80), (1, None), (1.5, 0)])
def test_a_cursor_of_odd_numbers_is_damaged(place: Any, time: Any) -> None:
    """Numbers that no cursor of ours has are refused, however well they are framed."""
    text = Cursor("log", place, time).encode("ids")
    with pytest.raises(InvalidCursor):
        Cursor.decode(text, "ids")
