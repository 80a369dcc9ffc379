"""What the live half tells on ``facts:market-data``: feeds and subscriptions that changed."""

from typing import Any

from mesh.marketdata.v1 import live_pb2 as pb
from meshkit.facts import FactLog
from services.market_data.events import FACTS

_log = FactLog("market-data")


async def tell_feed(tx: Any, feed: pb.Feed, *, deleted: bool = False) -> None:
    """Write the fact that a feed changed into a transaction."""
    await _log.append(
        tx,
        FACTS,
        subject=feed.feed_id,
        owner=feed.meta.owner,
        project=feed.meta.project,
        payload=pb.FeedChanged(feed=feed, deleted=deleted),
    )


async def tell_subscription(tx: Any, item: pb.Subscription, *, deleted: bool = False) -> None:
    """Write the fact that a subscription changed into a transaction."""
    await _log.append(
        tx,
        FACTS,
        subject=item.subscription_id,
        owner=item.meta.owner,
        project=item.meta.project,
        payload=pb.SubscriptionChanged(subscription=item, deleted=deleted),
    )
