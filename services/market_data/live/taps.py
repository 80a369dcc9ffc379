"""What happens to every batch before a watcher can see it: it is recorded, published, counted."""

from collections.abc import Sequence
from typing import Protocol

from services.market_data.live import frames
from services.market_data.live.feed import LiveFeed
from services.market_data.live.log import LiveChannel
from services.market_data.live.ports import Recorder


class Ticks(Protocol):
    """Publishes batches (``live/ticks.py``)."""

    def offer(self, feed: LiveFeed, channel: LiveChannel, batch: frames.Batch) -> None:
        """Take a batch; drops it rather than wait."""

    def forget(self, feed: LiveFeed) -> None:
        """Remove what was published of a feed that is deleted."""


class Taps:
    """The ``Tap`` of all feeds."""

    def __init__(self, recorder: Recorder, ticks: Sequence[Ticks] = ()) -> None:
        self._recorder, self._ticks = recorder, ticks

    def batch(self, feed: LiveFeed, channel: LiveChannel, batch: frames.Batch) -> None:
        """Record and publish a batch."""
        if channel.recorders:
            row = feed.feed
            self._recorder.take(row.project, row.feed_id, channel.channel, feed.epoch, batch)
        for ticks in self._ticks:
            ticks.offer(feed, channel, batch)

    def gap(self, feed: LiveFeed, channel: LiveChannel | None, gap: frames.Gap) -> None:
        """Tell the recorder of a gap, once for each channel."""
        row = feed.feed
        for each in [channel] if channel else list(feed.channels.values()):
            if each.recorders:
                self._recorder.gap(row.project, row.feed_id, each.channel, gap)

    def forget(self, feed: LiveFeed) -> None:
        """Forget a feed that is deleted."""
        for ticks in self._ticks:
            ticks.forget(feed)
