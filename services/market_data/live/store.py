"""SQL of feeds and subscriptions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.market_data.live.domain import Channel, Feed, Subscription

_FEED = (
    "project, feed_id, owner, venue, config_json, silence_ms, position_ns AS position, paused,"
    " speed, create_time, update_time"
)
_SUBSCRIPTION = (
    "s.subscription_id, s.project, s.feed_id, s.owner, s.delivery, s.conflate_ms, s.idle_ms,"
    " s.recording, s.create_time, s.update_time,"
    " (SELECT coalesce(array_agg(ARRAY[i.kind, i.instrument_id, i.bar_type] ORDER BY i.place),"
    " '{}') FROM subscription_items i WHERE i.subscription_id = s.subscription_id) AS channels"
)


class FeedStore:
    """Feeds of all projects."""

    async def insert(self, tx: Any, feed: Feed) -> Feed | None:
        """Store a feed; None when the id is taken."""
        row = await tx.fetchrow(
            "INSERT INTO feeds (project, feed_id, owner, venue, config_json, silence_ms)"
            f" VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING {_FEED}",
            feed.project,
            feed.feed_id,
            feed.owner,
            feed.venue,
            feed.config_json,
            feed.silence_ms,
        )
        return Feed(**dict(row)) if row else None

    async def count(self, tx: Any) -> int:
        """Return how many feeds there are."""
        return int(await tx.fetchval("SELECT count(*) FROM feeds"))

    async def find(self, tx: Any, project: str, feed_id: str) -> Feed | None:
        """Return a feed, locked inside a transaction."""
        lock = " FOR UPDATE" if tx.is_in_transaction() else ""
        row = await tx.fetchrow(
            f"SELECT {_FEED} FROM feeds WHERE project = $1 AND feed_id = $2{lock}",
            project,
            feed_id,
        )
        return Feed(**dict(row)) if row else None

    async def all(self, tx: Any) -> list[Feed]:
        """Return the feeds of all projects."""
        rows = await tx.fetch(f"SELECT {_FEED} FROM feeds ORDER BY project, feed_id")
        return [Feed(**dict(row)) for row in rows]

    async def set_replay(
        self,
        tx: Any,
        feed: Feed,
        *,
        position: int | None = None,
        paused: bool | None = None,
        speed: float | None = None,
    ) -> Feed | None:
        """Store where a replay goes on; None leaves as it is. None when the feed is gone."""
        row = await tx.fetchrow(
            "UPDATE feeds SET position_ns = coalesce($3, position_ns),"
            " paused = coalesce($4, paused), speed = coalesce($5, speed), update_time = now()"
            f" WHERE project = $1 AND feed_id = $2 RETURNING {_FEED}",
            feed.project,
            feed.feed_id,
            position,
            paused,
            speed,
        )
        return Feed(**dict(row)) if row else None

    async def subscriptions(self, tx: Any, feed: Feed) -> int:
        """Return how many subscriptions use a feed."""
        return int(
            await tx.fetchval(
                "SELECT count(*) FROM subscriptions WHERE project = $1 AND feed_id = $2",
                feed.project,
                feed.feed_id,
            )
        )

    async def delete(self, tx: Any, feed: Feed) -> None:
        """Remove a feed."""
        await tx.execute(
            "DELETE FROM feeds WHERE project = $1 AND feed_id = $2", feed.project, feed.feed_id
        )


class SubscriptionStore:
    """Subscriptions of all projects."""

    async def insert(self, tx: Any, item: Subscription) -> Subscription:
        """Store a subscription with its channels."""
        await tx.execute(
            "INSERT INTO subscriptions (subscription_id, project, feed_id, owner, delivery,"
            " conflate_ms, idle_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            UUID(item.subscription_id),
            item.project,
            item.feed_id,
            item.owner,
            item.delivery,
            item.conflate_ms,
            item.idle_ms,
        )
        return await self.change(tx, item.subscription_id, item.channels, ())

    async def change(
        self, tx: Any, subscription_id: str, adds: Sequence[Channel], removes: Sequence[Channel]
    ) -> Subscription:
        """Add and remove channels; those that it has or has not already are left."""
        names = [(c.kind, c.instrument_id, c.bar_type) for c in removes]
        await tx.executemany(
            "DELETE FROM subscription_items WHERE subscription_id = $1 AND kind = $2"
            " AND instrument_id = $3 AND bar_type = $4",
            [(UUID(subscription_id), *name) for name in names],
        )
        await tx.execute(
            "INSERT INTO subscription_items (subscription_id, kind, instrument_id, bar_type)"
            " SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[])"
            " ON CONFLICT DO NOTHING",
            UUID(subscription_id),
            [c.kind for c in adds],
            [c.instrument_id for c in adds],
            [c.bar_type for c in adds],
        )
        return await self._touched(tx, subscription_id)

    async def set_recording(self, tx: Any, subscription_id: str, recording: bool) -> Subscription:
        """Store whether it is recorded."""
        await tx.execute(
            "UPDATE subscriptions SET recording = $2 WHERE subscription_id = $1",
            UUID(subscription_id),
            recording,
        )
        return await self._touched(tx, subscription_id)

    async def _touched(self, tx: Any, subscription_id: str) -> Subscription:
        row = await tx.fetchrow(
            "UPDATE subscriptions s SET update_time = now() WHERE subscription_id = $1"
            f" RETURNING {_SUBSCRIPTION}",
            UUID(subscription_id),
        )
        return _subscription(row)

    async def find(
        self, tx: Any, projects: Sequence[str], subscription_id: str
    ) -> Subscription | None:
        """Return a subscription of one of the projects, locked inside a transaction."""
        lock = " FOR UPDATE" if tx.is_in_transaction() else ""
        row = await tx.fetchrow(
            f"SELECT {_SUBSCRIPTION} FROM subscriptions s"
            f" WHERE subscription_id = $1 AND project = ANY($2){lock}",
            UUID(subscription_id),
            list(projects),
        )
        return _subscription(row) if row else None

    async def all(self, tx: Any) -> list[Subscription]:
        """Return the subscriptions of all projects, the oldest first."""
        rows = await tx.fetch(f"SELECT {_SUBSCRIPTION} FROM subscriptions s ORDER BY create_time")
        return [_subscription(row) for row in rows]

    async def page(
        self, tx: Any, project: str, feed_id: str, after: tuple[str, ...] | None, limit: int
    ) -> list[Subscription]:
        """Return subscriptions, the newest first, older than the key ``after`` (time, id)."""
        rows = await tx.fetch(
            f"SELECT {_SUBSCRIPTION} FROM subscriptions s WHERE project = $1"
            " AND ($2 = '' OR feed_id = $2)"
            " AND ($3::timestamptz IS NULL OR (create_time, subscription_id) < ($3, $4::uuid))"
            " ORDER BY create_time DESC, subscription_id DESC LIMIT $5",
            project,
            feed_id,
            datetime.fromisoformat(after[0]) if after else None,
            UUID(after[1]) if after else None,
            limit,
        )
        return [_subscription(row) for row in rows]

    async def channels(self, tx: Any, project: str, feed_id: str) -> int:
        """Return how many different channels the subscriptions of a feed have."""
        return int(
            await tx.fetchval(
                "SELECT count(*) FROM (SELECT DISTINCT kind, instrument_id, bar_type"
                " FROM subscription_items JOIN subscriptions USING (subscription_id)"
                " WHERE project = $1 AND feed_id = $2) AS channels",
                project,
                feed_id,
            )
        )

    async def delete(self, tx: Any, subscription_id: str) -> bool:
        """Remove a subscription; whether there was one."""
        done = await tx.execute(
            "DELETE FROM subscriptions WHERE subscription_id = $1", UUID(subscription_id)
        )
        return bool(done == "DELETE 1")


def _subscription(row: Any) -> Subscription:
    values = dict(row)
    return Subscription(
        **{
            **values,
            "subscription_id": str(values["subscription_id"]),
            "channels": tuple(Channel(*each) for each in values["channels"]),
        }
    )
