"""Data of a feed as its watchers get it: cases MD-20 to MD-22."""

import asyncio
from dataclasses import replace

import grpc.aio
import pytest

from integration.failures import failure, unpack
from integration.market_data.live.conftest import (
    QUICK,
    Live,
    Open,
    Reading,
    Script,
    bars,
    books,
    new_id,
    quotes,
    until,
)
from mesh.common.v1.enums_pb2 import BOOK_ACTION_ADD, ORDER_SIDE_BUY
from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1 import market_data_service_pb2 as rpc
from services.market_data.live.log import Bounds


async def test_md20_a_watcher_gets_every_row_in_order(live: Live) -> None:
    """MD-20a: snapshot first, then every row of every channel, as objects and as columns."""
    await live.feed()
    subscription = await live.subscribe(quotes("A.SIM", "B.SIM"))
    script = await live.venue.script()
    await script.play("A.SIM", rows=3)
    objects, columns = live.watch(subscription), live.watch(subscription, columns=True)
    for reading in (objects, columns):
        first = await reading.message()
        assert first.checkpoint
        assert first.cursor
        found = {s.item.channel.instrument_id: s for s in reading.snapshots()}
        assert found["A.SIM"].latest.quote.bid_price == "0.02"
        assert not found["B.SIM"].HasField("latest")
        assert found["B.SIM"].item.state == pb.ITEM_STATE_LIVE
    await script.play("A.SIM", "B.SIM", rows=100, batches=3)
    for reading in (objects, columns):
        await reading.rows(600)
        assert reading.numbers("A.SIM") == list(range(3, 303))
        assert reading.numbers("B.SIM") == list(range(300))
        assert reading.gaps() == []


async def test_md20_kinds_as_objects(live: Live) -> None:
    """MD-20b: bars and deltas have exact decimals; a book's snapshot comes from the process, and
    the deltas after it are those that it has not.
    """
    await live.feed()
    bar_type = "A.SIM-1-MINUTE-LAST-INTERNAL"
    subscription = await live.subscribe([*bars(bar_type), *books("A.SIM")])
    script = await live.venue.script()
    await script.play(bar_type, "A.SIM", rows=2)
    reading = live.watch(subscription, book_levels=1)
    await reading.message()
    book = reading.snapshots("A.SIM")[0].latest.order_book
    assert [level.price for level in book.bids] == ["0.01"]
    await script.play(bar_type, "A.SIM", rows=2)
    await reading.rows(4)
    assert reading.numbers(bar_type) == reading.numbers("A.SIM") == [2, 3]
    updates = [item.update for item in reading.items if item.HasField("update")]
    assert updates[0].bar.volume == "1"
    assert (updates[2].delta.action, updates[2].delta.side) == (BOOK_ACTION_ADD, ORDER_SIDE_BUY)


async def test_md21_a_reader_resumes_without_loss(live: Live) -> None:
    """MD-21a: LOSSLESS resumes with every row in order over channels, none twice, no gap."""
    await live.feed()
    subscription = await live.subscribe(quotes("A.SIM", "B.SIM"))
    script = await live.venue.script()
    for columns in (False, True):
        first = live.watch(subscription, columns=columns)
        await first.message()
        await script.play("A.SIM", "B.SIM", rows=5, batches=4)
        await first.until(lambda r: len(r.numbers()) >= 10)
        first.call.cancel()
        await script.play("A.SIM", "B.SIM", rows=5, batches=4)
        second = live.watch(subscription, columns=columns, after_cursor=first.cursor)
        await second.rows(80 - len(first.numbers()))
        assert second.gaps() == second.snapshots() == []
        for name in ("A.SIM", "B.SIM"):
            start = first.numbers(name)[0]
            both = first.numbers(name) + second.numbers(name)
            assert both == list(range(start, start + 40))


async def test_md21_a_cursor_older_than_the_retention_is_a_gap(open_live: Open) -> None:
    """MD-21b: what was dropped meanwhile is CURSOR_TRIMMED with a snapshot; the channel that lost
    nothing goes on without one.
    """
    live = await open_live(replace(QUICK, bounds=Bounds(channel_bytes=2_000)))
    await live.feed()
    subscription = await live.subscribe(quotes("A.SIM", "B.SIM"))
    script = await live.venue.script()
    first = live.watch(subscription)
    await first.message()
    await script.play("A.SIM", "B.SIM", rows=1)
    await first.rows(2)
    first.call.cancel()
    await script.play("A.SIM", rows=10, batches=20)
    await script.play("B.SIM", rows=1)
    second = live.watch(subscription, after_cursor=first.cursor)
    await second.rows(1)
    assert second.gaps() == ["CURSOR_TRIMMED"]
    gap = next(item.gap for item in second.items if item.HasField("gap"))
    assert gap.channel.instrument_id == "A.SIM"
    assert gap.HasField("from")
    assert gap.HasField("to")
    assert second.snapshots()[0].latest.quote.bid_price == "2.00"
    assert (second.numbers("A.SIM"), second.numbers("B.SIM")) == ([], [1])
    await script.play("A.SIM", rows=1)
    await second.until(lambda r: r.numbers("A.SIM") == [201])


async def test_md21_a_channel_that_was_opened_again_is_a_gap(live: Live) -> None:
    """MD-21c: a channel closed and opened while the reader was away is RESUBSCRIBED."""
    await live.feed()
    subscription = await live.subscribe(quotes("A.SIM", "B.SIM"))
    script = await live.venue.script()
    first = live.watch(subscription)
    await first.message()
    first.call.cancel()
    change = rpc.UpdateSubscriptionRequest(request_id=new_id(), subscription_id=subscription)
    change.remove_channels.extend(quotes("A.SIM"))
    await live.data.UpdateSubscription(change)
    change = rpc.UpdateSubscriptionRequest(request_id=new_id(), subscription_id=subscription)
    change.add_channels.extend(quotes("A.SIM"))
    await live.data.UpdateSubscription(change)
    await until(lambda: _opened(script, "A.SIM"))
    await script.play("A.SIM", "B.SIM", rows=2)
    second = live.watch(subscription, after_cursor=first.cursor)
    await second.rows(2)
    assert second.gaps() == ["RESUBSCRIBED"]
    assert [s.item.channel.instrument_id for s in second.snapshots()] == ["A.SIM"]
    assert second.numbers("B.SIM") == [0, 1]


async def _opened(script: Script, name: str) -> bool:
    return name in (await script.do("look"))["open"]


async def test_md21_bad_cursors(live: Live) -> None:
    """MD-21d: a cursor that is damaged, or of other subscriptions, is refused as such."""
    await live.feed()
    one = await live.subscribe(quotes("A.SIM"))
    two = await live.subscribe(quotes("A.SIM"))
    reading = live.watch(one)
    await reading.message()
    for other, cursor in ((two, reading.cursor), (one, "abc"), (one, reading.cursor[:-3] + "AAA")):
        got = await failure(live.watch(other, after_cursor=cursor).call.read())
        assert (got.code, got.reason) == ("INVALID_ARGUMENT", "INVALID_CURSOR")


async def test_md22_conflated(live: Live) -> None:
    """MD-22a: CONFLATED gives the newest values, ends with the last one, skips no bar, and gives
    books whole.
    """
    await live.feed()
    bar_type = "A.SIM-1-MINUTE-LAST-INTERNAL"
    channels = [*quotes("Q.SIM"), *books("B.SIM"), *bars(bar_type)]
    subscription = await live.subscribe(channels, lossless=False)
    script = await live.venue.script()
    objects, columns = live.watch(subscription), live.watch(subscription, columns=True)
    for reading in (objects, columns):
        await reading.message()
        assert len(reading.snapshots()) == 3
    await script.play("Q.SIM", "B.SIM", bar_type, rows=10, batches=50)
    for reading in (objects, columns):
        await reading.until(
            lambda r: (
                r.numbers("Q.SIM")[-1:] == r.numbers("B.SIM")[-1:] == [499]
                and len(r.numbers(bar_type)) == 500
            )
        )
        assert reading.numbers(bar_type) == list(range(500))
        assert len(reading.numbers("Q.SIM")) < 50
        last = [i.update for i in reading.items if i.update.HasField("order_book")][-1]
        assert len(last.order_book.bids) == 25
        assert reading.gaps() == []


async def test_md22_conflated_resumes_with_a_snapshot(live: Live) -> None:
    """MD-22b: a conflated reader that comes back gets snapshots, and the bars that it missed."""
    await live.feed()
    bar_type = "A.SIM-1-MINUTE-LAST-INTERNAL"
    subscription = await live.subscribe([*quotes("Q.SIM"), *bars(bar_type)], lossless=False)
    script = await live.venue.script()
    first = live.watch(subscription)
    await first.message()
    first.call.cancel()
    await script.play("Q.SIM", bar_type, rows=5)
    second = live.watch(subscription, after_cursor=first.cursor)
    await second.until(lambda r: len(r.numbers(bar_type)) == 5)
    assert second.snapshots("Q.SIM")[0].latest.quote.bid_price == "0.04"
    assert second.snapshots(bar_type) == second.gaps() == []


async def test_md20_checkpoints_and_the_end_of_a_stream(open_live: Open) -> None:
    """MD-20c: checkpoints come while nothing happens; an expired token and a drain end the stream
    with a cursor that can be used.
    """
    live = await open_live(replace(QUICK, checkpoint=0.2))
    await live.feed()
    subscription = await live.subscribe(quotes("A.SIM"))
    script = await live.venue.script()
    _, stub = await live.stubs(lifetime=1.5)
    reading = live.watch(subscription, stub=stub)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await reading.until(lambda _: False)
    assert (unpack(caught.value).code, unpack(caught.value).reason) == (
        "UNAUTHENTICATED",
        "TOKEN_EXPIRED",
    )
    assert sum(message.checkpoint for message in reading.messages) > 3
    await script.play("A.SIM", rows=2)
    again = live.watch(subscription, after_cursor=reading.cursor)
    assert await again.rows(2) == [0, 1]
    draining = asyncio.create_task(live.server.drain())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await again.until(lambda _: False)
    assert (unpack(caught.value).code, unpack(caught.value).reason) == ("UNAVAILABLE", "DRAINING")
    assert again.messages[-1].checkpoint
    await draining


async def test_md20_large_snapshots_come_in_several_messages(open_live: Open) -> None:
    """MD-20e: snapshots of many deep books are split, the last message is the checkpoint; who
    comes back from within gets a gap and all of them, from the last nothing twice.
    """
    live = await open_live(replace(QUICK, message=20_000))
    await live.feed()
    names = [f"B{number}.SIM" for number in range(8)]
    subscription = await live.subscribe(books(*names))
    script = await live.venue.script()
    await script.play(*names, rows=1_000)
    await until(lambda: _has_books(live, names))
    first = await _begun(live.watch(subscription, book_levels=1_000))
    assert len(first.messages) > 3
    assert all(each.ByteSize() < 21_000 and each.cursor for each in first.messages)
    assert sorted(s.item.channel.instrument_id for s in first.snapshots()) == names
    within, last = first.messages[1].cursor, first.messages[-1].cursor
    again = await _begun(live.watch(subscription, book_levels=1_000, after_cursor=within))
    assert again.gaps() == ["CURSOR_TRIMMED"]
    assert sorted(s.item.channel.instrument_id for s in again.snapshots()) == names
    resumed = live.watch(subscription, book_levels=1_000, after_cursor=last)
    await script.play("B0.SIM", rows=2)
    for reading in (again, resumed):
        assert await reading.rows(2) == [1_000, 1_001]
    assert resumed.gaps() == resumed.snapshots() == []


async def _has_books(live: Live, names: list[str]) -> bool:
    """Whether the service has every batch that was played."""
    channels = live.hub.get("default", "sim").live.channels.values()
    return sum(each.newest is not None for each in channels) == len(names)


async def _begun(reading: Reading) -> Reading:
    """Read to the first checkpoint."""
    await reading.until(lambda r: r.messages and r.messages[-1].checkpoint)
    return reading


async def test_md20_items_are_added_and_removed_while_watched(live: Live) -> None:
    """MD-20d: a watcher sees a new item with a snapshot, a removed one no more; a subscription
    that is deleted ends its watch.
    """
    await live.feed()
    subscription = await live.subscribe(quotes("A.SIM"))
    script = await live.venue.script()
    reading = live.watch(subscription)
    await reading.message()
    change = rpc.UpdateSubscriptionRequest(
        request_id=new_id(),
        subscription_id=subscription,
        add_channels=quotes("B.SIM"),
        remove_channels=quotes("A.SIM"),
    )
    await live.data.UpdateSubscription(change)
    await reading.until(lambda r: r.snapshots("B.SIM"))
    await until(lambda: _opened(script, "B.SIM"))
    await script.play("B.SIM", rows=2)
    await reading.rows(2)
    assert (await script.do("look"))["open"] == ["B.SIM"]
    gone = rpc.DeleteSubscriptionRequest(request_id=new_id(), subscription_id=subscription)
    await live.data.DeleteSubscription(gone)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await reading.until(lambda _: False)
    assert unpack(caught.value).reason == "SUBSCRIPTION_NOT_FOUND"
