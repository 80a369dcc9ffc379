"""All feeds and subscriptions of the service: which channels are open, and for whom."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from meshkit.database import Database
from services.market_data.live import convert, frames
from services.market_data.live.domain import DELTAS, Channel, Feed, Subscription
from services.market_data.live.errors import no_feed, no_subscription
from services.market_data.live.feed import LiveFeed
from services.market_data.live.ports import FeedSpec, Recorder, Starter
from services.market_data.live.running import FeedRunner
from services.market_data.live.settings import Settings
from services.market_data.live.store import FeedStore, SubscriptionStore
from services.market_data.live.taps import Taps

log = logging.getLogger("market_data.live")

Key = tuple[str, str]
"""Project and feed id."""


@dataclass
class Open:
    """A feed with its process."""

    live: LiveFeed
    runner: FeedRunner
    subscriptions: set[str] = field(default_factory=set)
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass
class Held:
    """A subscription with those who watch it; ``left`` is when the last one left (loop time)."""

    row: Subscription
    left: float
    watchers: int = 0
    version: int = 0
    deleted: bool = False


class LiveHub:
    """``async with`` loads what is stored and begins to connect; it waits for no venue."""

    def __init__(
        self,
        database: Database,
        start: Starter,
        catalog: Path,
        settings: Settings,
        recorder: Recorder,
        taps: Taps,
    ) -> None:
        self.settings = settings
        self.feeds: dict[Key, Open] = {}
        self.subscriptions: dict[str, Held] = {}
        self.on_change: Callable[[LiveFeed], None] = lambda _: None
        """Called when the state of a feed changes."""
        self._database, self._start, self._catalog = database, start, catalog
        self._recorder, self._taps = recorder, taps
        self._starting: set[asyncio.Task[None]] = set()
        self._naming: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    async def __aenter__(self) -> "LiveHub":
        async with self._database.connection() as tx:
            feeds = await FeedStore().all(tx)
            subscriptions = await SubscriptionStore().all(tx)
        for feed in feeds:
            self.put_feed(feed)
        for row in subscriptions:
            self._hold(row)
            task = asyncio.create_task(self._recordings(row, (), row.channels, row.recording))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*(each.runner.close() for each in self.feeds.values()))

    # ---- feeds ---------------------------------------------------------------------------------

    def get(self, project: str, feed_id: str) -> Open:
        """Return an open feed; raises ``FeedNotFound``."""
        found = self.feeds.get((project, feed_id))
        if found is None:
            raise no_feed(project, feed_id)
        return found

    def find(self, project: str, feed_id: str) -> Feed:
        """Return a feed as stored; raises ``FeedNotFound``."""
        return self.get(project, feed_id).live.feed

    @asynccontextmanager
    async def naming(self, project: str, feed_id: str) -> AsyncIterator[None]:
        """Let one at a time create or delete a feed of an id, in the database and here."""
        key = project, feed_id
        lock = self._naming.get(key)
        if lock is None:
            lock = self._naming[key] = asyncio.Lock()
        async with lock:
            yield

    def put_feed(self, feed: Feed) -> None:
        """Take a feed that is stored, or as it was changed."""
        if feed.key in self.feeds:
            self.feeds[feed.key].live.feed = feed
            return
        live = LiveFeed(feed, self.settings.bounds, self._taps, lambda f: self.on_change(f))
        runner = FeedRunner(live, self._start, lambda: self._spec(live), self.settings)
        self.feeds[feed.key] = Open(live, runner)

    async def drop_feed(self, feed: Feed) -> None:
        """Forget a feed that is deleted, and end its process."""
        found = self.feeds.pop(feed.key, None)
        if found is not None:
            await found.runner.close()
            self._taps.forget(found.live)

    def view_feed(self, feed: Feed) -> pb.Feed:
        """Return a feed as a message, as it is now."""
        found = self.feeds.get(feed.key)
        if found is None:  # about to be created
            live = LiveFeed(feed, self.settings.bounds, self._taps, lambda _: None)
            return convert.feed(feed, live, 0)
        return convert.feed(feed, found.live, len(found.subscriptions))

    def _spec(self, live: LiveFeed) -> FeedSpec:
        feed, told = live.feed, live.replay
        return FeedSpec(
            project=feed.project,
            feed_id=feed.feed_id,
            venue=feed.venue,
            config_json=feed.config_json,
            silence_s=feed.silence_ms / 1_000,
            catalog=str(self._catalog / feed.project),
            position=told.position if told else feed.position,
            paused=feed.paused,
            speed=feed.speed,
        )

    # ---- subscriptions -------------------------------------------------------------------------

    def held(self, projects: Iterable[str], subscription_id: str) -> Held:
        """Return a subscription of one of the projects; raises ``SubscriptionNotFound``."""
        found = self.subscriptions.get(subscription_id)
        if found is None or found.row.project not in projects:
            raise no_subscription(subscription_id)
        return found

    @asynccontextmanager
    async def changing(self, subscription_id: str) -> AsyncIterator[None]:
        """Keep other changes of a subscription's feed out while the block lasts."""
        held = self.subscriptions.get(subscription_id)
        async with self.feeds[held.row.feed_key].changing if held else nullcontext():
            yield

    def view(self, row: Subscription) -> pb.Subscription:
        """Return a subscription as a message, as it is now."""
        found = self.feeds.get(row.feed_key)
        held = self.subscriptions.get(row.subscription_id)
        watchers = held.watchers if held else 0
        message = convert.subscription(
            row, found.live if found else None, watchers, self.settings.bounds
        )
        if row.recording:
            for item, channel in zip(message.items, row.channels, strict=True):
                said = self._recorder.problem(row.project, row.feed_id, channel)
                item.recording_reason, item.recording_message = said
        return message

    async def put(self, row: Subscription) -> None:
        """Take a subscription that was stored, or as it was changed."""
        held = self.subscriptions.get(row.subscription_id)
        before = held.row if held else None
        self._hold(row)
        was = before.channels if before and before.recording else ()
        await self._recordings(row, was, row.channels, row.recording)

    async def drop(self, row: Subscription) -> None:
        """Forget a subscription that is deleted; close what nobody else wants."""
        held = self.subscriptions.pop(row.subscription_id, None)
        if held is None:
            return
        held.deleted = True
        feed = self.feeds[row.feed_key]
        feed.subscriptions.discard(row.subscription_id)
        try:
            if held.row.recording:
                await self._recordings(row, held.row.channels, (), False)
        finally:  # its channels are closed even when what it recorded cannot be written
            self._close(feed.live, row.subscription_id, held.row.channels)
            feed.live.wake()

    def _hold(self, row: Subscription) -> None:
        feed = self.feeds[row.feed_key]
        held = self.subscriptions.get(row.subscription_id)
        if held is None:
            now = asyncio.get_running_loop().time()
            held = self.subscriptions[row.subscription_id] = Held(row, now)
            feed.subscriptions.add(row.subscription_id)
        gone = set(held.row.channels) - set(row.channels)
        held.row, held.version = row, held.version + 1
        self._use(feed.live, row)
        self._close(feed.live, row.subscription_id, gone)
        if row.channels:
            feed.runner.need()
        feed.live.wake()

    def _use(self, live: LiveFeed, row: Subscription) -> None:
        """Open the channels of a subscription, or use those that are open."""
        mine, open_ = row.subscription_id, live.channels
        joins = any(each in open_ and mine not in open_[each].users for each in row.channels)
        since = live.mark() if joins else live.log.end
        for channel in row.channels:
            live.open(channel).users.setdefault(mine, since)

    def _close(self, live: LiveFeed, subscription_id: str, channels: Iterable[Channel]) -> None:
        for channel in channels:
            found = live.channels.get(channel)
            if found is not None:
                found.users.pop(subscription_id, None)
                if not found.users:
                    live.close(found)

    async def _recordings(
        self, row: Subscription, was: Iterable[Channel], now: Iterable[Channel], on: bool
    ) -> None:
        """Start and stop the recording of channels, counted over subscriptions."""
        before, after = set(was), set(now) if on else set()
        live, who = self.feeds[row.feed_key].live, row.subscription_id
        starts, stops, books = [], [], []
        for channel in after - before:
            found = live.channels.get(channel)
            if found is not None:
                found.recorders.add(who)
                if len(found.recorders) == 1:
                    starts.append(channel)
                    if channel.kind == DELTAS and found.newest is not None:
                        books.append(found)
        for channel in before - after:
            found = live.channels.get(channel)
            if found is not None:
                found.recorders.discard(who)
            if found is None or not found.recorders:
                stops.append(channel)
        about = row.project, row.feed_id
        await asyncio.gather(
            *(self._recorder.start(*about, channel, row.owner) for channel in starts),
            *(self._recorder.stop(*about, channel) for channel in stops),
        )
        for each in books:
            live.reopen(each)

    # ---- what others ask of a feed -------------------------------------------------------------

    async def instrument(
        self, project: str, feed_id: str, instrument_id: str
    ) -> InstrumentDefinition | None:
        """Return an instrument as the venue gives it; None when it has none."""
        told = await self.ask(
            self.get(project, feed_id), lambda i: frames.AskInstrument(i, instrument_id)
        )
        found = told.definitions if isinstance(told, frames.Instruments) else []
        return InstrumentDefinition.FromString(found[0]) if found else None

    async def history(
        self, project: str, feed_id: str, channel: Channel, start: int, end: int, limit: int = 0
    ) -> AsyncIterator[frames.HistoryRows]:
        """Yield what the venue has of a closed range (unix ns), in the order of time."""
        found = self.get(project, feed_id)
        await found.runner.connected()

        def make(id_: int) -> frames.Command:
            names = channel.kind, channel.instrument_id, channel.bar_type
            return frames.AskHistory(id_, *names, start, end, limit)

        try:
            # A venue that limits us is waited for by the process, so this may take long.
            async for rows in found.live.asking.rows(found.live.send, make, 300.0):
                yield rows
        except TimeoutError:
            raise found.runner.unavailable() from None

    async def ask(self, feed: Open, make: Callable[[int], frames.Command]) -> object:
        """Send a command to a feed's process, started if need be, and return its answer.

        Raises ``FeedUnavailable`` when there is none in time, and ``VenueAnswer``.
        """
        await feed.runner.connected()
        try:
            return await feed.live.asking.one(feed.live.send, make, self.settings.answer)
        except TimeoutError:
            raise feed.runner.unavailable() from None


@asynccontextmanager
async def watched(helds: Iterable[Held], live: LiveFeed) -> AsyncIterator[None]:
    """Count a watcher of subscriptions while the block lasts."""
    watched_ = list(helds)
    for held in watched_:
        held.watchers += 1
    live.watchers += 1
    try:
        yield
    finally:
        live.watchers -= 1
        for held in watched_:
            held.watchers -= 1
            held.left = asyncio.get_running_loop().time()


async def to_its_end[T](work: Awaitable[T]) -> T:
    """Await work that goes on to its end when the caller goes away: what is stored is also done."""
    task = asyncio.ensure_future(work)
    return await asyncio.shield(task)
