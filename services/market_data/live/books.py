"""Questions about order books, answered by the process of the feed."""

from decimal import Decimal

from mesh.common.v1 import enums_pb2
from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1 import market_data_service_pb2 as rpc
from meshkit import enums
from services.market_data.errors import bad_field
from services.market_data.live import frames
from services.market_data.live.answers import refused
from services.market_data.live.asking import Make
from services.market_data.live.domain import DELTAS, DEPTH, Channel
from services.market_data.live.errors import ChannelNotOpen, VenueAnswer
from services.market_data.live.hub import LiveHub, Open
from services.market_data.live.log import LiveChannel


async def order_book(
    hub: LiveHub, feed: Open, instrument_id: str, levels: int
) -> rpc.GetOrderBookResponse:
    """Return the best levels of a book; raises ``ChannelNotOpen`` and ``FeedUnavailable``."""
    channel = _channel(feed, instrument_id)
    told = await _ask(hub, feed, lambda i: frames.AskBook(i, instrument_id, levels))
    response = rpc.GetOrderBookResponse.FromString(told)
    response.state = _state(channel)
    return response


async def prices(
    hub: LiveHub, feed: Open, request: rpc.GetBookPricesRequest
) -> rpc.GetBookPricesResponse:
    """Return what a trade would meet."""
    if not request.quantity and not request.price:
        raise bad_field("quantity", "or `price` is required: say which of them is asked about")
    if request.quantity and not Decimal(request.quantity):
        raise bad_field("quantity", "must be above 0")
    side = enums.bare(enums_pb2.OrderSide, request.side)
    if side not in {"BUY", "SELL"}:
        raise bad_field("side", "must be BUY or SELL")
    channel = _channel(feed, request.instrument_id)
    asked = request.instrument_id, side, request.quantity, request.price
    told = await _ask(hub, feed, lambda i: frames.AskPrices(i, *asked))
    response = rpc.GetBookPricesResponse.FromString(told)
    response.state = _state(channel)
    return response


def _channel(feed: Open, instrument_id: str) -> LiveChannel:
    for kind in (DELTAS, DEPTH):
        found = feed.live.channels.get(Channel(kind, instrument_id))
        if found is not None:
            return found
    feed_id = feed.live.feed.feed_id
    raise ChannelNotOpen(
        f"No subscription of '{feed_id}' has a book of {instrument_id} open. Subscribe to "
        "ORDER_BOOK_DELTA or ORDER_BOOK_DEPTH10 of it first.",
        metadata={"feed_id": feed_id, "instrument_id": instrument_id},
    )


async def _ask(hub: LiveHub, feed: Open, make: Make) -> bytes:
    """Ask a process that is there: a feed that is disconnected has a book, which is STALE."""
    if not feed.live.alive:
        raise feed.runner.unavailable()
    try:
        told = await feed.live.asking.one(feed.live.send, make, hub.settings.answer)
    except TimeoutError:
        raise feed.runner.unavailable() from None
    except VenueAnswer as answer:
        raise refused(feed.live.feed, answer, "quantity") from None
    assert isinstance(told, frames.Answer)  # what answers these commands
    return told.payload


def _state(channel: LiveChannel) -> pb.ItemState.ValueType:
    return pb.ItemState.Value(f"ITEM_STATE_{channel.status.state}")
