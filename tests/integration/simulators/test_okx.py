"""Nautilus' own OKX adapter against the simulated OKX: what was sent is what arrives."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from simulators.listening import Listening, listening, meant, until, values
from simulators.market import MINUTE_MS
from simulators.okx import OKX
from simulators.okx.venue import BUSINESS, PUBLIC

ADAPTER = "nautilus_trader.adapters.okx"
BTC, BTC_ID = "BTC-USDT", "BTC-USDT.OKX"
SWAP, SWAP_ID = "BTC-USDT-SWAP", "BTC-USDT-SWAP.OKX"
MINUTES = f"{BTC_ID}-1-MINUTE-LAST-EXTERNAL"
QUOTES, TRADES, CANDLES = f"bbo-tbt:{BTC}", f"trades:{BTC}", f"candle1m:{BTC}"
QUOTE = ("bid", "ask", "bid_size", "ask_size")
GOT_QUOTE = ("bid_price", "ask_price", "bid_size", "ask_size")
BAR = ("open", "high", "low", "close", "volume")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def venue() -> AsyncIterator[OKX]:
    """Give a simulated OKX."""
    async with OKX() as venue:
        yield venue


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(venue: OKX, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Listening]:
    """Give a node with the adapter, connected; all tests share it, for a start takes seconds."""
    async with listening(
        tmp_path_factory.mktemp("node") / "log",
        venue="OKX",
        factory=f"{ADAPTER}.factories:OKXLiveDataClientFactory",
        config=f"{ADAPTER}.config:OKXDataClientConfig",
        options=venue.options,
    ) as node:
        yield node


@pytest_asyncio.fixture(loop_scope="module")
async def node(venue: OKX, started: Listening) -> AsyncIterator[Listening]:
    """Give the node, and leave it with no more than the subscriptions of its connecting."""
    yield started
    started.forget()
    kept = ["instruments:SPOT", "instruments:SWAP"]
    await until(lambda: venue.state()["channels"] == kept, "the end of all subscriptions")
    venue.forget()


async def test_instruments_are_loaded(node: Listening) -> None:
    """The node knows spot and swaps when it has started."""
    assert node.instruments == [SWAP_ID, BTC_ID, "ETH-USDT.OKX"]


async def test_quotes_arrive_as_sent(venue: OKX, node: Listening) -> None:
    """Each quote arrives once, in order, with its numbers and its time."""
    await node.watch(venue, "quotes", BTC_ID, QUOTES)
    for _ in range(300):
        await venue.quote(BTC)
    got = await node.wait("quotes", 300)
    assert values(got, *GOT_QUOTE) == meant(venue.rows(QUOTES), *QUOTE)


async def test_trades_arrive_as_sent(venue: OKX, node: Listening) -> None:
    """Each trade arrives once, in order, with its numbers, its side and its id."""
    await node.watch(venue, "trades", BTC_ID, TRADES)
    for _ in range(100):
        await venue.trade(BTC)
    got = await node.wait("trades", 100)
    sides = {"BUYER": "True", "SELLER": "False"}
    assert [(t["trade_id"], sides[t["aggressor_side"]]) for t in got] == [
        (row["number"], row["buy"]) for row in venue.rows(TRADES)
    ]
    assert values(got, "price", "size") == meant(venue.rows(TRADES), "price", "size")


async def test_bars_arrive_when_they_close(venue: OKX, node: Listening) -> None:
    """Each closed candle arrives as a bar, stamped when it opened; open ones do not."""
    await node.watch(venue, "bars", MINUTES, CANDLES)
    start = venue.markets[BTC].trades[-1].ts + MINUTE_MS
    for second in range(0, 300, 7):
        await venue.trade(BTC, ts=start + second * 1000)
    closed = [row for row in venue.rows(CANDLES) if row["closed"]]
    got = await node.wait("bars", len(closed))
    assert values(got, *BAR) == meant(closed, *BAR, time="start")


async def test_prices_of_a_swap_arrive(venue: OKX, node: Listening) -> None:
    """Mark, index and funding arrive as sent."""
    await node.watch(venue, "mark", SWAP_ID, f"mark-price:{SWAP}")
    await node.watch(venue, "index", SWAP_ID, f"index-tickers:{BTC}")
    await node.watch(venue, "funding", SWAP_ID, f"funding-rate:{SWAP}")
    await venue.mark(SWAP, "90001.5")
    await venue.index(BTC, "90002.5")
    await venue.funding(SWAP, "0.000125")
    assert (await node.wait("mark"))[0]["value"] == "90001.5"
    assert (await node.wait("index"))[0]["value"] == "90002.5"
    assert (await node.wait("funding"))[0]["rate"] == "0.000125"


async def test_past_trades_come_in_pages(venue: OKX, node: Listening) -> None:
    """A request of more trades than fit into one answer gives them all, once."""
    wanted = venue.markets[BTC].trades[100:350]
    node.request("trades", BTC_ID, wanted[0].ts, wanted[-1].ts)
    await node.wait("answered")
    assert venue.requests["/api/v5/market/history-trades"] > 1
    assert values(node.got("history"), "price", "size") == [(t.price, t.size, t.ts) for t in wanted]


async def test_past_bars_are_the_past_trades(venue: OKX, node: Listening) -> None:
    """A request of bars gives the candles of the venue's own trades, stamped when they open."""
    wanted = venue.markets[BTC].candles("1m")[10:40]
    node.request("bars", MINUTES, wanted[0].start, wanted[-1].start)
    await node.wait("answered")
    # Nautilus asks for what is newer than the first and older than the last.
    assert values(node.got("history"), *BAR) == [
        (c.open, c.high, c.low, c.close, c.volume, c.start) for c in wanted[1:-1]
    ]


async def test_bad_symbol_is_refused_alone(venue: OKX, node: Listening) -> None:
    """The venue refuses one that it does not know, and the others work."""
    node.subscribe("quotes", "NONE-SUCH.OKX")
    await node.watch(venue, "quotes", BTC_ID, QUOTES)
    await venue.quote(BTC)
    await node.wait("quotes")
    assert venue.requests["subscribe"] == 2
    assert not venue.watching("bbo-tbt:NONE-SUCH")


async def test_unsubscribing_ends_it_at_the_venue(venue: OKX, node: Listening) -> None:
    """What is unsubscribed is no longer sent; there are the venue's two sockets, no more."""
    await node.watch(venue, "trades", BTC_ID, TRADES)
    await node.watch(venue, "quotes", BTC_ID, QUOTES)
    node.unsubscribe("quotes", BTC_ID)
    await until(lambda: not venue.watching(QUOTES), "the end of the subscription")
    assert venue.watching(TRADES)
    assert sorted(socket.path for socket in venue.sockets) == [BUSINESS, PUBLIC]


async def test_data_goes_on_after_a_drop(venue: OKX, node: Listening) -> None:
    """Both sockets reconnect, subscribe again and what is sent then arrives."""
    await node.watch(venue, "quotes", BTC_ID, QUOTES)
    await node.watch(venue, "bars", MINUTES, CANDLES)
    await venue.quote(BTC)
    assert venue.drop() == 2
    await until(lambda: venue.subscribed[QUOTES] == venue.subscribed[CANDLES] == 2, "both again")
    await venue.quote(BTC)
    got = await node.wait("quotes", 2)
    assert values(got, *GOT_QUOTE) == meant(venue.rows(QUOTES), *QUOTE)
    assert venue.opened == {PUBLIC: 1, BUSINESS: 1}


async def test_garbage_does_no_harm(venue: OKX, node: Listening) -> None:
    """Frames that nobody can read change nothing, on the same socket."""
    await node.watch(venue, "quotes", BTC_ID, QUOTES)
    await venue.garbage()
    await venue.quote(BTC)
    got = await node.wait("quotes")
    assert values(got, *GOT_QUOTE) == meant(venue.rows(QUOTES), *QUOTE)
    assert not venue.opened


async def test_silence_is_not_noticed(venue: OKX, node: Listening) -> None:
    """The adapter waits on a silent venue's socket; whoever needs to know must watch the time."""
    await node.watch(venue, "quotes", BTC_ID, QUOTES)
    venue.silence()
    await venue.quote(BTC)
    venue.silence(False)
    await venue.quote(BTC)
    got = await node.wait("quotes")
    assert values(got, *GOT_QUOTE) == meant(venue.rows(QUOTES), *QUOTE)
    assert (len(venue.sent), len(got), len(venue.opened)) == (2, 1, 0)
