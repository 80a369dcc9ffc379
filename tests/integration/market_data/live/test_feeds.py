"""Feeds as resources, replays and questions to them: cases MD-27 and MD-28."""

import asyncio
from typing import Any

import grpc.aio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from integration.failures import failure, unpack
from integration.market_data.live.conftest import (
    SECONDS,
    Live,
    Open,
    books,
    new_id,
    quotes,
    start_scripted,
    until,
)
from mesh.common.v1.enums_pb2 import ORDER_SIDE_BUY
from mesh.marketdata.v1 import feed_service_pb2 as rpc
from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1 import market_data_service_pb2 as data_rpc
from services.market_data.live.ports import FeedSpec


async def test_md27_a_feed_is_kept_and_told_of(live: Live) -> None:
    """MD-27a: created once, listed by id and state, watched through its states, deleted when
    nobody uses it.
    """
    watching = live.feeds.WatchFeeds(rpc.WatchFeedsRequest())
    assert (await watching.read()).checkpoint
    request = rpc.CreateFeedRequest(
        request_id=new_id(), feed_id="b", venue="SIM", silence_timeout=Duration(seconds=0)
    )
    made = (await live.feeds.CreateFeed(request)).feed
    assert (await live.feeds.CreateFeed(request)).feed == made
    assert (made.config_json, made.state) == ("{}", pb.FEED_STATE_IDLE)
    assert not made.HasField("silence_timeout")
    got = await failure(live.feed("b"))
    assert (got.code, got.reason) == ("ALREADY_EXISTS", "FEED_EXISTS")
    await live.feed("a")
    assert (await live.get_feed("a")).silence_timeout.seconds == 60
    subscription = await live.subscribe(quotes("A.SIM"), feed_id="a")
    assert await _listed(live, pb.FEED_STATE_CONNECTED) == ["a"]
    assert await _listed(live, pb.FEED_STATE_UNSPECIFIED, page_size=1) == ["a", "b"]
    deletion = rpc.DeleteFeedRequest(request_id=new_id(), feed_id="a")
    got = await failure(live.feeds.DeleteFeed(deletion))
    assert (got.code, got.reason) == ("FAILED_PRECONDITION", "FEED_IN_USE")
    assert got.metadata == {"feed_id": "a", "subscriptions": "1"}
    await live.delete(subscription)
    await live.feeds.DeleteFeed(deletion)
    await live.feeds.DeleteFeed(deletion)
    assert await _listed(live, pb.FEED_STATE_UNSPECIFIED) == ["b"]
    told = await _told(watching)
    assert told[0] == ("b", "IDLE", False)
    assert told[-1] == ("a", told[-1][1], True)
    states = [state for feed, state, _ in told if feed == "a"]
    assert states[:3] == ["IDLE", "CONNECTING", "CONNECTED"]


async def _listed(live: Live, state: pb.FeedState.ValueType, page_size: int = 0) -> list[str]:
    request, found = rpc.ListFeedsRequest(state=state, page_size=page_size), []
    while True:
        page = await live.feeds.ListFeeds(request)
        found += [feed.feed_id for feed in page.feeds]
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return found


async def _told(watching: object) -> list[tuple[str, str, bool]]:
    """Return what changes were told, to the first deletion."""
    told: list[tuple[str, str, bool]] = []
    while not told or not told[-1][2]:
        for event in (await watching.read()).events:  # type: ignore[attr-defined] # a call
            change = pb.FeedChanged()
            event.payload.Unpack(change)
            state = pb.FeedState.Name(change.feed.state).removeprefix("FEED_STATE_")
            told.append((change.feed.feed_id, state, change.deleted))
    return told


async def test_md27_a_feed_that_is_deleted_and_made_anew_at_once(live: Live) -> None:
    """MD-27d: a feed made while another of its id is being deleted is there afterwards."""
    await live.feed()
    for _ in range(40):
        deletion = rpc.DeleteFeedRequest(request_id=new_id(), feed_id="sim")
        _, made = await asyncio.gather(live.feeds.DeleteFeed(deletion), _made(live))
        assert (await live.get_feed()).meta.create_time == made.meta.create_time


async def _made(live: Live) -> pb.Feed:
    """Create a feed as soon as its id is free."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                return await live.feed()
            except grpc.aio.AioRpcError as error:
                if unpack(error).reason != "FEED_EXISTS":
                    raise


async def test_md27_instruments_of_the_venue(live: Live) -> None:
    """MD-27b: an idle feed is connected for a question; instruments have pages and a filter."""
    await live.feed()
    request, found = rpc.ListFeedInstrumentsRequest(feed_id="sim", page_size=50), []
    while True:
        page = await live.feeds.ListFeedInstruments(request)
        found += [each.instrument_id for each in page.instruments]
        request.page_token = page.next_page_token
        if not page.next_page_token:
            break
    assert found == [f"S{i:03d}.SIM" for i in range(120)]
    request = rpc.ListFeedInstrumentsRequest(feed_id="sim", text="s11")
    assert len((await live.feeds.ListFeedInstruments(request)).instruments) == 10
    await until(lambda: _idle(live))


async def _idle(live: Live) -> bool:
    return (await live.get_feed()).state == pb.FEED_STATE_IDLE


async def test_md27_books_are_asked_about(live: Live) -> None:
    """MD-27c: a book that is open is answered with its state; one that is not is refused."""
    await live.feed()
    book = data_rpc.GetOrderBookRequest(feed_id="sim", instrument_id="A.SIM", levels=2)
    prices = data_rpc.GetBookPricesRequest(
        feed_id="sim", instrument_id="A.SIM", side=ORDER_SIDE_BUY, quantity="1.5"
    )
    for call in (live.data.GetOrderBook(book), live.data.GetBookPrices(prices)):
        got = await failure(call)
        assert (got.code, got.reason) == ("FAILED_PRECONDITION", "CHANNEL_NOT_OPEN")
        assert got.metadata == {"feed_id": "sim", "instrument_id": "A.SIM"}
    await live.subscribe(books("A.SIM"))
    script = await live.venue.script()
    await script.play("A.SIM", rows=3)
    found = await live.data.GetOrderBook(book)
    assert [level.price for level in found.order_book.bids] == ["0.02", "0.01", "0.00"]
    assert found.state == pb.ITEM_STATE_LIVE
    await script.do("state", state="DISCONNECTED", reason="VENUE_DISCONNECTED")
    await until(lambda: _book_is_stale(live, book))
    answered = await live.data.GetBookPrices(prices)
    assert (answered.fillable_quantity, answered.state) == ("1.5", pb.ITEM_STATE_STALE)


async def _book_is_stale(live: Live, book: data_rpc.GetOrderBookRequest) -> bool:
    return bool((await live.data.GetOrderBook(book)).state == pb.ITEM_STATE_STALE)


async def test_md28_a_replay_is_controlled_and_goes_on_where_it_was(open_live: Open) -> None:
    """MD-28a: pause, resume, seek and speed act at once, and a replay goes on so after a restart
    of the service; readers are told that it was moved.
    """
    live = await open_live()
    await live.feed("replay", venue="REPLAY")
    paused = rpc.PauseReplayRequest(request_id=new_id(), feed_id="replay")
    assert (await live.feeds.PauseReplay(paused)).feed.replay.paused  # before there is a process
    subscription = await live.subscribe(quotes("A.SIM"), feed_id="replay")
    reading = live.watch(subscription)
    await reading.message()
    resumed = rpc.ResumeReplayRequest(request_id=new_id(), feed_id="replay")
    assert not (await live.feeds.ResumeReplay(resumed)).feed.replay.paused
    seek = rpc.SeekReplayRequest(
        request_id=new_id(), feed_id="replay", position=Timestamp(seconds=500)
    )
    moved = (await live.feeds.SeekReplay(seek)).feed.replay
    assert (moved.position.seconds, moved.end.seconds) == (500, 10**9)
    await reading.until(lambda r: r.gaps() == ["REPLAY_SOUGHT"])
    seek = rpc.SeekReplayRequest(
        request_id=new_id(), feed_id="replay", position=Timestamp(seconds=2 * 10**9)
    )
    got = await failure(live.feeds.SeekReplay(seek))
    assert (got.code, set(got.fields)) == ("INVALID_ARGUMENT", {"position"})
    speed = rpc.SetReplaySpeedRequest(request_id=new_id(), feed_id="replay", speed=8.0)
    assert (await live.feeds.SetReplaySpeed(speed)).feed.replay.speed == 8.0
    script = await live.venue.script()
    await script.do("position", at=700 * 10**9)
    await until(lambda: _position(live, 700))
    await live.stack.aclose()
    live = await open_live()
    replay = (await live.get_feed("replay")).replay
    assert (replay.position.seconds, replay.speed, replay.paused) == (700, 8.0, False)
    got = await failure(
        live.data.StartRecording(
            data_rpc.StartRecordingRequest(request_id=new_id(), subscription_id=subscription)
        )
    )
    assert (got.code, got.reason) == ("FAILED_PRECONDITION", "NOT_RECORDABLE")


async def test_md28_a_repeat_gets_the_first_answer_when_the_replay_is_gone(live: Live) -> None:
    """MD-28d: control that is repeated after the replay was deleted gets its first answer, also
    when a feed of another venue has its id now.
    """
    await live.feed(venue="REPLAY")
    request = rpc.PauseReplayRequest(request_id=new_id(), feed_id="sim")
    first = await live.feeds.PauseReplay(request)
    assert first.feed.replay.paused
    deletion = rpc.DeleteFeedRequest(request_id=new_id(), feed_id="sim")
    await live.feeds.DeleteFeed(deletion)
    assert await live.feeds.PauseReplay(request) == first
    await live.feed()
    assert await live.feeds.PauseReplay(request) == first


async def _position(live: Live, seconds: int) -> bool:
    return (await live.get_feed("replay")).replay.position.seconds == seconds


async def test_md28_a_replay_is_controlled_while_its_process_is_being_started(
    open_live: Open,
) -> None:
    """MD-28c: what is wished for while a process is on its way holds for that process."""
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(spec: FeedSpec) -> Any:
        asked.set()
        await go.wait()
        return await start_scripted(spec)

    live = await open_live(start=slow)
    await live.feed("replay", venue="REPLAY")
    await live.subscribe(quotes("A.SIM"), feed_id="replay", wait=False)
    await asked.wait()
    about = {"request_id": new_id(), "feed_id": "replay"}
    await live.feeds.PauseReplay(rpc.PauseReplayRequest(**about))
    await live.feeds.SetReplaySpeed(rpc.SetReplaySpeedRequest(**about, speed=7.0))
    go.set()
    told = live.hub.get("default", "replay").live
    await until(lambda: told.replay is not None and told.replay.paused)
    await until(lambda: told.replay is not None and told.replay.speed == 7.0)


async def test_md28_only_a_replay_is_controlled(live: Live) -> None:
    """MD-28b: a connection to a venue is no replay."""
    await live.feed()
    about = {"request_id": new_id(), "feed_id": "sim"}
    for call in (
        live.feeds.PauseReplay(rpc.PauseReplayRequest(**about)),
        live.feeds.ResumeReplay(rpc.ResumeReplayRequest(**about)),
        live.feeds.SeekReplay(rpc.SeekReplayRequest(**about, position=Timestamp(seconds=1))),
        live.feeds.SetReplaySpeed(rpc.SetReplaySpeedRequest(**about, speed=1.0)),
    ):
        got = await failure(call)
        assert (got.code, got.reason) == ("FAILED_PRECONDITION", "NOT_A_REPLAY")
        assert got.metadata == {"feed_id": "sim", "venue": "SIM"}
