"""Contracts ↔ the live half's domain, pure, both ways."""

from collections.abc import Iterable

from google.protobuf.duration_pb2 import Duration

from mesh.common.v1.identifiers_pb2 import ResourceMeta
from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1 import marketdata_pb2
from meshkit import enums
from meshkit.times import from_datetime, to_timestamp
from services.market_data.errors import bad_field
from services.market_data.live.domain import Channel, Feed, Subscription, unique
from services.market_data.live.feed import LiveFeed
from services.market_data.live.log import Bounds, GapNote, ItemStatus, LiveChannel

_MS = 1_000_000
_LONGEST = 10 * 365 * 86_400
"""Seconds of the longest duration that makes sense."""

_UNOPENED = ItemStatus("PENDING", 0)


def channel_of(field: str, message: pb.Channel) -> Channel:
    """Return the channel of a message; ``field`` names it in errors."""
    kind = enums.bare(marketdata_pb2.DataKind, message.kind)
    return Channel.of(field, kind, message.instrument_id, message.bar_type)


def channels_of(field: str, messages: Iterable[pb.Channel]) -> tuple[Channel, ...]:
    """Return the channels of a request, each once; ``field`` names the list in errors."""
    found = [channel_of(f"{field}[{i}]", message) for i, message in enumerate(messages)]
    return unique(field, found)


def channel(item: Channel) -> pb.Channel:
    """Return a channel as a message."""
    return pb.Channel(
        kind=marketdata_pb2.DataKind.Value(f"DATA_KIND_{item.kind}"),
        instrument_id=item.instrument_id,
        bar_type=item.bar_type,
    )


def item(
    of: Channel, live: LiveChannel | None, status: ItemStatus | None = None
) -> pb.SubscriptionItem:
    """Return an item with the state of its channel, or with a state that it had."""
    shown = status or (live.status if live else _UNOPENED)
    message = pb.SubscriptionItem(
        channel=channel(of),
        state=pb.ItemState.Value(f"ITEM_STATE_{shown.state}"),
        reason=shown.reason,
        message=shown.message,
        rows=live.rows if live else 0,
    )
    if shown.time:
        message.state_time.CopyFrom(to_timestamp(shown.time))
    if live and live.last:
        message.last_time.CopyFrom(to_timestamp(live.last))
    return message


def gap(of: Channel | None, note: GapNote, start: int = 0, end: int = 0) -> pb.FeedGap:
    """Return a gap as a message; ``start`` and ``end`` where the note has none."""
    message = pb.FeedGap(
        channel=channel(of) if of else None,
        cause=pb.GapCause.Value(f"GAP_CAUSE_{note.cause}"),
        message=note.message,
    )
    if note.start or start:
        getattr(message, "from").CopyFrom(to_timestamp(note.start or start))
    if note.end or end:
        message.to.CopyFrom(to_timestamp(note.end or end))
    return message


def subscription(
    row: Subscription, live: LiveFeed | None, watchers: int, bounds: Bounds
) -> pb.Subscription:
    """Return a subscription as a message."""
    open_ = live.channels if live else {}
    message = pb.Subscription(
        meta=_meta(row),
        subscription_id=row.subscription_id,
        feed_id=row.feed_id,
        delivery=pb.Delivery.Value(f"DELIVERY_{row.delivery}"),
        conflate_interval=duration(row.conflate_ms) if row.delivery == "CONFLATED" else None,
        items=[item(each, open_.get(each)) for each in row.channels],
        recording=row.recording,
        idle_timeout=duration(row.idle_ms) if row.idle_ms else None,
        retention=pb.Retention(
            period=duration(int(bounds.seconds * 1_000)), max_bytes=bounds.channel_bytes
        ),
        watchers=watchers,
    )
    return message


def feed(row: Feed, live: LiveFeed, subscriptions: int) -> pb.Feed:
    """Return a feed as a message."""
    status = live.status
    message = pb.Feed(
        meta=_meta(row),
        feed_id=row.feed_id,
        venue=row.venue,
        config_json=row.config_json,
        state=pb.FeedState.Value(f"FEED_STATE_{status.state}"),
        state_time=to_timestamp(status.time),
        reason=status.reason,
        message=status.message,
        channels=len(live.channels),
        subscriptions=subscriptions,
        watchers=live.watchers,
        rows=live.rows,
        last_time=to_timestamp(live.last) if live.last else None,
        starts=live.starts,
        reconnects=live.reconnects,
        silence_timeout=duration(row.silence_ms) if row.silence_ms else None,
    )
    if row.is_replay:
        message.replay.CopyFrom(_replay(row, live))
    return message


def _replay(row: Feed, live: LiveFeed) -> pb.ReplayStatus:
    """Return where a replay is; without a process, where it goes on."""
    told = live.replay
    message = pb.ReplayStatus()
    position = told.position if told else row.position
    if position is not None:
        message.position.CopyFrom(to_timestamp(position))
    if told is not None:
        message.start.CopyFrom(to_timestamp(told.start))
        message.end.CopyFrom(to_timestamp(told.end))
        message.speed, message.paused, message.ended = told.speed, told.paused, told.ended
    if told is None or not live.alive:
        message.speed = message.speed if row.speed is None else row.speed
        message.paused = message.paused if row.paused is None else row.paused
    return message


def duration(milliseconds: int) -> Duration:
    """Return a duration of milliseconds."""
    return Duration(seconds=milliseconds // 1_000, nanos=milliseconds % 1_000 * _MS)


def milliseconds(field: str, message: Duration) -> int:
    """Return the whole milliseconds of a duration, rounded up; raises for one of many years."""
    if abs(message.seconds) > _LONGEST:
        raise bad_field(field, "is longer than ten years; leave it out where that means never")
    return message.seconds * 1_000 + -(-message.nanos // _MS)


def _meta(row: Feed | Subscription) -> ResourceMeta:
    updated = row.update_time
    return ResourceMeta(
        owner=row.owner,
        project=row.project,
        create_time=from_datetime(row.create_time),
        update_time=from_datetime(updated),
        etag=str(int(updated.timestamp() * 1_000_000)) if updated else "",
    )
