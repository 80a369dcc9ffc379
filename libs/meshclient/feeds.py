"""Feeds: the venues there are, connections to them, and replays of stored data."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import grpc.aio

from mesh.marketdata.v1 import feed_service_pb2 as rpc
from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1.feed_service_pb2_grpc import FeedServiceStub
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from meshclient.data import timestamp
from meshclient.errors import MeshClientError
from meshclient.group import Group, new_request_id


class Feeds(Group):
    """``mesh.feeds``."""

    def _make_stub(self, channel: grpc.aio.Channel) -> Any:
        return FeedServiceStub(channel)

    async def venues(self, *, data: bool = False) -> Sequence[rpc.Venue]:
        """Return every adapter that the mesh knows, by name; with ``data`` those with live data."""
        request = rpc.ListVenuesRequest(data=data)
        return [each async for each in self._pages("ListVenues", request, "venues", None)]

    async def venue(self, name: str) -> rpc.Venue:
        """Return one adapter: its config schema, the credentials that it takes."""
        found: rpc.Venue = (await self._call("GetVenue", rpc.GetVenueRequest(venue=name))).venue
        return found

    async def create(
        self,
        feed_id: str,
        venue: str,
        config: Mapping[str, Any] | None = None,
        *,
        silence_timeout: timedelta | None = None,
    ) -> pb.Feed:
        """Make a feed; the venue is reached at the first subscription.

        ``config`` is of the venue's config schema. When all channels together are silent for
        ``silence_timeout`` (60 s; zero: never) the connection is made anew.
        """
        request = rpc.CreateFeedRequest(
            request_id=new_request_id(),
            project=self._project,
            feed_id=feed_id,
            venue=venue,
            config_json=json.dumps(dict(config)) if config else "",
        )
        if silence_timeout is not None:
            request.silence_timeout.FromTimedelta(silence_timeout)
        return await self._feed("CreateFeed", request)

    async def ensure(
        self, feed_id: str, venue: str, config: Mapping[str, Any] | None = None
    ) -> pb.Feed:
        """Return the feed of this id, made unless there is one, whatever its config."""
        try:
            return await self.create(feed_id, venue, config)
        except MeshClientError as error:
            if error.reason != "FEED_EXISTS":
                raise
        return await self.get(feed_id)

    async def get(self, feed_id: str) -> pb.Feed:
        """Return a feed with its state."""
        request = rpc.GetFeedRequest(project=self._project, feed_id=feed_id)
        return await self._feed("GetFeed", request)

    async def list(
        self, *, state: pb.FeedState.ValueType = pb.FEED_STATE_UNSPECIFIED
    ) -> Sequence[pb.Feed]:
        """Return the project's feeds by id."""
        request = rpc.ListFeedsRequest(project=self._project, state=state)
        return [each async for each in self._pages("ListFeeds", request, "feeds", None)]

    async def watch(self, feed_id: str = "") -> AsyncIterator[pb.FeedChanged]:
        """Yield feeds as they are, and then each change of them; ``deleted`` ends a feed.

        Without ``feed_id`` all of the project. Restarts of the mesh are survived.
        """

        def after(cursor: str) -> rpc.WatchFeedsRequest:
            return rpc.WatchFeedsRequest(
                project=self._project, feed_id=feed_id, after_cursor=cursor
            )

        attached = False
        async for message in self._connection.watch(self._stub.WatchFeeds, after):
            if not attached:  # only now: what changes from here on is told by events
                attached = True
                found = [await self.get(feed_id)] if feed_id else await self.list()
                for feed in found:
                    yield pb.FeedChanged(feed=feed)
            for event in message.events:
                changed = pb.FeedChanged()
                if event.payload.Unpack(changed):
                    yield changed

    async def delete(self, feed_id: str) -> None:
        """Remove a feed without subscriptions."""
        request = rpc.DeleteFeedRequest(
            request_id=new_request_id(), project=self._project, feed_id=feed_id
        )
        await self._call("DeleteFeed", request)

    async def restart(self, feed_id: str) -> pb.Feed:
        """End the feed's process and start it anew; readers are told the gap."""
        return await self._feed("RestartFeed", self._change(rpc.RestartFeedRequest, feed_id))

    async def instruments(
        self, feed_id: str, text: str = "", *, limit: int | None = None
    ) -> Sequence[InstrumentDefinition]:
        """Return what the feed's venue offers, by id; ``text`` must be in the id."""
        request = rpc.ListFeedInstrumentsRequest(project=self._project, feed_id=feed_id, text=text)
        pages = self._pages("ListFeedInstruments", request, "instruments", limit)
        return [each async for each in pages]

    async def pause(self, feed_id: str) -> pb.Feed:
        """Stop the data of a replay where it is."""
        return await self._feed("PauseReplay", self._change(rpc.PauseReplayRequest, feed_id))

    async def resume(self, feed_id: str) -> pb.Feed:
        """Let a paused replay go on."""
        return await self._feed("ResumeReplay", self._change(rpc.ResumeReplayRequest, feed_id))

    async def seek(self, feed_id: str, position: datetime) -> pb.Feed:
        """Move a replay to another time (without a zone: UTC); readers are told the gap."""
        request = self._change(rpc.SeekReplayRequest, feed_id)
        request.position.CopyFrom(timestamp(position))
        return await self._feed("SeekReplay", request)

    async def speed(self, feed_id: str, speed: float) -> pb.Feed:
        """Set the speed of a replay: seconds of data in a second; 0 is as fast as it can."""
        request = self._change(rpc.SetReplaySpeedRequest, feed_id)
        request.speed = speed
        return await self._feed("SetReplaySpeed", request)

    def _change(self, kind: type[Any], feed_id: str) -> Any:
        return kind(request_id=new_request_id(), project=self._project, feed_id=feed_id)

    async def _feed(self, method: str, request: Any) -> pb.Feed:
        found: pb.Feed = (await self._call(method, request)).feed
        return found
