"""RPC methods of the feed service; those about venues and lockstep replay are in files of their
own.
"""

from collections.abc import AsyncIterator
from typing import Any

from mesh.marketdata.v1 import feed_service_pb2 as rpc
from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1.feed_service_pb2_grpc import FeedServiceServicer
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from meshkit import enums
from meshkit.context import caller
from meshkit.database import Database
from meshkit.idempotency import answered, once
from meshkit.paging import page
from meshkit.times import to_nanos
from meshkit.watch import Batch, WatchHub
from services.market_data.domain import FIRST, LAST
from services.market_data.errors import bad_field
from services.market_data.events import FACTS
from services.market_data.finding import Finder
from services.market_data.live import convert, events, frames
from services.market_data.live.answers import refused
from services.market_data.live.domain import REPLAY, SILENCE_MS, Feed
from services.market_data.live.errors import (
    FeedExists,
    FeedInUse,
    NotAReplay,
    TooManyFeeds,
    VenueAnswer,
    no_feed,
)
from services.market_data.live.hub import LiveHub, Open, to_its_end
from services.market_data.live.store import FeedStore
from services.market_data.live.venues import Venues
from services.market_data.replay_servicer import ReplayMethods
from services.market_data.venue_servicer import VenueMethods


class FeedServicer(VenueMethods, ReplayMethods, FeedServiceServicer):
    """Unpack, call, pack."""

    def __init__(
        self, database: Database, hub: LiveHub, watches: WatchHub, venues: Venues, finder: Finder
    ) -> None:
        super().__init__(venues)
        self._finder = finder
        self._database = database
        self._hub = hub
        self._watches = watches
        self._store = FeedStore()

    async def CreateFeed(self, request: rpc.CreateFeedRequest, _: Any) -> Any:
        """Check a feed's config and store it."""
        feed = _new(request, caller().project(request.project))
        made: list[Feed] = []

        async def prepare() -> None:
            await self._venues.check(feed.venue, feed.config_json)

        async def work(tx: Any, _: None) -> rpc.CreateFeedResponse:
            stored = await self._store.insert(tx, feed)
            if stored is None:
                raise FeedExists(
                    f"The project has a feed '{feed.feed_id}'. Use it, or choose another id.",
                    metadata={"feed_id": feed.feed_id},
                )
            await self._check_feeds(tx)
            made.append(stored)
            view = self._hub.view_feed(stored)
            await events.tell_feed(tx, view)
            return rpc.CreateFeedResponse(feed=view)

        async def create() -> rpc.CreateFeedResponse:
            async with self._hub.naming(*feed.key):
                response = await once(
                    self._database, request, rpc.CreateFeedResponse, work, prepare=prepare
                )
                for stored in made:
                    self._hub.put_feed(stored)
            return response

        return await to_its_end(create())

    async def _check_feeds(self, tx: Any) -> None:
        most = self._hub.settings.feeds
        if await self._store.count(tx) > most:
            raise TooManyFeeds(
                f"There are {most} feeds, and no more are served. Delete one first.",
                metadata={"max_feeds": str(most)},
            )

    async def GetFeed(self, request: rpc.GetFeedRequest, _: Any) -> Any:
        """Return a feed with its state."""
        found = self._open(request)
        return rpc.GetFeedResponse(feed=self._hub.view_feed(found.live.feed))

    async def ListFeeds(self, request: rpc.ListFeedsRequest, _: Any) -> Any:
        """Return a project's feeds by id."""
        project = caller().project(request.project)
        wanted = page(request)
        state = enums.bare(pb.FeedState, request.state)
        after = wanted.after[0] if wanted.after else ""
        rows = sorted(
            (
                feed.live.feed
                for (of, feed_id), feed in self._hub.feeds.items()
                if of == project and feed_id > after and state in {"", feed.live.status.state}
            ),
            key=lambda row: row.feed_id,
        )
        rows, token = wanted.cut(rows, key=lambda row: (row.feed_id,))
        return rpc.ListFeedsResponse(
            feeds=[self._hub.view_feed(row) for row in rows], next_page_token=token
        )

    async def WatchFeeds(
        self, request: rpc.WatchFeedsRequest, _: Any
    ) -> AsyncIterator[rpc.WatchFeedsResponse]:
        """Tell the changes of a project's feeds."""
        project = caller().project(request.project)
        wanted = request.feed_id

        def accept(event: Any) -> bool:
            is_feed = event.payload.Is(pb.FeedChanged.DESCRIPTOR)
            return is_feed and event.project == project and wanted in {"", event.subject}

        watching = self._watches.watch(
            FACTS,
            cursor=request.after_cursor,
            filter_hash=f"feeds/{project}/{wanted}",
            accept=accept,
        )
        async for item in watching:
            told = item.events if isinstance(item, Batch) else ()
            yield rpc.WatchFeedsResponse(events=told, cursor=item.cursor, checkpoint=not told)

    async def DeleteFeed(self, request: rpc.DeleteFeedRequest, _: Any) -> Any:
        """Remove a feed without subscriptions."""
        project = caller().project(request.project)
        gone: list[Feed] = []

        async def work(tx: Any) -> rpc.DeleteFeedResponse:
            feed = await self._row(tx, project, request.feed_id)
            used = await self._store.subscriptions(tx, feed)
            if used:
                raise FeedInUse(
                    f"{used} subscriptions use the feed '{feed.feed_id}'. Delete them first.",
                    metadata={"feed_id": feed.feed_id, "subscriptions": str(used)},
                )
            await self._store.delete(tx, feed)
            await events.tell_feed(tx, self._hub.view_feed(feed), deleted=True)
            gone.append(feed)
            return rpc.DeleteFeedResponse()

        async def delete() -> rpc.DeleteFeedResponse:
            async with self._hub.naming(project, request.feed_id):
                response = await once(self._database, request, rpc.DeleteFeedResponse, work)
                for feed in gone:
                    await self._hub.drop_feed(feed)
            return response

        return await to_its_end(delete())

    async def RestartFeed(self, request: rpc.RestartFeedRequest, _: Any) -> Any:
        """End a feed's process and start it anew."""
        project = caller().project(request.project)
        first = await answered(self._database, request, rpc.RestartFeedResponse)
        if first is not None:
            return first
        found = self._open(request)
        made: list[Feed] = []

        async def work(tx: Any) -> rpc.RestartFeedResponse:
            made.append(await self._row(tx, project, request.feed_id))
            return rpc.RestartFeedResponse(feed=self._hub.view_feed(made[0]))

        response = await once(self._database, request, rpc.RestartFeedResponse, work)
        if made:
            found.runner.restart()
        return response

    async def ListFeedInstruments(self, request: rpc.ListFeedInstrumentsRequest, _: Any) -> Any:
        """Return the instruments that a feed's venue offers."""
        found = self._open(request)
        wanted = page(request)
        after = wanted.after[0] if wanted.after else ""
        told = await self._ask(
            found, lambda i: frames.AskInstruments(i, request.text, after, wanted.size), "text"
        )
        assert isinstance(told, frames.Instruments)  # what answers the command
        definitions = [InstrumentDefinition.FromString(each) for each in told.definitions]
        more = told.more and definitions
        return rpc.ListFeedInstrumentsResponse(
            instruments=definitions,
            next_page_token=wanted.token((definitions[-1].instrument_id,)) if more else "",
        )

    async def PauseReplay(self, request: rpc.PauseReplayRequest, _: Any) -> Any:
        """Stop the data of a replay where it is."""
        return await self._control(request, rpc.PauseReplayResponse, "pause", paused=True)

    async def ResumeReplay(self, request: rpc.ResumeReplayRequest, _: Any) -> Any:
        """Let a paused replay go on."""
        return await self._control(request, rpc.ResumeReplayResponse, "resume", paused=False)

    async def SeekReplay(self, request: rpc.SeekReplayRequest, _: Any) -> Any:
        """Move a replay to another time."""
        position = to_nanos(request.position)
        if not FIRST <= position <= LAST:
            raise bad_field("position", "lies outside the range of every replay")
        return await self._control(request, rpc.SeekReplayResponse, "seek", position=position)

    async def SetReplaySpeed(self, request: rpc.SetReplaySpeedRequest, _: Any) -> Any:
        """Change the speed of a replay."""
        return await self._control(
            request, rpc.SetReplaySpeedResponse, "speed", speed=request.speed
        )

    async def _control(self, request: Any, response_type: Any, action: str, **wish: Any) -> Any:
        """Control a replay's process, and keep the wish for the next one.

        A seek needs the process, which knows the range; the rest waits for it to be needed.
        """
        project = caller().project(request.project)
        first = await answered(self._database, request, response_type)
        if first is not None:
            return first
        found = self._open(request)
        _check_replay(found.live.feed)

        async def prepare() -> None:
            if action == "seek" or found.live.alive:
                about = wish.get("position", 0), wish.get("speed", 0.0)
                await self._ask(found, lambda i: frames.Control(i, action, *about), "position")

        async def work(tx: Any, _: None) -> Any:
            row = await self._row(tx, project, request.feed_id)
            row = await self._store.set_replay(tx, row, **wish) or row
            made.append(row)
            view = self._hub.view_feed(row)
            await events.tell_feed(tx, view)
            return response_type(feed=view)

        async def control() -> Any:
            async with found.changing:
                response = await once(self._database, request, response_type, work, prepare=prepare)
                for row in made:
                    if self._hub.feeds.get(row.key) is found:  # else it is deleted meanwhile
                        self._hub.put_feed(row)
            return response

        made: list[Feed] = []
        return await to_its_end(control())

    async def _ask(self, found: Open, make: Any, field: str) -> Any:
        try:
            return await self._hub.ask(found, make)
        except VenueAnswer as answer:
            raise refused(found.live.feed, answer, field) from None

    def _open(self, request: Any) -> Open:
        return self._hub.get(caller().project(request.project), request.feed_id)

    async def _row(self, tx: Any, project: str, feed_id: str) -> Feed:
        found = await self._store.find(tx, project, feed_id)
        if found is None:
            raise no_feed(project, feed_id)
        return found


def _new(request: rpc.CreateFeedRequest, project: str) -> Feed:
    silence = convert.milliseconds("silence_timeout", request.silence_timeout)
    if not request.HasField("silence_timeout"):
        silence = SILENCE_MS
    if silence < 0 or 0 < silence < 1_000:
        raise bad_field("silence_timeout", "must be 0, for never, or at least 1 s")
    return Feed(
        project=project,
        feed_id=request.feed_id,
        owner=caller().subject,
        venue=request.venue,
        config_json=request.config_json or "{}",
        silence_ms=0 if request.venue == REPLAY else silence,
    )


def _check_replay(feed: Feed) -> None:
    if not feed.is_replay:
        raise NotAReplay(
            f"The feed '{feed.feed_id}' is a connection to {feed.venue}; only a replay can be "
            "paused, moved or timed.",
            metadata={"feed_id": feed.feed_id, "venue": feed.venue},
        )
