"""What the live half needs of others, and what it gives to them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from services.market_data.live.domain import Channel, Feed
from services.market_data.live.frames import Batch, Gap, HistoryRows


@dataclass(frozen=True)
class FeedSpec:
    """What a feed's process is started with.

    ``silence_s`` 0 means never. ``catalog`` is the folder of the project's catalog. ``position``
    (unix ns), ``paused`` and ``speed`` are where a replay goes on: None means as its config says.
    """

    project: str
    feed_id: str
    venue: str
    config_json: str
    silence_s: float
    catalog: str
    position: int | None = None
    paused: bool | None = None
    speed: float | None = None


class Process(Protocol):
    """A child process; ``asyncio.subprocess.Process`` is one."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def kill(self) -> None:
        """Send SIGKILL; nothing when it has ended."""

    async def wait(self) -> int:
        """Wait for its end; the return code."""


class Starter(Protocol):
    """Starts the process of a feed (``live/process.py``); it ends when the streams close."""

    async def __call__(
        self, spec: FeedSpec
    ) -> tuple[Process, asyncio.StreamReader, asyncio.StreamWriter]:
        """Return the process and the streams on which frames go in and come out."""


class Venues(Protocol):
    """Knows the adapters (``live/venues.py``)."""

    async def check(self, venue: str, config_json: str) -> Mapping[str, Any]:
        """Return the config as given; raises the typed error of a bad venue or config."""


class Recorder(Protocol):
    """Writes live data into catalogs (``live/recording/``).

    The hub calls ``start`` once for a channel that some subscription records, also after a
    restart of the service, and ``stop`` when the last one does not any more. In between it hands
    over each batch and gap of the channel, in order, before any watcher can see it.
    """

    async def start(self, project: str, feed_id: str, channel: Channel, owner: str) -> None:
        """Begin; batches may come before this returns, and must be kept."""

    async def stop(self, project: str, feed_id: str, channel: Channel) -> None:
        """End: all that was taken is in the catalog when this returns."""

    def take(self, project: str, feed_id: str, channel: Channel, epoch: str, batch: Batch) -> None:
        """Take a batch of a channel being recorded. Returns at once and never raises."""

    def gap(self, project: str, feed_id: str, channel: Channel, gap: Gap) -> None:
        """Take a gap in a channel being recorded. Returns at once and never raises."""

    def problem(self, project: str, feed_id: str, channel: Channel) -> tuple[str, str]:
        """Return reason and message of what is wrong with a recording; empty when all is well."""


class NoRecorder:
    """Records nothing; for a service without a catalog, and tests of other things."""

    async def start(self, project: str, feed_id: str, channel: Channel, owner: str) -> None:
        """Do nothing."""

    async def stop(self, project: str, feed_id: str, channel: Channel) -> None:
        """Do nothing."""

    def take(self, project: str, feed_id: str, channel: Channel, epoch: str, batch: Batch) -> None:
        """Do nothing."""

    def gap(self, project: str, feed_id: str, channel: Channel, gap: Gap) -> None:
        """Do nothing."""

    def problem(self, project: str, feed_id: str, channel: Channel) -> tuple[str, str]:
        """Return that all is well."""
        return "", ""


class Asked(Protocol):
    """What recorder and history jobs ask of feeds.

    Both start the feed's process when it is idle, wait for it, and raise ``FeedUnavailable`` when
    it is not connected in time, ``FeedNotFound`` when there is none, and ``VenueAnswer``
    (``reason``, ``message``, ``retry_after``) when it is refused.
    """

    async def instrument(
        self, project: str, feed_id: str, instrument_id: str
    ) -> InstrumentDefinition | None:
        """Return an instrument as the venue gives it; None when it has none."""

    def history(
        self, project: str, feed_id: str, channel: Channel, start: int, end: int, limit: int = 0
    ) -> AsyncIterator[HistoryRows]:
        """Yield what the venue has of a closed range (unix ns), in the order of time."""


class Feeds(Asked, Protocol):
    """Feeds that can be looked up, too; ``LiveHub`` is one."""

    def find(self, project: str, feed_id: str) -> Feed:
        """Return a feed; raises ``FeedNotFound``."""
