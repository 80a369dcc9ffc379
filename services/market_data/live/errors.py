"""Errors of the live half, one class per reason."""

from meshkit.errors import (
    AlreadyExists,
    FailedPrecondition,
    NotFound,
    ResourceExhausted,
    Unavailable,
)


class FeedNotFound(NotFound):
    """No such feed in the project."""

    reason = "FEED_NOT_FOUND"


class FeedExists(AlreadyExists):
    """The project has a feed of this id."""

    reason = "FEED_EXISTS"


class FeedInUse(FailedPrecondition):
    """Subscriptions use the feed."""

    reason = "FEED_IN_USE"


class FeedUnavailable(Unavailable):
    """The feed is not connected."""

    reason = "FEED_UNAVAILABLE"


class NotAReplay(FailedPrecondition):
    """The feed is a connection to a venue."""

    reason = "NOT_A_REPLAY"


class SubscriptionNotFound(NotFound):
    """No such subscription in the caller's projects."""

    reason = "SUBSCRIPTION_NOT_FOUND"


class TooManyChannels(ResourceExhausted):
    """The feed would have more channels than it may."""

    reason = "TOO_MANY_CHANNELS"


class TooManyFeeds(ResourceExhausted):
    """The service would have more feeds than it may."""

    reason = "TOO_MANY_FEEDS"


class ChannelNotOpen(FailedPrecondition):
    """No subscription has a book of the instrument open."""

    reason = "CHANNEL_NOT_OPEN"


class NotRecordable(FailedPrecondition):
    """A replay's data is in the catalog already."""

    reason = "NOT_RECORDABLE"


class VenueAnswer(Exception):
    """A command that the feed's process or its venue refused.

    ``reason`` is a value of ErrorReason without its prefix; ``retry_after`` in seconds, or 0.
    """

    def __init__(self, reason: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


def no_feed(project: str, feed_id: str) -> FeedNotFound:
    """Return the error that there is no such feed."""
    return FeedNotFound(
        f"There is no feed '{feed_id}' in '{project}'. Look at ListFeeds.",
        metadata={"feed_id": feed_id, "project": project},
    )


def no_subscription(subscription_id: str) -> SubscriptionNotFound:
    """Return the error that there is no such subscription."""
    return SubscriptionNotFound(
        f"There is no subscription {subscription_id} in your projects.",
        metadata={"subscription_id": subscription_id},
    )
