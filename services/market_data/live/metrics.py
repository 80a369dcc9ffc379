"""Metrics of feeds, read when they are asked for: they cost a tick nothing."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.market_data.live.feed import (
    CONNECTED,
    CONNECTING,
    DISCONNECTED,
    FAILED,
    IDLE,
    LiveFeed,
)

TICKS_DROPPED = Counter("mesh_ticks_dropped_rows", "Rows that Redis did not take in time.")

_LABELS = ["project", "feed", "venue"]
_STATES = (CONNECTING, CONNECTED, DISCONNECTED, FAILED, IDLE)
_COUNTERS: dict[str, tuple[str, Callable[[LiveFeed], float]]] = {
    "rows": ("Rows received.", lambda feed: feed.totals.rows),
    "batches": ("Batches received.", lambda feed: feed.totals.batches),
    "bytes": ("Bytes of batches received.", lambda feed: feed.totals.bytes),
    "reconnects": ("Connections to the venue made anew.", lambda feed: feed.totals.reconnects),
    "starts": ("Starts of the feed's process.", lambda feed: feed.starts),
}
_GAUGES: dict[str, tuple[str, Callable[[LiveFeed], float]]] = {
    "channels": ("Channels that are open.", lambda feed: len(feed.channels)),
    "watchers": ("Streams that read the feed.", lambda feed: feed.watchers),
    "kept_bytes": ("Bytes kept for readers that are late.", lambda feed: feed.log.bytes),
    "process_cpu_seconds": ("CPU time of the feed's process.", lambda feed: feed.cpu),
}


class FeedMetrics(Collector):
    """Reads feeds when it is asked; ``feeds`` lists them."""

    def __init__(self, feeds: Callable[[], Iterable[LiveFeed]]) -> None:
        self._feeds = feeds

    @contextmanager
    def registered(self) -> Iterator[None]:
        """Be asked by the registry while the block lasts."""
        REGISTRY.register(self)
        try:
            yield
        finally:
            REGISTRY.unregister(self)

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand: the registry must not collect in order to know names."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics of all feeds as they are now."""
        feeds = [(feed, _labels(feed)) for feed in list(self._feeds())]
        for name, (text, read) in _COUNTERS.items():
            counter = CounterMetricFamily(f"mesh_feed_{name}", text, labels=_LABELS)
            for feed, labels in feeds:
                counter.add_metric(labels, read(feed))
            yield counter
        for name, (text, read) in _GAUGES.items():
            gauge = GaugeMetricFamily(f"mesh_feed_{name}", text, labels=_LABELS)
            for feed, labels in feeds:
                gauge.add_metric(labels, read(feed))
            yield gauge
        yield from _by_state(feeds)
        yield from _by_cause(feeds)
        yield _lag(feeds)


def _labels(feed: LiveFeed) -> list[str]:
    return [feed.feed.project, feed.feed.feed_id, feed.feed.venue]


Labelled = list[tuple[LiveFeed, list[str]]]


def _by_state(feeds: Labelled) -> Iterable[Metric]:
    text = "1 for the state that the feed is in, else 0."
    gauge = GaugeMetricFamily("mesh_feed_state", text, labels=[*_LABELS, "state"])
    for feed, labels in feeds:
        for state in _STATES:
            gauge.add_metric([*labels, state], float(feed.status.state == state))
    yield gauge


def _by_cause(feeds: Labelled) -> Iterable[Metric]:
    counter = CounterMetricFamily("mesh_feed_gaps", "Gaps told.", labels=[*_LABELS, "cause"])
    for feed, labels in feeds:
        for cause, count in dict(feed.totals.gaps).items():
            counter.add_metric([*labels, cause], count)
    yield counter


def _lag(feeds: Labelled) -> Metric:
    """Of a replay it would be the age of its data."""
    gauge = GaugeMetricFamily(
        "mesh_feed_lag_seconds", "Time since the newest row was made.", labels=_LABELS
    )
    for feed, labels in feeds:
        if feed.last and not feed.feed.is_replay:
            gauge.add_metric(labels, time.time() - feed.last / 1e9)
    return gauge
