"""What goes on beside the feeds: facts of their states, places of replays, idle subscriptions."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable
from contextlib import suppress

from mesh.marketdata.v1 import live_pb2 as pb
from meshkit.database import Database
from meshkit.link import ERRORS, Link, wait
from services.market_data.live import events
from services.market_data.live.feed import LiveFeed
from services.market_data.live.hub import Held, Key, LiveHub
from services.market_data.live.store import FeedStore, SubscriptionStore

log = logging.getLogger("market_data.live")

LOOK = 1.0
"""Seconds between looks."""

MOST_FACTS = 1_000
"""Facts of states that wait for the database; the oldest go."""


class Keeper:
    """``async with`` runs it for a hub."""

    def __init__(self, database: Database, hub: LiveHub, draining: asyncio.Event) -> None:
        self._database, self._hub, self._draining = database, hub, draining
        self._facts: deque[pb.Feed] = deque(maxlen=MOST_FACTS)
        self._news = asyncio.Event()
        self._places: dict[Key, int] = {}
        self._feeds, self._subscriptions = FeedStore(), SubscriptionStore()
        self._link = Link("live:postgresql")

    async def __aenter__(self) -> "Keeper":
        self._hub.on_change = self._changed
        work = (self._tell(), self._look(), self._end())
        self._tasks = [asyncio.create_task(each, name="live keeper") for each in work]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        with suppress(*ERRORS):
            await self._save_places()

    def _changed(self, live: LiveFeed) -> None:
        self._facts.append(self._hub.view_feed(live.feed))
        self._news.set()

    async def _end(self) -> None:
        """Let the watchers see that the server drains."""
        await self._draining.wait()
        for feed in self._hub.feeds.values():
            feed.live.wake()

    async def _tell(self) -> None:
        """Write the facts of states, for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._facts:
                feed = self._facts[0]
                if not await self._try(self._tell_one(feed)):
                    continue
                if self._facts and self._facts[0] is feed:
                    self._facts.popleft()

    async def _tell_one(self, feed: pb.Feed) -> None:
        async with self._database.transaction() as tx:
            if await self._feeds.find(tx, feed.meta.project, feed.feed_id):
                await events.tell_feed(tx, feed)

    async def _look(self) -> None:
        while True:
            await wait(asyncio.Event(), LOOK)
            for feed in self._hub.feeds.values():
                feed.live.log.trim()
            await self._try(self._save_places())
            now = asyncio.get_running_loop().time()
            for held in [h for h in self._hub.subscriptions.values() if _is_over(h, now)]:
                await self._try(self._expire(held))

    async def _save_places(self) -> None:
        for key, feed in list(self._hub.feeds.items()):
            told = feed.live.replay
            if told is None or self._places.get(key) == told.position:
                continue
            async with self._database.connection() as tx:
                await self._feeds.set_replay(tx, feed.live.feed, position=told.position)
            self._places[key] = told.position

    async def _expire(self, held: Held) -> None:
        """Remove a subscription that nobody has watched for its idle time."""
        row = held.row
        feed = self._hub.feeds[row.feed_key]
        async with feed.changing:
            if held.deleted or not _is_over(held, asyncio.get_running_loop().time()):
                return  # it is watched again, or somebody was faster
            async with self._database.transaction() as tx:
                if await self._subscriptions.delete(tx, row.subscription_id):
                    view = self._hub.view(row)
                    await events.tell_subscription(tx, view, deleted=True)
            await self._hub.drop(row)
        log.info("a subscription was idle", extra={"subscription_id": row.subscription_id})

    async def _try(self, work: Awaitable[None]) -> bool:
        """Do work that the database may refuse for now; whether it was done."""
        try:
            await work
            self._link.up()
        except ERRORS as error:
            await asyncio.sleep(self._link.down(error))
            return False
        except Exception:  # a bug must not end all that is kept without a word
            log.exception("the live half cannot keep its books")
            await asyncio.sleep(LOOK)
            return True
        return True


def _is_over(held: Held, now: float) -> bool:
    idle = held.row.idle_ms / 1_000
    return bool(idle) and not held.watchers and now - held.left > idle
