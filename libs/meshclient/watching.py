"""A watch of live data as an iterator that knows where it is."""

from collections.abc import AsyncGenerator
from typing import Self

from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1.market_data_service_pb2 import WatchMarketDataItem, WatchMarketDataResponse
from meshclient.batches import Batch

type LiveItem = (
    pb.MarketDataSnapshot | pb.MarketDataUpdate | Batch | pb.FeedGap | pb.SubscriptionItem
)
"""What a watch yields: newest state of a channel, one tick, many ticks, a hole, an item's state."""


class Watch:
    """Yields what a watch is told, through restarts of the mesh, until it is closed.

    ``cursor`` is where it is: given to another ``watch`` of the same subscriptions, that one goes
    on there. It moves when all of a message was taken, so what comes after it may be seen twice by
    who stops within one, and is never missed. ``attached`` says that a message has come since
    the stream was opened.
    """

    def __init__(
        self, messages: AsyncGenerator[WatchMarketDataResponse, None], cursor: str = ""
    ) -> None:
        self.cursor = cursor
        self.attached = False
        self._messages = messages
        self._items = self._read()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LiveItem:
        return await anext(self._items)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the watch; the subscription stays."""
        await self._items.aclose()
        await self._messages.aclose()

    async def _read(self) -> AsyncGenerator[LiveItem, None]:
        async for message in self._messages:
            self.attached = True
            for item in message.items:
                if (found := unpacked(item)) is not None:
                    yield found
            self.cursor = message.cursor or self.cursor


def unpacked(item: WatchMarketDataItem) -> LiveItem | None:
    """Return what an item holds; None for what only a newer mesh knows."""
    which = item.WhichOneof("item")
    if which is None:
        return None
    held: LiveItem = getattr(item, which)
    return Batch(held) if isinstance(held, pb.MarketDataBatch) else held
