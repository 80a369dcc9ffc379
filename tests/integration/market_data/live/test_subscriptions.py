"""Subscriptions as resources: case MD-26."""

import asyncio
from dataclasses import replace
from typing import Any

from google.protobuf.duration_pb2 import Duration

from integration.failures import failure
from integration.market_data.live.conftest import (
    QUICK,
    Live,
    Open,
    Script,
    bars,
    new_id,
    quotes,
    until,
)
from mesh.marketdata.v1 import feed_service_pb2 as feed_rpc
from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1 import market_data_service_pb2 as rpc
from meshkit.database import Database

BARS = "A.SIM-5-MINUTE-LAST-INTERNAL@1-MINUTE-EXTERNAL"


async def _open(script: Script) -> list[str]:
    found: list[str] = (await script.do("look"))["open"]
    return found


async def test_md26_a_subscription_is_kept_as_it_was_asked_for(live: Live) -> None:
    """MD-26a: what was asked for is what is returned, with defaults filled in and retention told;
    a repeated request makes no second one.
    """
    await live.feed()
    request = rpc.CreateSubscriptionRequest(
        request_id=new_id(), feed_id="sim", channels=[*quotes("A.SIM"), *bars(BARS)]
    )
    made = (await live.data.CreateSubscription(request)).subscription
    again = (await live.data.CreateSubscription(request)).subscription
    assert again == made
    assert made.delivery == pb.DELIVERY_CONFLATED
    assert made.conflate_interval.ToMilliseconds() == 100
    assert [i.channel.kind for i in made.items] == [c.kind for c in request.channels]
    assert made.items[1].channel.instrument_id == "A.SIM"
    assert made.items[1].channel.bar_type == BARS
    assert (made.retention.period.seconds, made.retention.max_bytes) == (60, 8 * 2**20)
    assert (made.meta.owner, made.meta.project) == ("tester", "default")
    await until(lambda: _is_live(live, made.subscription_id))
    assert len(live.hub.subscriptions) == 1


async def _is_live(live: Live, subscription_id: str) -> bool:
    return all(i.state == pb.ITEM_STATE_LIVE for i in (await live.get(subscription_id)).items)


async def test_md26_a_repeat_gets_the_first_answer_when_all_is_gone(live: Live) -> None:
    """MD-26g: a request that is repeated after its subscription and feed were deleted gets its
    first answer; a new one is told that they are not there.
    """
    await live.feed()
    create = rpc.CreateSubscriptionRequest(
        request_id=new_id(), feed_id="sim", channels=quotes("A.SIM")
    )
    made = (await live.data.CreateSubscription(create)).subscription
    about = {"subscription_id": made.subscription_id}
    calls: list[tuple[Any, Any]] = [
        (live.data.UpdateSubscription, rpc.UpdateSubscriptionRequest(**about)),
        (live.data.StartRecording, rpc.StartRecordingRequest(**about)),
        (live.data.StopRecording, rpc.StopRecordingRequest(**about)),
        (live.feeds.RestartFeed, feed_rpc.RestartFeedRequest(feed_id="sim")),
    ]
    calls[0][1].add_channels.extend(quotes("B.SIM"))
    for _, request in calls:
        request.request_id = new_id()
    calls.append((live.data.CreateSubscription, create))
    answers = [await call(request) for call, request in calls]
    await live.delete(made.subscription_id)
    deletion = feed_rpc.DeleteFeedRequest(request_id=new_id(), feed_id="sim")
    await live.feeds.DeleteFeed(deletion)
    assert [await call(request) for call, request in calls] == answers
    for call, request in calls:
        request.request_id = new_id()
        assert (await failure(call(request))).code == "NOT_FOUND"


async def test_md26_channels_are_counted(live: Live) -> None:
    """MD-26b: the first subscription opens a channel, the last one closes it."""
    await live.feed()
    one = await live.subscribe(quotes("A.SIM", "B.SIM"))
    two = await live.subscribe(quotes("B.SIM", "C.SIM"))
    script = await live.venue.script()
    assert await _open(script) == ["A.SIM", "B.SIM", "C.SIM"]
    await live.delete(one)
    assert await _open(script) == ["B.SIM", "C.SIM"]
    change = rpc.UpdateSubscriptionRequest(
        request_id=new_id(),
        subscription_id=two,
        add_channels=quotes("C.SIM", "D.SIM"),
        remove_channels=quotes("B.SIM", "Z.SIM"),
    )
    changed = (await live.data.UpdateSubscription(change)).subscription
    assert [i.channel.instrument_id for i in changed.items] == ["C.SIM", "D.SIM"]
    assert await _open(script) == ["C.SIM", "D.SIM"]
    again = (await live.data.UpdateSubscription(change)).subscription
    assert again == changed


async def test_md26_lists_have_pages(live: Live) -> None:
    """MD-26c: the newest come first, each once, over pages; by feed too."""
    await live.feed()
    await live.feed("other")
    made = [await live.subscribe(quotes("A.SIM"), wait=False) for _ in range(5)]
    other = await live.subscribe(quotes("A.SIM"), feed_id="other", wait=False)
    request = rpc.ListSubscriptionsRequest(page_size=4)
    first = await live.data.ListSubscriptions(request)
    request.page_token = first.next_page_token
    second = await live.data.ListSubscriptions(request)
    ids = [s.subscription_id for s in (*first.subscriptions, *second.subscriptions)]
    assert ids == [other, *reversed(made)]
    assert not second.next_page_token
    only = await live.data.ListSubscriptions(rpc.ListSubscriptionsRequest(feed_id="other"))
    assert [s.subscription_id for s in only.subscriptions] == [other]


async def test_md26_one_that_nobody_watches_is_removed(live: Live) -> None:
    """MD-26d: a subscription with an idle timeout stays while it is watched and goes after it."""
    await live.feed()
    subscription = await live.subscribe(quotes("A.SIM"), idle_timeout=Duration(seconds=5))
    held = live.hub.subscriptions[subscription]
    reading = live.watch(subscription)
    await reading.message()
    held.left -= 60  # it has been watched for a minute
    await asyncio.wait_for(_two_looks(live), 20)
    assert subscription in live.hub.subscriptions
    reading.call.cancel()
    await until(lambda: held.watchers == 0)
    held.left -= 60
    await until(lambda: held.deleted)
    request = rpc.GetSubscriptionRequest(subscription_id=subscription)
    got = await failure(live.data.GetSubscription(request))
    assert (got.code, got.reason) == ("NOT_FOUND", "SUBSCRIPTION_NOT_FOUND")
    async with (
        Database.open(live.config.database_url, schema="market_data") as database,
        database.connection() as tx,
    ):
        assert await tx.fetchval("SELECT count(*) FROM subscriptions") == 0


async def test_md26_a_watcher_that_comes_in_the_last_moment(live: Live) -> None:
    """MD-26f: a subscription that is watched again while its removal waits for its turn stays."""
    await live.feed()
    subscription = await live.subscribe(quotes("A.SIM"), idle_timeout=Duration(seconds=5))
    held = live.hub.subscriptions[subscription]
    changing = live.hub.feeds[held.row.feed_key].changing
    async with changing:
        held.left -= 60
        await until(lambda: changing._waiters)
        reading = live.watch(subscription)
        await reading.message()
    await asyncio.wait_for(_two_looks(live), 20)
    assert not held.deleted
    reading.call.cancel()


async def _two_looks(live: Live) -> None:
    """Wait for one that is removed for sure, made later."""
    idle = await live.subscribe(quotes("A.SIM"), idle_timeout=Duration(seconds=5))
    held = live.hub.subscriptions[idle]
    held.left -= 60
    await until(lambda: held.deleted)


async def test_md26_limits(open_live: Open) -> None:
    """MD-26e: a feed has no more channels than it may; a refused change leaves nothing."""
    live = await open_live(replace(QUICK, channels=3, feeds=1))
    await live.feed()
    subscription = await live.subscribe(quotes("A.SIM", "B.SIM"))
    await live.subscribe(quotes("B.SIM", "C.SIM"))
    request = rpc.CreateSubscriptionRequest(
        request_id=new_id(), feed_id="sim", channels=quotes("D.SIM")
    )
    got = await failure(live.data.CreateSubscription(request))
    assert (got.code, got.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY_CHANNELS")
    assert got.metadata == {"max_channels": "3"}
    change = rpc.UpdateSubscriptionRequest(
        request_id=new_id(), subscription_id=subscription, add_channels=quotes("D.SIM")
    )
    got = await failure(live.data.UpdateSubscription(change))
    assert got.reason == "TOO_MANY_CHANNELS"
    assert len((await live.get(subscription)).items) == 2
    assert (await live.get_feed()).channels == 3
    got = await failure(live.feed("more"))
    assert (got.code, got.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY_FEEDS")
