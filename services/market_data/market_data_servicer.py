"""RPC methods of the market-data service: subscriptions, their data, and questions about books."""

import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1 import market_data_service_pb2 as rpc
from mesh.marketdata.v1.market_data_service_pb2_grpc import MarketDataServiceServicer
from meshkit import enums
from meshkit.context import caller
from meshkit.database import Database
from meshkit.errors import Draining, MeshError, TokenExpired
from meshkit.idempotency import answered, once
from meshkit.paging import page
from services.market_data.engine import bar_types
from services.market_data.errors import bad_field
from services.market_data.live import books, convert, cursor, events
from services.market_data.live.domain import CONFLATE_MS, Channel, Feed, Subscription
from services.market_data.live.errors import (
    NotRecordable,
    TooManyChannels,
    no_feed,
    no_subscription,
)
from services.market_data.live.hub import Held, LiveHub, Open, to_its_end, watched
from services.market_data.live.store import FeedStore, SubscriptionStore
from services.market_data.live.watching import Watch, Wish

LEVELS, MOST_LEVELS = 25, 1_000


class MarketDataServicer(MarketDataServiceServicer):
    """Unpack, call, pack."""

    def __init__(self, database: Database, hub: LiveHub, is_draining: Callable[[], bool]) -> None:
        self._database = database
        self._hub = hub
        self._is_draining = is_draining
        self._feeds, self._store = FeedStore(), SubscriptionStore()

    async def CreateSubscription(self, request: rpc.CreateSubscriptionRequest, _: Any) -> Any:
        """Store a subscription and open its channels."""
        row = _new(request, caller().project(request.project))
        first = await answered(self._database, request, rpc.CreateSubscriptionResponse)
        if first is not None:
            return first
        self._hub.find(*row.feed_key)

        async def work(tx: Any) -> tuple[Subscription, rpc.CreateSubscriptionResponse]:
            feed = await self._feed(tx, row)
            made = await self._store.insert(tx, row)
            await self._check_channels(tx, feed)
            view = self._hub.view(made)
            await events.tell_subscription(tx, view)
            return made, rpc.CreateSubscriptionResponse(subscription=view)

        return await self._changed(request, row, rpc.CreateSubscriptionResponse, work)

    async def UpdateSubscription(self, request: rpc.UpdateSubscriptionRequest, _: Any) -> Any:
        """Add and remove items."""
        adds = _channels("add_channels", request.add_channels)
        removes = convert.channels_of("remove_channels", request.remove_channels)
        first = await answered(self._database, request, rpc.UpdateSubscriptionResponse)
        if first is not None:
            return first
        old = self._held(request.subscription_id).row

        async def work(tx: Any) -> tuple[Subscription, rpc.UpdateSubscriptionResponse]:
            feed = await self._feed(tx, old)
            row = await self._row(tx, request.subscription_id)
            row = await self._store.change(tx, row.subscription_id, adds, removes)
            await self._check_channels(tx, feed)
            view = self._hub.view(row)
            await events.tell_subscription(tx, view)
            return row, rpc.UpdateSubscriptionResponse(subscription=view)

        return await self._changed(request, old, rpc.UpdateSubscriptionResponse, work)

    async def GetSubscription(self, request: rpc.GetSubscriptionRequest, _: Any) -> Any:
        """Return a subscription with the state of each item."""
        held = self._held(request.subscription_id)
        return rpc.GetSubscriptionResponse(subscription=self._hub.view(held.row))

    async def ListSubscriptions(self, request: rpc.ListSubscriptionsRequest, _: Any) -> Any:
        """Return subscriptions, the newest first."""
        project = caller().project(request.project)
        wanted = page(request)
        async with self._database.connection() as tx:
            rows = await self._store.page(
                tx, project, request.feed_id, wanted.after, wanted.size + 1
            )
        rows, token = wanted.cut(rows, key=_page_key)
        return rpc.ListSubscriptionsResponse(
            subscriptions=[self._hub.view(row) for row in rows], next_page_token=token
        )

    async def DeleteSubscription(self, request: rpc.DeleteSubscriptionRequest, _: Any) -> Any:
        """End a subscription."""
        gone: list[Subscription] = []

        async def work(tx: Any) -> rpc.DeleteSubscriptionResponse:
            row = await self._row(tx, request.subscription_id)
            await self._store.delete(tx, row.subscription_id)
            await events.tell_subscription(tx, self._hub.view(row), deleted=True)
            gone.append(row)
            return rpc.DeleteSubscriptionResponse()

        async def change() -> rpc.DeleteSubscriptionResponse:
            async with self._hub.changing(request.subscription_id):
                response = await once(self._database, request, rpc.DeleteSubscriptionResponse, work)
                for row in gone:
                    await self._hub.drop(row)
            return response

        return await to_its_end(change())

    async def StartRecording(self, request: rpc.StartRecordingRequest, _: Any) -> Any:
        """Begin to write a subscription's channels into the catalog."""
        return await self._record(request, rpc.StartRecordingResponse, True)

    async def StopRecording(self, request: rpc.StopRecordingRequest, _: Any) -> Any:
        """End the recording; what was received before is in the catalog then."""
        return await self._record(request, rpc.StopRecordingResponse, False)

    async def _record(self, request: Any, response_type: Any, recording: bool) -> Any:
        first = await answered(self._database, request, response_type)
        if first is not None:
            return first
        old = self._held(request.subscription_id).row
        feed = self._hub.find(*old.feed_key)
        if recording and feed.is_replay:
            raise NotRecordable(
                f"The feed '{feed.feed_id}' is a replay: its data is in the catalog already.",
                metadata={"feed_id": feed.feed_id},
            )

        async def work(tx: Any) -> Any:
            row = await self._row(tx, request.subscription_id)
            row = await self._store.set_recording(tx, row.subscription_id, recording)
            view = self._hub.view(row)
            await events.tell_subscription(tx, view)
            return row, response_type(subscription=view)

        return await self._changed(request, old, response_type, work)

    async def _changed(
        self, request: Any, row: Subscription, response_type: Any, change: Any
    ) -> Any:
        """Do a change once; then let the hub have it, in the order of the changes."""
        rows: list[Subscription] = []

        async def work(tx: Any) -> Any:
            made, response = await change(tx)
            rows.append(made)
            return response

        async def apply() -> Any:
            async with self._hub.get(*row.feed_key).changing:
                response = await once(self._database, request, response_type, work)
                for made in rows:
                    await self._hub.put(made)
            return response

        return await to_its_end(apply())

    async def WatchMarketData(  # type: ignore[override] # its responses are bytes already
        self, request: rpc.WatchMarketDataRequest, _: Any
    ) -> AsyncIterator[bytes]:
        """Stream the data of subscriptions of one feed; the responses are serialized already."""
        held = [self._held(id_) for id_ in request.subscription_ids]
        keys = {each.row.feed_key for each in held}
        if len(keys) > 1:
            text = "are of several feeds; watch those of each feed in a stream of its own"
            raise bad_field("subscription_ids", text)
        live = self._hub.get(*keys.pop()).live
        async with watched(held, live):
            async for message in Watch(live, held, self._wish(request)).messages(
                request.after_cursor
            ):
                yield message

    def _wish(self, request: rpc.WatchMarketDataRequest) -> Wish:
        ends = caller().expires_at

        def over() -> MeshError | None:
            if self._is_draining():
                return Draining("The server is stopping. Watch again from the last cursor.")
            if time.time() >= ends:
                return TokenExpired("The token has expired. Watch again from the last cursor.")
            return None

        return Wish(
            columns=request.format == rpc.DATA_FORMAT_COLUMNS,
            levels=_levels(request.book_levels),
            checkpoint=self._hub.settings.checkpoint,
            bound_to=cursor.bound_to(request.subscription_ids),
            over=over,
            ends=ends,
            message=self._hub.settings.message,
        )

    async def GetOrderBook(self, request: rpc.GetOrderBookRequest, _: Any) -> Any:
        """Return the best levels of a book that is subscribed to."""
        feed = self._open(request.project, request.feed_id)
        return await books.order_book(
            self._hub, feed, request.instrument_id, _levels(request.levels)
        )

    async def GetBookPrices(self, request: rpc.GetBookPricesRequest, _: Any) -> Any:
        """Answer what a trade would meet."""
        feed = self._open(request.project, request.feed_id)
        return await books.prices(self._hub, feed, request)

    def _open(self, project: str, feed_id: str) -> Open:
        return self._hub.get(caller().project(project), feed_id)

    def _held(self, subscription_id: str) -> Held:
        return self._hub.held(caller().projects, subscription_id)

    async def _feed(self, tx: Any, row: Subscription) -> Feed:
        found = await self._feeds.find(tx, *row.feed_key)
        if found is None:
            raise no_feed(*row.feed_key)
        return found

    async def _row(self, tx: Any, subscription_id: str) -> Subscription:
        found = await self._store.find(tx, caller().projects, subscription_id)
        if found is None:
            raise no_subscription(subscription_id)
        return found

    async def _check_channels(self, tx: Any, feed: Feed) -> None:
        most = self._hub.settings.channels
        if await self._store.channels(tx, *feed.key) > most:
            raise TooManyChannels(
                f"The feed '{feed.feed_id}' would have more than {most} channels. Remove some, or "
                "make another feed.",
                metadata={"max_channels": str(most)},
            )


def _new(request: rpc.CreateSubscriptionRequest, project: str) -> Subscription:
    delivery = enums.bare(pb.Delivery, request.delivery) or "CONFLATED"
    interval = convert.milliseconds("conflate_interval", request.conflate_interval)
    return Subscription(
        subscription_id=str(uuid.uuid4()),
        project=project,
        owner=caller().subject,
        feed_id=request.feed_id,
        delivery=delivery,
        conflate_ms=interval if request.HasField("conflate_interval") else CONFLATE_MS,
        idle_ms=convert.milliseconds("idle_timeout", request.idle_timeout),
        recording=False,
        channels=_channels("channels", request.channels),
    )


def _channels(field: str, messages: Iterable[pb.Channel]) -> tuple[Channel, ...]:
    """Return the channels to open; Nautilus has a word in what a bar type is."""
    channels = convert.channels_of(field, messages)
    for index, channel in enumerate(channels):
        if channel.bar_type:
            bar_types.check(f"{field}[{index}].bar_type", channel.bar_type)
    return channels


def _levels(wanted: int) -> int:
    return min(wanted or LEVELS, MOST_LEVELS)


def _page_key(row: Subscription) -> tuple[str, ...]:
    assert row.create_time is not None  # a stored subscription has one
    return row.create_time.isoformat(), row.subscription_id
