"""Where a replay goes on after its process has ended."""

from services.market_data.live import frames
from services.market_data.live.domain import Channel, Feed
from services.market_data.live.feed import LiveFeed
from services.market_data.live.log import Bounds
from services.market_data.live.ports import NoRecorder
from services.market_data.live.taps import Taps


def _told(position: int) -> frames.ReplayPosition:
    return frames.ReplayPosition(position, 0, 1_000, 1.0, False, False)


async def test_rows_move_the_place_of_a_replay() -> None:
    """What was sent since the position was told last is not played again; a seek back is."""
    row = Feed("p", "replay", "o", "REPLAY", "{}", 0)
    feed = LiveFeed(row, Bounds(), Taps(NoRecorder()), lambda _: None)
    feed.open(Channel("QUOTE_TICK", "A.SIM"))
    feed.told(_told(100))
    feed.told(frames.Batch(0, 1, 3, 90, 95, b""))
    assert feed.replay == _told(100)
    feed.told(frames.Batch(0, 2, 3, 100, 120, b""))
    assert feed.replay == _told(121)
    feed.told(frames.Gap(-1, "REPLAY_SOUGHT", 121, 50))
    feed.told(_told(50))
    assert feed.replay == _told(50)
