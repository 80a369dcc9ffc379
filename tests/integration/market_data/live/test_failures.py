"""What breaks is said in the stream, in its place: cases MD-23 and MD-24."""

import os
import signal
import time
from dataclasses import replace

from integration.failures import failure
from integration.market_data.live.conftest import (
    QUICK,
    Live,
    Open,
    Reading,
    Script,
    books,
    new_id,
    quotes,
    until,
)
from mesh.marketdata.v1 import feed_service_pb2 as feed_rpc
from mesh.marketdata.v1 import live_pb2 as pb


async def _started(live: Live, number: int, *names: str) -> Script:
    """Return a process of the feed once it has channels open and the feed is connected."""
    script = await live.venue.script(number)
    await until(lambda: _has(script, names), f"channels of process {number}")
    await until(lambda: _connected(live), "a connected feed")
    return script


async def _has(script: Script, names: tuple[str, ...]) -> bool:
    return (await script.do("look")).get("open") == sorted(names)


async def _connected(live: Live) -> bool:
    return (await live.get_feed()).state == pb.FEED_STATE_CONNECTED


async def test_md23_kill_9_of_a_feed_process(live: Live) -> None:
    """MD-23a: the rows before and after stand on both sides of one FEED_RESTARTED, for the watcher
    that stays and for one that was away; states say what happens meanwhile.
    """
    await live.feed()
    subscription = await live.subscribe(quotes("A.SIM", "B.SIM"))
    script = await live.venue.script()
    stays, leaves = live.watch(subscription), live.watch(subscription, columns=True)
    await stays.message()
    await leaves.message()
    leaves.call.cancel()
    await script.play("A.SIM", rows=3)
    await stays.rows(3)
    os.kill(script.pid, signal.SIGKILL)
    script = await _started(live, 2, "A.SIM", "B.SIM")
    await script.play("A.SIM", rows=3)
    comes_back = live.watch(subscription, columns=True, after_cursor=leaves.cursor)
    for reading in (stays, comes_back):
        await reading.rows(6)
        assert reading.gaps() == ["FEED_RESTARTED"]
        order = [what for what in reading.order() if what != "snapshot"]
        assert order == ["0", "1", "2", "gap", "0", "1", "2"]
        gap = next(item.gap for item in reading.items if item.HasField("gap"))
        assert not gap.HasField("channel")
        assert gap.HasField("from")
        assert gap.HasField("to")
    said = [i.status.state for i in stays.items if i.HasField("status")]
    assert pb.ITEM_STATE_STALE in said
    assert said[-1] == pb.ITEM_STATE_LIVE
    assert len(stays.snapshots("A.SIM")) == 2
    feed = await live.get_feed()
    assert (feed.starts, feed.channels, feed.rows) == (2, 2, 3)


async def test_md23_a_process_that_hangs_or_talks_nonsense(live: Live) -> None:
    """MD-23b: a process without a sign of life is killed, one that says what is no frame too; the
    feed says why and is started again.
    """
    await live.feed()
    subscription = await live.subscribe(quotes("A.SIM"))
    reading = live.watch(subscription)
    await reading.message()
    for number, what in enumerate(("hang", "garbage"), start=1):
        script = await _started(live, number, "A.SIM")
        await script.do(what)
        while len(reading.gaps()) < number:
            await reading.message()
    assert reading.gaps() == ["FEED_RESTARTED"] * 2
    said = [i.status.message for i in reading.items if i.HasField("status")]
    assert any("no sign of life" in text for text in said)


async def test_md23_restart_by_command(live: Live) -> None:
    """MD-23c: RestartFeed starts the process anew at once, once for a request id."""
    await live.feed()
    subscription = await live.subscribe(quotes("A.SIM"))
    reading = live.watch(subscription)
    await reading.message()
    request = feed_rpc.RestartFeedRequest(request_id=new_id(), feed_id="sim")
    for _ in range(2):
        await live.feeds.RestartFeed(request)
    script = await _started(live, 2, "A.SIM")
    await script.play("A.SIM")
    await reading.rows(1)
    assert reading.gaps() == ["FEED_RESTARTED"]
    assert (await live.get_feed()).starts == 2


async def test_md23_the_venue_is_lost_and_found(live: Live) -> None:
    """MD-23d: a disconnect is a state while it lasts, and a gap before the first row after it; a
    book comes with a fresh snapshot in its place.
    """
    await live.feed()
    subscription = await live.subscribe([*quotes("A.SIM"), *books("B.SIM")])
    script = await live.venue.script()
    reading = live.watch(subscription)
    await reading.message()
    await script.play("A.SIM", "B.SIM", rows=2)
    await reading.rows(4)
    await script.do("state", state="DISCONNECTED", reason="VENUE_DISCONNECTED", text="reset")
    await until(lambda: _is_stale(live, subscription))
    feed = await live.get_feed()
    assert (feed.state, feed.reason) == (pb.FEED_STATE_DISCONNECTED, "VENUE_DISCONNECTED")
    await script.do("state", state="CONNECTED")
    await script.do("gap", cause="VENUE_DISCONNECTED")
    await script.play("A.SIM", "B.SIM", rows=2)
    await reading.until(lambda r: len(r.numbers()) == 8 and len(r.snapshots("B.SIM")) == 2)
    assert reading.gaps() == ["VENUE_DISCONNECTED"]
    order = reading.order()
    assert order[order.index("gap") - 2 :][:2] == ["0", "1"]
    assert reading.numbers("A.SIM") == [0, 1, 2, 3]
    feed = await live.get_feed()
    assert (feed.state, feed.reconnects) == (pb.FEED_STATE_CONNECTED, 1)
    _check_book(reading)


def _check_book(reading: Reading) -> None:
    """A book that begins at its snapshot and takes the deltas after it has every level."""
    book: set[int] = set()
    for item in reading.items:
        if item.HasField("snapshot") and item.snapshot.latest.HasField("order_book"):
            levels = item.snapshot.latest.order_book.bids
            book = {round(float(level.price) * 100) for level in levels}
        elif item.HasField("update") and item.update.HasField("delta"):
            book.add(round(float(item.update.delta.price) * 100))
    assert book == {0, 1, 2, 3}


async def _is_stale(live: Live, subscription: str) -> bool:
    items = (await live.get(subscription)).items
    return all(item.state == pb.ITEM_STATE_STALE and item.message for item in items)


async def test_md23_a_feed_that_cannot_start_says_why(open_live: Open) -> None:
    """MD-23e: items of a feed that does not connect are PENDING; commands that need it are
    refused in time, with the state.
    """
    live = await open_live(replace(QUICK, patience=0.5))
    await live.feed(connect=False)
    await live.subscribe(quotes("A.SIM"), wait=False)
    script = await live.venue.script()
    await script.do("state", state="FAILED", reason="VENUE_UNREACHABLE", text="no route")
    await until(lambda: _state(live, pb.FEED_STATE_FAILED))
    feed = await live.get_feed()
    assert (feed.reason, feed.message) == ("VENUE_UNREACHABLE", "no route")
    listing = feed_rpc.ListFeedInstrumentsRequest(feed_id="sim")
    got = await failure(live.feeds.ListFeedInstruments(listing, wait_for_ready=False))
    assert (got.code, got.reason) == ("UNAVAILABLE", "FEED_UNAVAILABLE")
    assert got.metadata == {"feed_id": "sim", "state": "FAILED"}
    os.kill(script.pid, signal.SIGKILL)  # what it said stays, also when it ends of it
    await live.venue.script(2)
    assert (await live.get_feed()).reason == "VENUE_UNREACHABLE"


async def _state(live: Live, state: int) -> bool:
    return (await live.get_feed()).state == state


async def test_md24_a_restart_of_the_service(open_live: Open) -> None:
    """MD-24a: subscriptions are there again with their channels, without anybody's doing; a reader
    that comes back is told FEED_RESTARTED and gets a snapshot.
    """
    live = await open_live()
    await live.feed()
    subscription = await live.subscribe(quotes("A.SIM", "B.SIM"))
    script = await live.venue.script()
    reading = live.watch(subscription)
    await reading.message()
    await script.play("A.SIM", rows=3)
    await reading.rows(3)
    before = await live.get(subscription)
    await live.stack.aclose()
    live = await open_live()
    script = await _started(live, 2, "A.SIM", "B.SIM")
    after = await live.get(subscription)
    assert [i.channel for i in after.items] == [i.channel for i in before.items]
    assert (after.delivery, after.meta) == (before.delivery, before.meta)
    await script.play("A.SIM", rows=2)
    again = live.watch(subscription, after_cursor=reading.cursor)
    await again.message()
    assert again.order() == ["gap", "snapshot", "snapshot"]
    assert again.gaps() == ["FEED_RESTARTED"]
    assert again.snapshots("A.SIM")[0].latest.quote.bid_price == "0.01"
    gap = again.items[0].gap
    assert getattr(gap, "from").ToNanoseconds() < gap.to.ToNanoseconds() < time.time_ns()
    await script.play("A.SIM", rows=2)
    assert await again.rows(2) == [2, 3]


async def test_md24_the_process_of_a_feed_ends_when_nobody_needs_it(live: Live) -> None:
    """MD-24b: a feed without channels ends after a while and is IDLE; the next channel starts it
    anew.
    """
    await live.feed()
    assert (await live.get_feed()).state == pb.FEED_STATE_IDLE
    subscription = await live.subscribe(quotes("A.SIM"))
    script = await live.venue.script()
    await live.delete(subscription)
    await until(lambda: _state(live, pb.FEED_STATE_IDLE))
    await until(lambda: not os.path.exists(f"/proc/{script.pid}"))
    subscription = await live.subscribe(quotes("A.SIM"))
    script = await _started(live, 2, "A.SIM")
    reading = live.watch(subscription)
    await reading.message()
    await script.play("A.SIM")
    await reading.rows(1)
    assert reading.gaps() == []


async def test_md24_feed_processes_end_with_the_service(open_live: Open) -> None:
    """MD-24c: no process of a feed outlives the service."""
    live = await open_live()
    await live.feed()
    await live.subscribe(quotes("A.SIM"))
    script = await live.venue.script()
    await live.stack.aclose()
    assert not os.path.exists(f"/proc/{script.pid}")
