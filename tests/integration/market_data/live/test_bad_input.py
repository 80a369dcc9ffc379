"""What each method refuses, and with which error: case MD-29."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from integration.failures import Failure, failure
from integration.market_data.live.conftest import Live, bars, new_id, quotes
from mesh.common.v1.enums_pb2 import ORDER_SIDE_BUY, ORDER_SIDE_NO_ORDER_SIDE
from mesh.marketdata.v1 import feed_service_pb2 as feeds
from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1 import market_data_service_pb2 as data

MINUTES = "A.SIM-1-MINUTE-LAST-EXTERNAL"
Request = Callable[[str], Any]


def _create(*channels: pb.Channel, **more: Any) -> data.CreateSubscriptionRequest:
    more = {"request_id": new_id(), "feed_id": "sim", **more}
    return data.CreateSubscriptionRequest(channels=channels or quotes("A.SIM"), **more)


def _of_kind(kind: int, **more: Any) -> pb.Channel:
    return pb.Channel(kind=kind, **more)  # type: ignore[arg-type] # bad ones as well


BAD_CHANNELS: dict[str, tuple[list[pb.Channel], str]] = {
    "no kind": ([_of_kind(0, instrument_id="A.SIM")], "channels[0].kind"),
    "unknown kind": ([_of_kind(77, instrument_id="A.SIM")], "channels[0].kind"),
    "no instrument": ([_of_kind(1)], "channels[0].instrument_id"),
    "no venue in it": (quotes("A.SIM", "ASIM"), "channels[1].instrument_id"),
    "bar type of a quote": (
        [_of_kind(1, instrument_id="A.SIM", bar_type=MINUTES)],
        "channels[0].bar_type",
    ),
    "no bar type": ([_of_kind(3, instrument_id="A.SIM")], "channels[0].bar_type"),
    "no such bar type": (bars(MINUTES, MINUTES.replace("1-M", "X-M")), "channels[1].bar_type"),
    "no bar of Nautilus": (bars(MINUTES.replace("-1-", "-61-")), "channels[0].bar_type"),
    "composite of external": (bars(f"{MINUTES}@1-SECOND-EXTERNAL"), "channels[0].bar_type"),
    "another instrument": (
        [_of_kind(3, instrument_id="B.SIM", bar_type=MINUTES)],
        "channels[0].instrument_id",
    ),
    "twice": (quotes("A.SIM", "B.SIM", "A.SIM"), "channels[2]"),
}


@pytest.mark.parametrize("case", BAD_CHANNELS)
async def test_md29_bad_channels(live: Live, case: str) -> None:
    """MD-29a: a bad channel is named by its place and field, and nothing is stored."""
    channels, field = BAD_CHANNELS[case]
    await live.feed()
    got = await failure(live.data.CreateSubscription(_create(*channels)))
    assert (got.code, got.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert set(got.fields) == {field}
    assert not live.hub.subscriptions


BAD_DATA: dict[str, tuple[str, Any, str]] = {
    "no channels": (
        "CreateSubscription",
        data.CreateSubscriptionRequest(request_id=new_id(), feed_id="sim"),
        "channels",
    ),
    "interval": (
        "CreateSubscription",
        _create(conflate_interval=Duration(nanos=1_000_000)),
        "conflate_interval",
    ),
    "idle": ("CreateSubscription", _create(idle_timeout=Duration(seconds=1)), "idle_timeout"),
    "idle for ages": (
        "CreateSubscription",
        _create(idle_timeout=Duration(seconds=2**62)),
        "idle_timeout",
    ),
    "feed id": ("CreateSubscription", _create(feed_id="No!"), "feed_id"),
    "request id": ("CreateSubscription", _create(request_id="1"), "request_id"),
    "update": (
        "UpdateSubscription",
        data.UpdateSubscriptionRequest(
            request_id=new_id(), subscription_id=new_id(), add_channels=quotes("A")
        ),
        "add_channels[0].instrument_id",
    ),
    "get": ("GetSubscription", data.GetSubscriptionRequest(subscription_id="x"), "subscription_id"),
    "list": ("ListSubscriptions", data.ListSubscriptionsRequest(page_size=-1), "page_size"),
    "delete": (
        "DeleteSubscription",
        data.DeleteSubscriptionRequest(request_id=new_id(), subscription_id="x"),
        "subscription_id",
    ),
    "record": (
        "StartRecording",
        data.StartRecordingRequest(request_id="x", subscription_id=new_id()),
        "request_id",
    ),
    "stop": (
        "StopRecording",
        data.StopRecordingRequest(request_id="x", subscription_id=new_id()),
        "request_id",
    ),
    "watch": ("WatchMarketData", data.WatchMarketDataRequest(), "subscription_ids"),
    "format": (
        "WatchMarketData",
        data.WatchMarketDataRequest(subscription_ids=[new_id()], format=9),  # type: ignore[arg-type] # on purpose
        "format",
    ),
    "book": ("GetOrderBook", data.GetOrderBookRequest(feed_id="sim"), "instrument_id"),
    "neither": (
        "GetBookPrices",
        data.GetBookPricesRequest(feed_id="sim", instrument_id="A.SIM", side=ORDER_SIDE_BUY),
        "quantity",
    ),
    "nothing": (
        "GetBookPrices",
        data.GetBookPricesRequest(
            feed_id="sim", instrument_id="A.SIM", side=ORDER_SIDE_BUY, quantity="0.0"
        ),
        "quantity",
    ),
    "no number": (
        "GetBookPrices",
        data.GetBookPricesRequest(
            feed_id="sim", instrument_id="A.SIM", side=ORDER_SIDE_BUY, quantity="1e5"
        ),
        "quantity",
    ),
    "no side": (
        "GetBookPrices",
        data.GetBookPricesRequest(
            feed_id="sim", instrument_id="A.SIM", side=ORDER_SIDE_NO_ORDER_SIDE, quantity="1"
        ),
        "side",
    ),
}
BAD_FEEDS: dict[str, tuple[str, Any, str]] = {
    "id": (
        "CreateFeed",
        feeds.CreateFeedRequest(request_id=new_id(), feed_id="A", venue="SIM"),
        "feed_id",
    ),
    "venue": ("CreateFeed", feeds.CreateFeedRequest(request_id=new_id(), feed_id="a"), "venue"),
    "silence": (
        "CreateFeed",
        feeds.CreateFeedRequest(
            request_id=new_id(), feed_id="a", venue="SIM", silence_timeout=Duration(nanos=5)
        ),
        "silence_timeout",
    ),
    "silence of ages": (
        "CreateFeed",
        feeds.CreateFeedRequest(
            request_id=new_id(), feed_id="a", venue="SIM", silence_timeout=Duration(seconds=2**62)
        ),
        "silence_timeout",
    ),
    "seek too far": (
        "SeekReplay",
        feeds.SeekReplayRequest(
            request_id=new_id(), feed_id="sim", position=Timestamp(seconds=10**15)
        ),
        "position",
    ),
    "get": ("GetFeed", feeds.GetFeedRequest(), "feed_id"),
    "list": ("ListFeeds", feeds.ListFeedsRequest(page_size=-1), "page_size"),
    "state": ("ListFeeds", feeds.ListFeedsRequest(state=9), "state"),  # type: ignore[arg-type] # on purpose
    "delete": ("DeleteFeed", feeds.DeleteFeedRequest(feed_id="sim"), "request_id"),
    "restart": ("RestartFeed", feeds.RestartFeedRequest(feed_id="sim"), "request_id"),
    "pause": ("PauseReplay", feeds.PauseReplayRequest(feed_id="sim"), "request_id"),
    "resume": ("ResumeReplay", feeds.ResumeReplayRequest(feed_id="sim"), "request_id"),
    "seek": (
        "SeekReplay",
        feeds.SeekReplayRequest(request_id=new_id(), feed_id="sim"),
        "position",
    ),
    "speed": (
        "SetReplaySpeed",
        feeds.SetReplaySpeedRequest(request_id=new_id(), feed_id="sim", speed=-1),
        "speed",
    ),
    "instruments": (
        "ListFeedInstruments",
        feeds.ListFeedInstrumentsRequest(feed_id="sim", page_size=-1),
        "page_size",
    ),
    "cursor of": ("WatchFeeds", feeds.WatchFeedsRequest(feed_id="x" * 50), "feed_id"),
}


async def _failure(stub: Any, method: str, request: Any) -> Failure:
    call = getattr(stub, method)(request)
    return await failure(call.read() if method.startswith("Watch") else call)


async def test_md29_bad_requests(live: Live) -> None:
    """MD-29b: each method names the field that is wrong."""
    await live.feed()
    for stub, cases in ((live.data, BAD_DATA), (live.feeds, BAD_FEEDS)):
        for name, (method, request, field) in cases.items():
            got = await _failure(stub, method, request)
            said = (name, got.code, got.reason, field in got.fields)
            assert said == (name, "INVALID_ARGUMENT", "INVALID_FIELD", True), got


async def test_md29_subscriptions_of_several_feeds(live: Live) -> None:
    """MD-29c: one stream is of one feed."""
    await live.feed()
    await live.feed("other")
    one = await live.subscribe(quotes("A.SIM"), wait=False)
    two = await live.subscribe(quotes("A.SIM"), feed_id="other", wait=False)
    got = await failure(live.watch(one, two).call.read())
    assert (got.code, set(got.fields)) == ("INVALID_ARGUMENT", {"subscription_ids"})


async def test_md29_scopes(live: Live) -> None:
    """MD-29d: reading needs data.read; feeds and recordings are changed with data.write."""
    reader = await live.stubs("data.read")
    assert not (await reader[0].ListFeeds(feeds.ListFeedsRequest())).feeds
    request = feeds.CreateFeedRequest(request_id=new_id(), feed_id="a", venue="SIM")
    got = await failure(reader[0].CreateFeed(request))
    assert (got.code, got.reason) == ("PERMISSION_DENIED", "SCOPE_MISSING")
    recording = data.StartRecordingRequest(request_id=new_id(), subscription_id=new_id())
    assert (await failure(reader[1].StartRecording(recording))).reason == "SCOPE_MISSING"
    writer = await live.stubs("data.write")
    assert (await failure(writer[1].ListSubscriptions(data.ListSubscriptionsRequest()))).reason == (
        "SCOPE_MISSING"
    )


SOMETHING: dict[str, Callable[[], Any]] = {
    "request_id": new_id,
    "position": lambda: Timestamp(seconds=1),
    "instrument_id": lambda: "A.SIM",
    "side": lambda: ORDER_SIDE_BUY,
    "quantity": lambda: "1",
    "channels": lambda: quotes("A.SIM"),
    "feed_id": lambda: "sim",
}


def _methods() -> list[tuple[str, str, Any]]:
    """Return the methods that name a feed or a subscription: service, name, type of request."""
    found = []
    for module, service in ((feeds, "FeedService"), (data, "MarketDataService")):
        for method in module.DESCRIPTOR.services_by_name[service].methods:
            fields = method.input_type.fields_by_name
            named = {"feed_id", "subscription_id", "subscription_ids"} & set(fields)
            if named and method.name != "CreateFeed" and not method.name.startswith("List"):
                found.append((service, method.name, getattr(module, method.input_type.name)))
    return [*found, ("FeedService", "ListFeedInstruments", feeds.ListFeedInstrumentsRequest)]


async def test_md29_another_projects_ids_are_not_found(live: Live) -> None:
    """MD-29e: every method that names a feed or a subscription finds none of another project."""
    await live.feed()
    subscription = await live.subscribe(quotes("A.SIM"))
    stubs = dict(
        zip(
            ("FeedService", "MarketDataService"),
            await live.stubs(sub="stranger", projects=["elsewhere"]),
            strict=True,
        )
    )
    tried = []
    for service, name, request_type in _methods():
        if name == "WatchFeeds":
            continue  # it tells of the caller's own project only, and names none: MD-29f
        fields = request_type.DESCRIPTOR.fields_by_name
        values = {field: make() for field, make in SOMETHING.items() if field in fields}
        if "subscription_id" in fields:
            values["subscription_id"] = subscription
        if "subscription_ids" in fields:
            values["subscription_ids"] = [subscription]
        got = await _failure(stubs[service], name, request_type(**values))
        tried.append(name)
        assert (name, got.code) == (name, "NOT_FOUND")
        assert got.reason in {"FEED_NOT_FOUND", "SUBSCRIPTION_NOT_FOUND"}
    assert len(tried) == 17
    assert (await live.get(subscription)).items  # all is as it was


async def test_md29_lists_and_watches_are_of_a_project(live: Live) -> None:
    """MD-29f: lists and watches hold nothing of another project; two projects may have a feed of
    one id.
    """
    await live.feed()
    await live.subscribe(quotes("A.SIM"))
    others, other = await live.stubs(sub="stranger", projects=["elsewhere"])
    assert not (await others.ListFeeds(feeds.ListFeedsRequest())).feeds
    assert not (await other.ListSubscriptions(data.ListSubscriptionsRequest())).subscriptions
    watching = others.WatchFeeds(feeds.WatchFeedsRequest())
    assert (await watching.read()).checkpoint
    script = await live.venue.script()
    await script.do("state", state="DISCONNECTED")
    request = feeds.CreateFeedRequest(request_id=new_id(), feed_id="sim", venue="OTHER")
    await others.CreateFeed(request)
    events = (await watching.read()).events
    assert {event.project for event in events} == {"elsewhere"}
    assert (await live.get_feed()).venue == "SIM"
