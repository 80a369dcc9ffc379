"""What goes wrong at a venue, in the service or in a channel: it is said, and the rest goes on."""

from collections.abc import Callable
from typing import Any

import pytest

from integration.market_data.feed.conftest import Feed
from services.market_data.live import frames
from simulators.scripted import NAME, Script

ID = "S0.SCRIPTED"


async def test_a_bad_symbol_among_a_hundred(venue: Script, start: Callable[..., Any]) -> None:
    """One symbol that the venue does not have fails alone, and never reaches the venue."""
    async with start(NAME, {**venue.config, "instruments": 99}) as feed:
        names = [f"S{number}.SCRIPTED" for number in range(99)]
        names.insert(50, "NOPE.SCRIPTED")
        feed.send(*(frames.Open(n, "QUOTE_TICK", name) for n, name in enumerate(names)))
        failed = await feed.item(50, "FAILED")
        assert failed.reason == "INSTRUMENT_NOT_AT_VENUE"
        assert "NOPE.SCRIPTED" in failed.message
        for number in range(100):
            if number != 50:
                await feed.item(number, "LIVE")
        venue.say(burst={"symbols": [name[:-9] for name in names if name[0] == "S"], "rate": 0,
                         "total": 99})  # fmt: skip
        await feed.until(lambda: sum(batch.rows for batch in feed.of(frames.Batch)) == 99)
        assert ("subscribe_quote_ticks", "NOPE.SCRIPTED") not in venue.calls


async def test_a_thousand_channels(venue: Script, start: Callable[..., Any]) -> None:
    """A thousand channels open, and each gives its data."""
    async with start(NAME, {**venue.config, "instruments": 1000}) as feed:
        await feed.state("CONNECTED")
        names = [f"S{number}" for number in range(1000)]
        feed.send(*(frames.Open(n, "QUOTE_TICK", f"{s}.SCRIPTED") for n, s in enumerate(names)))
        await feed.item(999, "LIVE")
        venue.say(burst={"symbols": names, "rate": 0, "total": 3000})
        await feed.until(lambda: sum(batch.rows for batch in feed.of(frames.Batch)) == 3000)
        assert {batch.channel for batch in feed.of(frames.Batch)} == set(range(1000))


async def test_a_kind_that_the_adapter_lacks(venue: Script, start: Callable[..., Any]) -> None:
    """A kind without support fails alone, with its reason."""
    async with start(NAME, {**venue.config, "lacks": ["mark_prices"]}) as feed:
        feed.send(frames.Open(1, "MARK_PRICE", ID), frames.Open(2, "QUOTE_TICK", ID))
        feed.send(frames.Open(3, "FUNDING_RATE", "SPOT.SCRIPTED"))
        feed.send(frames.Open(4, "BAR", ID, f"{ID}-61-MINUTE-LAST-EXTERNAL"))
        for channel in (1, 3, 4):
            failed = await feed.item(channel, "FAILED")
            assert failed.reason == "KIND_UNSUPPORTED"
            assert "Error" not in failed.message
        await feed.item(2, "LIVE")


async def test_a_subscription_that_the_venue_refuses(feed: Feed, venue: Script) -> None:
    """What a venue refuses fails with its words; asked for again, it is tried again."""
    venue.answers[ID] = {"error": "VenueError: {'code': 7, 'msg': 'Market closed for good'}"}
    feed.send(frames.Open(1, "QUOTE_TICK", ID), frames.Open(2, "QUOTE_TICK", "S1.SCRIPTED"))
    failed = await feed.item(1, "FAILED")
    assert (failed.reason, failed.message) == ("VENUE_REFUSED", "Market closed for good.")
    await feed.item(2, "LIVE")
    del venue.answers[ID]
    feed.send(frames.Close(1), frames.Open(3, "QUOTE_TICK", ID))
    await feed.item(3, "LIVE")


async def test_a_subscription_that_is_limited(feed: Feed, venue: Script) -> None:
    """A subscription that meets a limit is tried again after the time that the venue says."""
    venue.answers[ID] = {"error": "HTTP 429, Retry-After: 1"}
    feed.send(frames.Open(1, "QUOTE_TICK", ID))
    assert (await feed.item(1, "FAILED")).reason == "VENUE_RATE_LIMITED"
    del venue.answers[ID]
    await feed.item(1, "LIVE")


async def test_an_error_in_the_log_alone(feed: Feed, venue: Script) -> None:
    """An adapter that logs an error and raises nothing has refused."""
    venue.answers[ID] = {"log": "Cannot subscribe: only time bars are aggregated by the venue"}
    feed.send(frames.Open(1, "QUOTE_TICK", ID))
    failed = await feed.item(1, "FAILED")
    assert failed.reason == "KIND_UNSUPPORTED"
    assert "only time bars" in failed.message


async def test_a_venue_that_cannot_be_reached(venue: Script, start: Callable[..., Any]) -> None:
    """The feed says so and tries again; an open channel becomes live when it works."""
    socket, moved = venue.control, venue.control.with_suffix(".away")
    socket.rename(moved)
    async with start(NAME, venue.config) as feed:
        feed.send(frames.Open(1, "QUOTE_TICK", ID))
        failed = await feed.state("FAILED")
        assert failed.reason == "VENUE_UNREACHABLE"
        assert "Error" not in failed.message
        await feed.item(1, "PENDING")
        moved.rename(socket)
        await feed.state("CONNECTED")
        await feed.item(1, "LIVE")
        assert not feed.of(frames.Gap)


async def test_a_venue_that_limits_who_connects(venue: Script, start: Callable[..., Any]) -> None:
    """HTTP 418 at the start is a limit, in plain words."""
    venue.refusal = (
        "BinanceClientError(418, {'msg': 'Way too many requests; banned'}) retry-after: 1"
    )
    async with start(NAME, venue.config) as feed:
        failed = await feed.state("FAILED")
        assert failed.reason == "VENUE_RATE_LIMITED"
        assert "banned" in failed.message
        assert "BinanceClientError" not in failed.message
        venue.refusal = ""
        await feed.state("CONNECTED")


async def test_silence(venue: Script, start: Callable[..., Any]) -> None:
    """A venue that says nothing is connected to anew: stale, a gap, live, and data again."""
    async with start(NAME, venue.config, silence=0.5) as feed:
        feed.send(frames.Open(1, "QUOTE_TICK", ID))
        feed.send(frames.Open(2, "BAR", ID, f"{ID}-2-TICK-BID-INTERNAL"))
        await feed.item(1, "LIVE")
        venue.say(quote=["S0", "100.10", "100.12", "1.000", "2.500", 1])
        (batch,) = await feed.rows(1, 1)
        down = await feed.state("DISCONNECTED")
        assert down.reason == "VENUE_SILENT"
        stale = await feed.item(1, "STALE")
        assert stale.reason == "VENUE_SILENT"
        gap = await feed.until(lambda: feed.of(frames.Gap))
        assert (gap[0].channel, gap[0].cause, gap[0].start) == (-1, "VENUE_SILENT", batch.last)
        mark = feed.told.index(gap[0])
        await feed.item(1, "LIVE", mark)
        venue.say(quote=["S0", "100.20", "100.22", "1.000", "2.500", 2])
        await feed.rows(1, 2)
        await feed.rows(2, 1)
        assert venue.connections >= 2


async def test_no_silence_without_channels(venue: Script, start: Callable[..., Any]) -> None:
    """A feed of which nobody wants anything may be silent."""
    async with start(NAME, venue.config, silence=0.2) as feed:
        await feed.until(lambda: feed.of(frames.Pulse)[3:])
        assert venue.connections == 1


async def test_a_reconnect_that_is_asked_for(feed: Feed, venue: Script) -> None:
    """An operator's reconnect makes the connection anew and is said as a gap."""
    feed.send(frames.Open(1, "QUOTE_TICK", ID))
    await feed.item(1, "LIVE")
    feed.send(frames.Reconnect("VENUE_DISCONNECTED"))
    gap = await feed.until(lambda: feed.of(frames.Gap))
    assert gap[0].cause == "VENUE_DISCONNECTED"
    await feed.item(1, "LIVE", feed.told.index(gap[0]))
    venue.say(quote=["S0", "100.20", "100.22", "1.000", "2.500", 2])
    await feed.rows(1, 1)


async def test_data_that_cannot_be_read(feed: Feed, venue: Script) -> None:
    """Garbage of the venue is said as a gap, at most once a second, and data goes on."""
    feed.send(frames.Open(1, "QUOTE_TICK", ID))
    await feed.item(1, "LIVE")
    for _ in range(20):
        venue.say_garbage()
    gap = await feed.until(lambda: feed.of(frames.Gap))
    assert gap[0].cause == "MALFORMED_DATA"
    venue.say(quote=["S0", "100.20", "100.22", "1.000", "2.500", 2])
    await feed.rows(1, 1)
    assert len(feed.of(frames.Gap)) <= 2


async def test_a_process_that_dies(feed: Feed, venue: Script) -> None:
    """An adapter that dies takes its process along; the service sees the end of the stream."""
    venue.say(crash=True)
    assert await feed.process.wait() == 9


async def test_a_config_that_is_refused(venue: Script, start: Callable[..., Any]) -> None:
    """A config that the adapter does not take ends the process with the reason."""
    async with start(NAME, {"nonsense": 1}) as feed:
        failed = await feed.state("FAILED")
        assert failed.reason == "INVALID_FIELD"
        assert "nonsense" in failed.message
        assert await feed.process.wait() == 3


async def test_bars_that_nautilus_cannot_make(venue: Script, start: Callable[..., Any]) -> None:
    """Bars of a step that Nautilus cannot count fail alone, opened before or after connecting."""
    huge = f"{ID}-1000000000000-VOLUME_RUNS-LAST-INTERNAL"
    async with start(NAME, venue.config) as feed:
        feed.send(frames.Open(1, "BAR", ID, huge), frames.Open(2, "QUOTE_TICK", ID))
        await feed.item(2, "LIVE")
        feed.send(frames.Open(3, "BAR", ID, huge), frames.Open(4, "TRADE_TICK", ID))
        await feed.item(4, "LIVE")
        for channel in (1, 3):
            failed = await feed.item(channel, "FAILED")
            assert (failed.reason, huge in failed.message) == ("KIND_UNSUPPORTED", True)


@pytest.mark.parametrize(
    "bars",
    ["1-VOLUME", "1-VALUE", "1-VOLUME_RUNS", "1-VALUE_RUNS", "1-VOLUME_IMBALANCE",
     "1-VALUE_IMBALANCE", "1-RENKO"],
)  # fmt: skip
async def test_bars_of_too_small_a_step(
    venue: Script, start: Callable[..., Any], bars: str
) -> None:
    """A trade that would be millions of bars ends the channel of the bars, and nothing else."""
    kind = f"{ID}-{bars}-LAST-INTERNAL"
    async with start(NAME, venue.config) as feed:
        feed.send(frames.Open(1, "BAR", ID, kind), frames.Open(2, "TRADE_TICK", ID))
        for channel in (1, 2):
            await feed.item(channel, "LIVE")
        venue.say(trade=["S0", "1.00", "2.000", "BUYER", "a", 1])
        venue.say(trade=["S0", "1000000.00", "1000000000.000", "BUYER", "b", 2])
        failed = await feed.item(1, "FAILED")
        assert failed.reason == "KIND_UNSUPPORTED"
        assert kind in failed.message
        assert "Choose a step of at least" in failed.message
        venue.say(trade=["S0", "1.00", "1000000000.000", "BUYER", "c", 3])
        await feed.rows(2, 3)
        feed.send(frames.Close(1), frames.Open(3, "BAR", ID, kind))
        await feed.item(3, "LIVE")
        venue.say(trade=["S0", "1.00", "2.000", "BUYER", "d", 4])
        venue.say(trade=["S0", "1.02", "2.000", "BUYER", "e", 5])
        await feed.rows(3, 1)


async def test_bars_of_bars_of_too_small_a_step(venue: Script, start: Callable[..., Any]) -> None:
    """Bars whose own bars are refused fail with them."""
    small = f"{ID}-2-VOLUME-LAST-INTERNAL"
    large = f"{ID}-1-HOUR-LAST-INTERNAL@2-VOLUME-INTERNAL"
    async with start(NAME, venue.config) as feed:
        feed.send(frames.Open(1, "BAR", ID, small), frames.Open(2, "BAR", ID, large))
        await feed.item(1, "LIVE")
        venue.say(trade=["S0", "1.00", "10000.000", "BUYER", "a", 1])
        for channel in (1, 2):
            assert "at least 10." in (await feed.item(channel, "FAILED")).message


async def test_bars_that_are_not_told_apart(venue: Script, start: Callable[..., Any]) -> None:
    """Bars of one type made of different things are refused beside each other."""
    first, second = f"{ID}-1-HOUR-LAST-INTERNAL@1-MINUTE-EXTERNAL", f"{ID}-1-HOUR-LAST-INTERNAL"
    async with start(NAME, venue.config) as feed:
        feed.send(frames.Open(1, "BAR", ID, first))
        await feed.item(1, "LIVE")
        feed.send(frames.Open(2, "BAR", ID, second))
        failed = await feed.item(2, "FAILED")
        assert (failed.reason, first in failed.message) == ("KIND_UNSUPPORTED", True)
        feed.send(frames.Close(1), frames.Close(2), frames.Open(3, "BAR", ID, second))
        await feed.item(3, "LIVE")
