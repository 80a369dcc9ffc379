"""Nautilus' own Deribit adapter against the simulated Deribit: what was sent is what arrives."""

import asyncio
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from simulators.deribit import Deribit
from simulators.listening import TESTS, Listening, listening, meant, until, values
from simulators.market import MINUTE_MS

ADAPTER = "nautilus_trader.adapters.deribit"
BTC, BTC_ID = "BTC-PERPETUAL", "BTC-PERPETUAL.DERIBIT"
MINUTES = f"{BTC_ID}-1-MINUTE-LAST-EXTERNAL"
QUOTES, TRADES, CHART = f"quote.{BTC}", f"trades.{BTC}.100ms", f"chart.trades.{BTC}.1"


pytestmark = pytest.mark.asyncio(loop_scope="module")


def job(venue: Deribit) -> dict[str, Any]:
    """Give what a node with the adapter is to do."""
    return {
        "venue": "DERIBIT",
        "factory": f"{ADAPTER}.factories:DeribitLiveDataClientFactory",
        "config": f"{ADAPTER}.config:DeribitDataClientConfig",
        "options": venue.options,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def venue() -> AsyncIterator[Deribit]:
    """Give a simulated Deribit."""
    async with Deribit() as venue:
        yield venue


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(
    venue: Deribit, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Listening]:
    """Give a node connected to it; all tests share it, for a start takes seconds."""
    async with listening(tmp_path_factory.mktemp("node") / "log", **job(venue)) as node:
        yield node


@pytest_asyncio.fixture(loop_scope="module")
async def node(venue: Deribit, started: Listening) -> AsyncIterator[Listening]:
    """Give the node, and leave it without subscriptions."""
    yield started
    started.forget()
    await until(lambda: not venue.state()["channels"], "the end of all subscriptions")
    venue.forget()


def quotes_of(node: Listening) -> list[tuple[Any, ...]]:
    """Give the quotes that arrived."""
    return values(node.got("quotes"), "bid_price", "ask_price", "bid_size", "ask_size")


def quotes_sent(venue: Deribit) -> list[tuple[Any, ...]]:
    """Give the quotes that were sent."""
    return meant(venue.rows(QUOTES), "bid", "ask", "bid_size", "ask_size")


def candles_sent(venue: Deribit) -> list[tuple[Any, ...]]:
    """Give the last state of each minute but the open one, its time at the close as Nautilus'."""
    last = {row["start"]: row for row in venue.rows(CHART)}
    names = ("open", "high", "low", "close", "volume")
    closed = sorted(last)[:-1]
    return [(*(Decimal(last[start][n]) for n in names), int(start) + MINUTE_MS) for start in closed]


async def test_instruments_are_loaded(node: Listening) -> None:
    """The node knows the venue's instruments when it has started."""
    assert node.instruments == [
        "BTC-PERPETUAL.DERIBIT",
        "BTC_USDC-PERPETUAL.DERIBIT",
        "BTC_USDC.DERIBIT",
        "ETH-PERPETUAL.DERIBIT",
    ]


async def test_quotes_arrive_as_sent(venue: Deribit, node: Listening) -> None:
    """Each quote arrives once, in order, with its numbers and its time."""
    await node.watch(venue, "quotes", BTC_ID, QUOTES)
    for _ in range(300):
        await venue.quote(BTC)
    await node.wait("quotes", 300)
    assert quotes_of(node) == quotes_sent(venue)


async def test_trades_arrive_as_sent(venue: Deribit, node: Listening) -> None:
    """Each trade arrives once, in order, with its numbers, its side and its id."""
    await node.watch(venue, "trades", BTC_ID, TRADES)
    for _ in range(100):
        await venue.trade(BTC)
    got = await node.wait("trades", 100)
    sides = {"BUYER": "True", "SELLER": "False"}
    assert [(t["trade_id"], sides[t["aggressor_side"]]) for t in got] == [
        (row["trade_id"], row["buy"]) for row in venue.rows(TRADES)
    ]
    assert values(got, "price", "size") == meant(venue.rows(TRADES), "price", "size")


async def test_bars_arrive_when_the_next_one_opens(venue: Deribit, node: Listening) -> None:
    """Each minute's last state arrives as a bar once the next minute has a trade."""
    await node.watch(venue, "bars", MINUTES, CHART)
    start = venue.markets[BTC].trades[-1].ts + MINUTE_MS
    for second in range(0, 300, 7):
        await venue.trade(BTC, ts=start + second * 1000)
    sent = candles_sent(venue)
    got = await node.wait("bars", len(sent))
    assert values(got, "open", "high", "low", "close", "volume") == sent


async def test_book_follows_its_changes(venue: Deribit, node: Listening) -> None:
    """A snapshot and changes leave the same best prices as the venue has."""
    await node.watch(venue, "deltas", BTC_ID, f"book.{BTC}.100ms")
    await node.wait("deltas")
    best = max(venue.markets[BTC].bids)
    await venue.book(BTC, bids=[(best, 0)], asks=[(min(venue.markets[BTC].asks), "70")])
    got = (await node.wait("deltas", 2))[-1]
    assert Decimal(got["bid"]) == max(venue.markets[BTC].bids) < best
    assert Decimal(got["ask"]) == min(venue.markets[BTC].asks)


async def test_prices_of_a_perpetual_arrive(venue: Deribit, node: Listening) -> None:
    """Mark, index and funding arrive as sent."""
    await node.watch(venue, "mark", BTC_ID, f"ticker.{BTC}.100ms")
    node.subscribe("index", BTC_ID)
    await node.watch(venue, "funding", BTC_ID, f"perpetual.{BTC}.100ms")
    await venue.ticker(BTC, "90001.5", "90002.5", ts=1_800_000_000_000)
    await venue.funding(BTC, "0.000125", ts=1_800_000_000_000)
    assert (await node.wait("mark"))[0]["value"] == "90001.5"
    assert (await node.wait("index"))[0]["value"] == "90002.5"
    assert (await node.wait("funding"))[0]["rate"] == "0.000125"


async def test_past_trades_come_in_pages(venue: Deribit, node: Listening) -> None:
    """A request of more trades than fit into one answer gives them all, once."""
    wanted = venue.markets[BTC].trades[:1200]
    node.request("trades", BTC_ID, wanted[0].ts, wanted[-1].ts)
    await node.wait("answered")
    assert venue.requests["public/get_last_trades_by_instrument_and_time"] > 1
    assert values(node.got("history"), "price", "size") == [(t.price, t.size, t.ts) for t in wanted]


async def test_past_bars_are_the_past_trades(venue: Deribit, node: Listening) -> None:
    """A request of bars gives the candles of the venue's own trades, stamped when they open."""
    wanted = venue.markets[BTC].candles("1")[10:40]
    node.request("bars", MINUTES, wanted[0].start, wanted[-1].start)
    await node.wait("answered")
    got = values(node.got("history"), "open", "high", "low", "close", "volume")
    # Nautilus stamps live bars at their close and past ones, of this venue, at their open.
    assert got == [(c.open, c.high, c.low, c.close, c.volume, c.start) for c in wanted]


async def test_bad_symbol_fails_alone(venue: Deribit, node: Listening) -> None:
    """Subscriptions about one that the venue does not know work, and it is not taken."""
    node.subscribe("quotes", "NONESUCH.DERIBIT")
    await node.watch(venue, "quotes", BTC_ID, QUOTES)
    await venue.quote(BTC)
    await node.wait("quotes")
    assert venue.state()["channels"] == [QUOTES]


async def test_unsubscribing_ends_it_at_the_venue(venue: Deribit, node: Listening) -> None:
    """What is unsubscribed is no longer sent; one socket serves all."""
    await node.watch(venue, "trades", BTC_ID, TRADES)
    await node.watch(venue, "quotes", BTC_ID, QUOTES)
    node.unsubscribe("quotes", BTC_ID)
    await until(lambda: not venue.watching(QUOTES), "the end of the subscription")
    assert venue.state()["channels"] == [TRADES]
    assert len(venue.sockets) == 1


async def test_data_goes_on_after_a_drop(venue: Deribit, node: Listening) -> None:
    """The adapter reconnects, subscribes again and what is sent then arrives."""
    await node.watch(venue, "quotes", BTC_ID, QUOTES)
    await venue.quote(BTC)
    venue.drop()
    await until(lambda: venue.subscribed[QUOTES] == 2, "the second subscription")
    await venue.quote(BTC)
    await node.wait("quotes", 2)
    assert quotes_of(node) == quotes_sent(venue)
    assert (len(venue.sockets), venue.opened.total()) == (1, 1)


async def test_refused_connections_are_tried_again(venue: Deribit, node: Listening) -> None:
    """A venue that cuts new connections for a while is reached when it takes them."""
    await node.watch(venue, "quotes", BTC_ID, QUOTES)
    venue.refuse()
    venue.drop()
    await until(lambda: venue.refused, "an attempt that is refused")
    venue.refuse(False)
    await until(lambda: venue.watching(QUOTES), "the subscription")
    await venue.quote(BTC)
    await node.wait("quotes")


async def test_garbage_does_no_harm(venue: Deribit, node: Listening) -> None:
    """Frames that nobody can read change nothing, on the same socket."""
    await node.watch(venue, "quotes", BTC_ID, QUOTES)
    await venue.garbage()
    await venue.quote(BTC)
    await node.wait("quotes")
    assert quotes_of(node) == quotes_sent(venue)
    assert not venue.opened


async def test_silence_is_not_noticed(venue: Deribit, node: Listening) -> None:
    """The adapter waits on a silent venue's socket; whoever needs to know must watch the time."""
    await node.watch(venue, "quotes", BTC_ID, QUOTES)
    venue.silence()
    assert await venue.notify(QUOTES, {}, {}) == 0
    venue.silence(False)
    await venue.quote(BTC)
    await node.wait("quotes")
    assert quotes_of(node) == quotes_sent(venue)
    assert not venue.opened


async def test_rate_limit_is_waited_out(venue: Deribit, tmp_path: Path) -> None:
    """Instruments are loaded although the venue first answers HTTP 429."""
    venue.limit()
    async with listening(tmp_path / "log", **job(venue)) as node:
        assert len(node.instruments) == 4
    assert venue.requests["limited"] == 1
    venue.forget()


async def test_heartbeat_is_answered(venue: Deribit, node: Listening) -> None:
    """The adapter answers the venue's test request, which it asked for when it connected."""
    await venue.heartbeat()
    await until(lambda: venue.requests["public/test"], "the sign of life")
    assert venue.sockets


async def test_own_process_is_commanded_by_http() -> None:
    """The simulator as a process gives its port, its counters and its faults."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "simulators.deribit"),
        cwd=TESTS,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    base = f"http://127.0.0.1:{int(await process.stdout.readline())}"
    try:
        async with aiohttp.ClientSession(base) as client:
            async with client.ws_connect("/ws/api/v2") as ws:
                params = {"channels": [QUOTES, "quote.NONESUCH"]}
                await ws.send_json({"id": 1, "method": "public/subscribe", "params": params})
                assert (await ws.receive_json())["result"] == [QUOTES]
                await client.post("/_sim/quote", json={"symbol": BTC, "bid": "5.5"})
                told = (await ws.receive_json())["params"]["data"]
                sent = await (await client.get("/_sim/sent", params={"channel": QUOTES})).json()
                assert (told["best_bid_price"], [row["bid"] for row in sent]) == (5.5, ["5.5"])
                await client.post("/_sim/drop")
                assert (await ws.receive()).type in (
                    aiohttp.WSMsgType.CLOSED,
                    aiohttp.WSMsgType.ERROR,
                )
            refused = await client.post("/_sim/quote", json={"nonsense": 1})
            assert refused.status == 400
    finally:
        process.stdin.close()
        assert await process.wait() == 0
