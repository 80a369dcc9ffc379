"""Live market data: subscriptions, streams that resume, order books."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import grpc.aio

from mesh.common.v1 import enums_pb2
from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1 import market_data_service_pb2 as rpc
from mesh.marketdata.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from meshclient.channels import channels
from meshclient.errors import MeshClientError
from meshclient.group import Group, new_request_id, only
from meshclient.watching import Watch

PATIENCE = 300.0
"""Seconds for which a broken watch tries to come back: longer than any restart takes."""
SIDES = {"buy": enums_pb2.ORDER_SIDE_BUY, "sell": enums_pb2.ORDER_SIDE_SELL}


class MarketData(Group):
    """``mesh.market_data``."""

    def _make_stub(self, channel: grpc.aio.Channel) -> Any:
        return MarketDataServiceStub(channel)

    async def subscribe(
        self,
        feed_id: str,
        *wanted: str | pb.Channel,
        lossless: bool = False,
        conflate: timedelta | None = None,
        idle_timeout: timedelta | None = None,
    ) -> pb.Subscription:
        """Subscribe to channels of a feed and return at once; items may be PENDING then.

        ``wanted`` are channels, or texts such as ``BTCUSDT.BINANCE:quotes`` and bar types.
        ``lossless`` gives every tick; else the newest of each channel, at most one in ``conflate``
        (100 ms). Without ``idle_timeout`` the subscription stays until it is deleted.
        """
        request = rpc.CreateSubscriptionRequest(
            request_id=new_request_id(),
            project=self._project,
            feed_id=feed_id,
            channels=channels(*wanted),
            delivery=pb.DELIVERY_LOSSLESS if lossless else pb.DELIVERY_CONFLATED,
        )
        if conflate is not None:
            request.conflate_interval.FromTimedelta(conflate)
        if idle_timeout is not None:
            request.idle_timeout.FromTimedelta(idle_timeout)
        return await self._subscription("CreateSubscription", request)

    async def update(
        self,
        subscription_id: str,
        *,
        add: Sequence[str | pb.Channel] = (),
        remove: Sequence[str | pb.Channel] = (),
    ) -> pb.Subscription:
        """Add and remove channels; watchers see the new ones with a snapshot each."""
        request = rpc.UpdateSubscriptionRequest(
            request_id=new_request_id(),
            subscription_id=subscription_id,
            add_channels=channels(*add),
            remove_channels=channels(*remove),
        )
        return await self._subscription("UpdateSubscription", request)

    async def get(self, subscription_id: str) -> pb.Subscription:
        """Return a subscription with the state of each item."""
        request = rpc.GetSubscriptionRequest(subscription_id=subscription_id)
        return await self._subscription("GetSubscription", request)

    async def list(self, *, feed_id: str = "", limit: int | None = None) -> list[pb.Subscription]:
        """Return the project's subscriptions, the newest first."""
        request = rpc.ListSubscriptionsRequest(project=self._project, feed_id=feed_id)
        pages = self._pages("ListSubscriptions", request, "subscriptions", limit)
        return [each async for each in pages]

    async def find(self, text: str) -> str:
        """Return the id of the subscription that is meant: an id, its first digits, or ``last``.

        Digits are looked for among the newest 500.
        """
        if len(text) == 36:
            return text
        last = text == "last"
        found = [each.subscription_id for each in await self.list(limit=1 if last else 500)]
        return only(found, "" if last else text, "subscriptions", "SUBSCRIPTION_NOT_FOUND")

    async def delete(self, subscription_id: str) -> None:
        """End a subscription; its watchers end with SUBSCRIPTION_NOT_FOUND."""
        request = rpc.DeleteSubscriptionRequest(
            request_id=new_request_id(), subscription_id=subscription_id
        )
        await self._call("DeleteSubscription", request)

    async def record(self, subscription_id: str, on: bool = True) -> pb.Subscription:
        """Begin or end to write the channels into the catalog; after the end all is there."""
        values = {"request_id": new_request_id(), "subscription_id": subscription_id}
        if on:
            return await self._subscription("StartRecording", rpc.StartRecordingRequest(**values))
        return await self._subscription("StopRecording", rpc.StopRecordingRequest(**values))

    def watch(
        self,
        *subscription_ids: str,
        columns: bool = False,
        cursor: str = "",
        book_levels: int = 0,
        broken: Callable[[MeshClientError], None] = lambda fault: None,
        patience: float = PATIENCE,
    ) -> Watch:
        """Watch subscriptions of one feed: iterate over it, ``async for item in watch``.

        First comes a snapshot of every item, then updates (``MarketDataUpdate``; with ``columns``
        a ``Batch`` of many), gaps with a fresh snapshot each, and changes of item states
        (``SubscriptionItem``). Restarts of the mesh, expired tokens and drains are survived: the
        stream goes on after the last cursor, so that LOSSLESS misses nothing within the retention.
        ``broken(fault)`` is called when it broke; after ``patience`` seconds without the
        mesh the fault is raised. ``cursor`` goes on where an earlier ``watch.cursor`` was.
        """
        wanted = rpc.DATA_FORMAT_COLUMNS if columns else rpc.DATA_FORMAT_OBJECTS

        def after(place: str) -> rpc.WatchMarketDataRequest:
            return rpc.WatchMarketDataRequest(
                subscription_ids=subscription_ids,
                format=wanted,
                after_cursor=place,
                book_levels=book_levels,
            )

        messages = self._connection.watch(
            self._stub.WatchMarketData, after, cursor=cursor, patience=patience, broken=broken
        )
        return Watch(messages, cursor)

    async def book(
        self, feed_id: str, instrument_id: str, *, levels: int = 0
    ) -> rpc.GetOrderBookResponse:
        """Return the best levels of an order book that some subscription has open."""
        request = rpc.GetOrderBookRequest(
            project=self._project, feed_id=feed_id, instrument_id=instrument_id, levels=levels
        )
        reply: rpc.GetOrderBookResponse = await self._call("GetOrderBook", request)
        return reply

    async def book_prices(
        self,
        feed_id: str,
        instrument_id: str,
        side: str,
        *,
        quantity: str | Decimal = "",
        price: str | Decimal = "",
    ) -> rpc.GetBookPricesResponse:
        """Return what a trade would meet: the average and worst price of ``quantity``, and how much
        there is up to ``price``. ``side`` is ``buy`` or ``sell``.
        """
        request = rpc.GetBookPricesRequest(
            project=self._project,
            feed_id=feed_id,
            instrument_id=instrument_id,
            side=SIDES[side],
            quantity=_decimal(quantity),
            price=_decimal(price),
        )
        reply: rpc.GetBookPricesResponse = await self._call("GetBookPrices", request)
        return reply

    async def _subscription(self, method: str, request: Any) -> pb.Subscription:
        found: pb.Subscription = (await self._call(method, request)).subscription
        return found


def _decimal(value: str | Decimal) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else value
