"""Refusals of a feed's process as errors of the contracts."""

from meshkit.errors import MeshError
from services.market_data.errors import bad_field
from services.market_data.live.domain import Feed
from services.market_data.live.errors import ChannelNotOpen, FeedUnavailable, VenueAnswer


def refused(feed: Feed, answer: VenueAnswer, field: str) -> MeshError:
    """Return the error of a refused command; ``field`` is what it can be at fault."""
    about = {"feed_id": feed.feed_id}
    if answer.reason == "INVALID_FIELD":
        return bad_field(field, answer.message)
    if answer.reason == "CHANNEL_NOT_OPEN":
        return ChannelNotOpen(answer.message, metadata=about)
    return FeedUnavailable(
        f"The feed '{feed.feed_id}' cannot answer: {answer.message}",
        metadata={**about, "state": answer.reason},
        retry_after=answer.retry_after or 1.0,
    )
