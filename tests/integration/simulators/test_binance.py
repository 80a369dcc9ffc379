"""Nautilus' own Binance adapter against the simulated Binance: what was sent is what arrives."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

from simulators.binance.symbols import FUTURES, SPOT
from simulators.binance.venue import Binance, Event, Options
from simulators.listening import Listening, listening, until

SYMBOL = "BTCUSDT"
PROGRAM = "simulators.binance.noticing"
CONFIG = "nautilus_trader.adapters.binance.config:BinanceDataClientConfig"
HOUR_S = 3_600.0
# The adapter cannot unsubscribe from these.
FOREVER = ("depth@100ms", "depth@0ms", "markPrice@1s")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Desk:
    """A market of the venue and a node connected to it."""

    venue: Binance
    market: str
    node: Listening

    @property
    def id(self) -> str:
        """Give Nautilus' name of the symbol."""
        return f"{SYMBOL}.BINANCE" if self.market == SPOT else f"{SYMBOL}-PERP.BINANCE"

    @property
    def other(self) -> str:
        """Give Nautilus' name of another symbol."""
        return self.id.replace("BTC", "ETH")

    @property
    def minutes(self) -> str:
        """Give the type of its minute bars."""
        return f"{self.id}-1-MINUTE-LAST-EXTERNAL"

    @property
    def made(self) -> Any:
        """Give what happens at the symbol."""
        return self.venue.market(self.market, SYMBOL)

    async def watch(self, kind: str, of: str, stream: str, symbol: str = SYMBOL) -> None:
        """Subscribe and wait until the venue has taken it."""
        self.node.subscribe(kind, of)
        key = f"{self.market}/{symbol.lower()}@{stream}"
        await until(lambda: self.venue.hub.readers(key), key)

    def open_streams(self) -> set[str]:
        """Give what the node is subscribed to, but for what the adapter cannot unsubscribe."""
        streams = {key for wire in self.venue.hub.wires for key in wire.socket.channels}
        return {key for key in streams if "btc" in key and key.partition("@")[2] not in FOREVER}

    def sent(self, kind: str) -> list[Event]:
        """Give the events of a kind that the node was sent."""
        return [
            event
            for event in self.venue.events
            if event.readers and (event.kind, event.market) == (kind, self.market)
        ]

    def trade(self, times: int) -> None:
        """Let the market walk and trade."""
        for _ in range(times):
            self.venue.quote(self.market, SYMBOL)
            self.venue.trade(self.market, SYMBOL)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def venue() -> AsyncIterator[Binance]:
    """Give a Binance an hour behind, so that its clock can be moved forward."""
    async with Binance(options=Options(behind=HOUR_S)) as venue:
        yield venue


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[SPOT, FUTURES])
async def started(
    venue: Binance, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Desk]:
    """Give a node connected to a market; the tests share it, for a start takes seconds.

    Futures ask for aggregated trades, as spot for single ones, so that both are asked for. The
    adapter closes a socket with its last stream, and what is subscribed meanwhile is lost: another
    symbol's streams keep both open.
    """
    market = request.param
    options = venue.client(market, use_agg_trade_ticks=market == FUTURES)
    log = tmp_path_factory.mktemp("node") / "log"
    job: dict[str, Any] = {"venue": "BINANCE", "config": CONFIG, "options": options}
    async with listening(log, program=PROGRAM, **job) as node:
        desk = Desk(venue, market, node)
        for kind in ("quotes", "trades"):
            node.command(do="subscribe", kind=kind, of=desk.other)
        await until(lambda: len(venue.hub.wires) == 2, "both of the adapter's sockets")
        yield desk


@pytest_asyncio.fixture(loop_scope="module")
async def desk(started: Desk) -> AsyncIterator[Desk]:
    """Give the node, and leave it afterwards without the subscriptions that it can end."""
    started.venue.events.clear()
    yield started
    started.node.forget()
    await until(lambda: not started.open_streams(), "the end of all subscriptions")


def milliseconds(event: dict[str, Any]) -> int:
    """Give an event's time; the adapter computes it in floats and is some nanoseconds off."""
    return int(event["ts_event"] + 500_000) // 10**6


def prices(event: dict[str, Any], *names: str) -> tuple[str, ...]:
    """Give texts of an event."""
    return tuple(event[name] for name in names)


async def test_instruments_are_loaded(desk: Desk) -> None:
    """The node knows the market's instruments when it has started."""
    perpetual = "-PERP" if desk.market == FUTURES else ""
    names = [f"{name}{perpetual}.BINANCE" for name in desk.venue.listed(desk.market)]
    assert desk.node.instruments == sorted(names)


async def test_quotes_arrive_as_sent(desk: Desk) -> None:
    """Each quote arrives once, in order, with the texts that were sent and futures' time."""
    await desk.watch("quotes", desk.id, "bookTicker")
    for _ in range(300):
        desk.venue.quote(desk.market, SYMBOL)
    got = await desk.node.wait("quotes", 300)
    fields = ("bid_price", "bid_size", "ask_price", "ask_size")
    sent = desk.sent("quote")
    assert [prices(e, *fields) for e in got] == [prices(s.row, *"bBaA") for s in sent]
    assert [event.count for event in sent] == list(range(1, 301))
    if desk.market == FUTURES:
        assert [milliseconds(e) for e in got] == [s.row["T"] for s in sent]


async def test_a_quote_can_be_dictated(desk: Desk) -> None:
    """A quote that a test gives arrives as it is and becomes the top of the book."""
    await desk.watch("quotes", desk.id, "bookTicker")
    desk.venue.quote(desk.market, SYMBOL, "49000.50", "0.5", "49000.60", "1.25")
    (got,) = await desk.node.wait("quotes")
    assert [float(got[k]) for k in ("bid_price", "ask_price")] == [49000.5, 49000.6]
    assert (desk.made.book.bid, desk.made.book.ask) == (
        desk.made.symbol.ticks("49000.50"),
        desk.made.symbol.ticks("49000.60"),
    )


async def test_trades_arrive_as_sent(desk: Desk) -> None:
    """Spot's single trades and futures' aggregated ones arrive once, in order, as sent."""
    kind, number = ("trade", "t") if desk.market == SPOT else ("agg_trade", "a")
    stream = "trade" if desk.market == SPOT else "aggTrade"
    await desk.watch("trades", desk.id, stream)
    desk.venue.trade(desk.market, SYMBOL, "50000.00", ("0.5", "0.25"), buyer_maker=True)
    desk.trade(100)
    sent = desk.sent(kind)
    got = await desk.node.wait("trades", len(sent))
    sides = {"SELLER": True, "BUYER": False}
    assert [
        (e["trade_id"], e["price"], e["size"], sides[e["aggressor_side"]], milliseconds(e))
        for e in got
    ] == [(str(s.row[number]), s.row["p"], s.row["q"], s.row["m"], s.row["T"]) for s in sent]
    assert len(sent) > 100 if desk.market == SPOT else len(sent) == 101


async def test_bars_arrive_when_their_minute_ends(desk: Desk) -> None:
    """Each minute arrives once as a bar when the clock passes it, and only then."""
    await desk.watch("bars", desk.minutes, "kline_1m")
    for _ in range(4):
        desk.trade(20)
        desk.venue.advance(60)
    closed = [s.row["k"] for s in desk.sent("kline") if s.row["k"]["x"]]
    got = await desk.node.wait("bars", len(closed))
    assert len(closed) == 4
    fields = ("open", "high", "low", "close", "volume")
    assert [(*prices(e, *fields), milliseconds(e)) for e in got] == [
        (*prices(k, *"ohlcv"), k["T"]) for k in closed
    ]


async def test_bars_of_the_past_are_those_of_the_stream(desk: Desk) -> None:
    """History gives the bars that were streamed, row for row, and the invented past before them."""
    await desk.watch("bars", desk.minutes, "kline_1m")
    for _ in range(3):
        desk.trade(20)
        desk.venue.advance(60)
    streamed = await desk.node.wait("bars", 3)
    first = milliseconds(streamed[0]) - 59_999
    desk.node.request("bars", desk.minutes, first - 30 * 60_000, desk.venue.clock.now())
    await desk.node.wait("answered")
    got = desk.node.got("history")
    fields = ("open", "high", "low", "close", "volume", "ts_event")
    assert [prices(e, *fields) for e in got[-3:]] == [prices(e, *fields) for e in streamed]
    assert [milliseconds(e) for e in got] == [first + n * 60_000 - 1 for n in range(-29, 4)]


async def test_trades_of_the_past_are_those_of_the_stream(desk: Desk) -> None:
    """History gives the trades that happened: spot's single ones, futures' aggregated ones."""
    desk.trade(50)
    end = desk.venue.clock.now()
    desk.node.request("trades", desk.id, end - 2_000_000, end + 1)  # times come some ns late
    await desk.node.wait("answered")
    got, made, symbol = desk.node.got("history"), desk.made.trades, desk.made.symbol
    between = made.between if desk.market == SPOT else made.aggregated_between
    rows = between(end - 2_000_000, end)
    assert len(rows) > 400
    assert [(e["trade_id"], e["price"], e["size"], milliseconds(e)) for e in got] == [
        (str(row.id), symbol.price(row.ticks), symbol.size(row.lots), row.ms) for row in rows
    ]


async def test_book_follows_its_changes(desk: Desk) -> None:
    """A snapshot and hundreds of changes leave the venue's book, level for level."""
    speed = "100ms" if desk.market == SPOT else "0ms"
    await desk.watch("deltas", desk.id, f"depth@{speed}")
    await desk.node.wait("deltas")
    for _ in range(300):
        desk.venue.quote(desk.market, SYMBOL)
    await until(lambda: whole(desk.made) == desk.node.got("deltas")[-1], "the venue's book")


async def test_changes_of_a_book_have_no_hole(desk: Desk) -> None:
    """Each event's first update id follows the last one's final id, as documented."""
    speed = "100ms" if desk.market == SPOT else "0ms"
    await desk.watch("deltas", desk.id, f"depth@{speed}")
    while len(desk.sent("diff")) < 3:
        desk.trade(40)
        await asyncio.sleep(0.02)  # as long as the venue's own turn
    rows = [event.row for event in desk.sent("diff")]
    assert all(after["U"] == before["u"] + 1 for before, after in pairwise(rows))
    if desk.market == FUTURES:
        assert all(row["pu"] == row["U"] - 1 for row in rows)


async def test_depth_is_the_top_of_the_book(desk: Desk) -> None:
    """A subscription to ten levels gives the ten best of each side."""
    speed = "100ms" if desk.market == SPOT else "0ms"
    await desk.watch("depth", desk.other, f"depth10@{speed}", "ETHUSDT")
    for _ in range(10):
        desk.venue.quote(desk.market, "ETHUSDT")
    made = desk.venue.market(desk.market, "ETHUSDT")
    await until(lambda: whole(made, 10) in desk.node.got("deltas"), "ten levels")


def whole(made: Any, levels: int = 10_000) -> dict[str, Any]:
    """Give the venue's book as the node tells it."""
    bids, asks = (
        [[made.symbol.price(ticks), made.symbol.size(lots)] for ticks, lots in side]
        for side in made.book.top(levels)
    )
    return {"event": "deltas", "sequence": made.book.update, "bids": bids, "asks": asks}


async def test_prices_of_a_perpetual_arrive(desk: Desk) -> None:
    """Mark price, index price and funding rate arrive each second and when they are dictated."""
    if desk.market == SPOT:
        assert "premiumIndex" not in str(desk.venue.requests)  # spot has none of these
        return
    desk.node.command(do="subscribe", kind="all_prices", of=desk.id)
    await desk.watch("mark", desk.id, "markPrice@1s")
    desk.venue.mark(SYMBOL, "50123.45000000", "50100.00000000", "-0.00025000")
    await until(lambda: len(desk.node.got("all_prices")) > 1, "a mark price each second")
    said = [event.row for event in desk.sent("mark")]
    got = await desk.node.wait("all_prices", len(said))
    fields = ("mark", "index", "funding_rate")
    assert [prices(e, *fields) for e in got[: len(said)]] == [prices(r, *"pir") for r in said]
    assert ("50123.45000000", "50100.00000000", "-0.00025000") in [prices(e, *fields) for e in got]
    assert "50123.45000000" in [event["value"] for event in desk.node.got("mark")]


async def test_an_unlisted_symbol_gives_nothing(desk: Desk) -> None:
    """The venue takes a subscription to a symbol that it has not and is silent about it."""
    await desk.watch("quotes", desk.id, "bookTicker")
    desk.node.subscribe("quotes", "NONESUCH.BINANCE")
    key = f"{desk.market}/nonesuch@bookTicker"
    await until(lambda: desk.venue.hub.readers(key), key)
    desk.venue.quote(desk.market, SYMBOL)
    got = await desk.node.wait("quotes")
    assert [event["instrument_id"] for event in got] == [desk.id]
