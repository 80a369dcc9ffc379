"""Channels that come to a subscription while it is watched, or while its reader is away: MD-22."""

from integration.market_data.live.conftest import Live, books, new_id, quotes
from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1 import market_data_service_pb2 as rpc
from services.market_data.live.domain import Channel
from services.market_data.live.log import BOOK, DATA, Bounds, Entry, FeedLog, LiveChannel


async def _add(live: Live, subscription: str, channels: list[pb.Channel]) -> None:
    request = rpc.UpdateSubscriptionRequest(
        request_id=new_id(), subscription_id=subscription, add_channels=channels
    )
    await live.data.UpdateSubscription(request)


async def test_md22_a_book_that_was_added_while_the_reader_was_away(live: Live) -> None:
    """MD-22f: a channel that another subscription had open begins with a snapshot: a reader that
    comes back has never seen its book.
    """
    await live.feed()
    subscription = await live.subscribe(quotes("A.SIM"))
    await live.subscribe(books("B.SIM"))
    script = await live.venue.script()
    await script.play("A.SIM", "B.SIM", rows=2)
    first = live.watch(subscription)
    await first.message()
    await script.play("A.SIM", rows=2)
    await first.rows(2)
    first.call.cancel()
    await _add(live, subscription, books("B.SIM"))
    await script.play("A.SIM", "B.SIM", rows=1)
    second = live.watch(subscription, after_cursor=first.cursor)
    await second.until(lambda r: r.numbers("A.SIM") == [4] and r.snapshots("B.SIM"))
    assert second.snapshots("B.SIM")[0].latest.HasField("order_book")
    assert second.snapshots("A.SIM") == []
    assert second.gaps() == ["RESUBSCRIBED"]


async def test_md22_a_channel_that_becomes_lossless(live: Live) -> None:
    """MD-22g: a channel that is watched CONFLATED is LOSSLESS as soon as such a subscription of
    the same stream has it too.
    """
    await live.feed()
    conflated = await live.subscribe(quotes("A.SIM"), lossless=False)
    lossless = await live.subscribe(quotes("B.SIM"))
    script = await live.venue.script()
    reading = live.watch(conflated, lossless)
    await reading.message()
    await _add(live, lossless, quotes("A.SIM"))
    await reading.until(lambda r: len(r.snapshots("A.SIM")) == 2)
    before = len(reading.numbers("A.SIM"))
    await script.play("A.SIM", rows=50, batches=10)
    await reading.until(lambda r: len(r.numbers("A.SIM")) == before + 500)
    assert reading.numbers("A.SIM")[before:] == list(range(500))


def test_a_dropped_book_is_known_to_be_lost() -> None:
    """A reader that has seen a gap, but not the book after it, is told of another gap."""
    channel = LiveChannel(Channel("ORDER_BOOK_DELTA", "A.SIM"), 0)
    log = FeedLog(Bounds(feed_bytes=1_000))
    book = log.append(Entry(BOOK, channel, b"x"))
    for _ in range(20):
        log.append(Entry(DATA, channel, b"x" * 100, rows=1, last=1))
    assert log.first > book
    assert log.lost(channel, book)
