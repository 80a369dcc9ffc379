"""What Nautilus' Binance adapter does when the venue fails; the simulators' README tells it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from simulators.binance.faults import GARBAGE
from simulators.binance.symbols import FUTURES, SPOT
from simulators.binance.venue import Binance
from simulators.listening import Listening, listening, until

SYMBOL, ID = "BTCUSDT", "BTCUSDT.BINANCE"
PROGRAM = "simulators.binance.noticing"
CONFIG = "nautilus_trader.adapters.binance.config:BinanceDataClientConfig"
QUOTES, TRADES, BOOK = (f"spot/btcusdt@{name}" for name in ("bookTicker", "trade", "depth@100ms"))


def job(venue: Binance, market: str = SPOT) -> dict[str, Any]:
    """Give what a node with the adapter is to do."""
    return {"venue": "BINANCE", "config": CONFIG, "options": venue.client(market), "timeout": 1.0}


@pytest.fixture
async def venue() -> AsyncIterator[Binance]:
    """Give a simulated Binance."""
    async with Binance() as venue:
        yield venue


@pytest.fixture
async def node(venue: Binance, tmp_path: Path) -> AsyncIterator[Listening]:
    """Give a node that is subscribed to quotes and trades, which takes two sockets."""
    async with listening(tmp_path / "log", program=PROGRAM, **job(venue)) as node:
        node.subscribe("quotes", ID)
        node.subscribe("trades", ID)
        await subscribed(venue, QUOTES, TRADES)
        yield node


async def subscribed(venue: Binance, *keys: str) -> None:
    """Wait until connections have the streams."""
    await until(lambda: all(venue.hub.readers(key) for key in keys), str(keys))


def quotes_sent(venue: Binance) -> list[tuple[str, ...]]:
    """Give the quotes that a connection got."""
    return [
        tuple(event.row[name] for name in "bBaA")
        for event in venue.events
        if event.kind == "quote" and event.readers
    ]


def quotes_got(node: Listening) -> list[tuple[str, ...]]:
    """Give the quotes that arrived."""
    names = ("bid_price", "bid_size", "ask_price", "ask_size")
    return [tuple(event[name] for name in names) for event in node.got("quotes")]


def send_quotes(venue: Binance, count: int = 20) -> None:
    """Send quotes."""
    for _ in range(count):
        venue.quote(SPOT, SYMBOL)


async def all_arrive(venue: Binance, node: Listening) -> None:
    """Send quotes and wait until the node has got all that were ever sent to it, once each."""
    send_quotes(venue)
    await node.wait("quotes", len(quotes_sent(venue)))
    assert quotes_got(node) == quotes_sent(venue)


async def the_next_arrive(venue: Binance, node: Listening, when: str) -> None:
    """Send quotes and wait until they are the last that the node has got."""
    send_quotes(venue)
    sent = quotes_sent(venue)[-20:]
    await until(lambda: quotes_got(node)[-20:] == sent, f"quotes {when}")


@pytest.mark.parametrize(
    "how",
    [{}, {"abruptly": True}, {"code": 1008}, {"code": 1001}],
    ids=["ended", "reset", "policy", "going_away"],
)
async def test_dropped_sockets_are_reopened(
    venue: Binance, node: Listening, how: dict[str, Any]
) -> None:
    """Each socket is told to reconnect and gets its streams again; what was missed is lost."""
    await all_arrive(venue, node)
    assert venue.drop(**how) == 2
    send_quotes(venue)  # to nobody: the sockets are closing
    await node.wait("reconnected", 2)
    await subscribed(venue, QUOTES, TRADES)
    await all_arrive(venue, node)
    assert {e["pool"] for e in node.got("reconnecting")} == {"_ws_client", "_ws_public_client"}
    assert [event.readers for event in venue.events].count(0) >= 20
    assert (len(venue.hub.wires), venue.hub.total, venue.hub.peak) == (2, 4, 2)


async def test_the_other_socket_goes_on(venue: Binance, node: Listening) -> None:
    """When one socket drops, the streams of the other are not touched."""
    (wire,) = venue.hub.readers(TRADES)
    assert venue.drop(number=wire.number) == 1
    await all_arrive(venue, node)
    (told,) = await node.wait("reconnected")
    assert (told["pool"], told["streams"]) == ("_ws_client", ["btcusdt@trade"])
    assert venue.hub.total == 3


async def test_the_day_ends(venue: Binance, node: Listening) -> None:
    """The warning before the 24-hour mark does no harm, and the close is like any other."""
    assert venue.shut_down() == 2
    await node.wait("reconnected", 2)
    await subscribed(venue, QUOTES, TRADES)
    await all_arrive(venue, node)


async def test_a_venue_that_refuses_is_tried_again(venue: Binance, node: Listening) -> None:
    """While connections are refused it goes on trying, and data go on when they are taken."""
    venue.refuse()
    venue.drop()
    await until(lambda: venue.refused >= 2, "a refused connection of each socket")
    assert not node.got("reconnected")
    venue.refuse(False)
    await node.wait("reconnected", 2)
    await subscribed(venue, QUOTES, TRADES)
    await all_arrive(venue, node)


async def test_a_book_is_made_anew(venue: Binance, node: Listening) -> None:
    """After a drop the book is that of the venue, whatever happened meanwhile."""
    node.subscribe("deltas", ID)
    await node.wait("deltas")
    venue.drop()
    send_quotes(venue, 200)
    await node.wait("reconnected", 2)
    await subscribed(venue, BOOK)
    await until(lambda: up_to_date(venue, node), "the venue's book")
    assert venue.requests["spot depth"] == 3  # at first, and one for each socket


def up_to_date(venue: Binance, node: Listening) -> bool:
    """Tell whether the node's book is the venue's; another change may be needed to show it."""
    made = venue.market(SPOT, SYMBOL)
    assert made is not None
    last = node.got("deltas")[-1]
    price = made.symbol.price
    tops = [last["bids"][0][0], last["asks"][0][0], last["sequence"]]
    return bool(tops == [price(made.book.bid), price(made.book.ask), made.book.update])


@pytest.mark.parametrize(
    "fault",
    [{"status": 429}, {"status": 502}, {"status": 200, "body": "{}"}],
    ids=["limited", "bad_gateway", "garbage"],
)
async def test_a_book_without_a_snapshot_is_dead_until_asked_again(
    venue: Binance, node: Listening, fault: dict[str, Any]
) -> None:
    """When REST fails after a drop, changes pile up unseen; asking again mends it."""
    node.subscribe("deltas", ID)
    await node.wait("deltas")
    venue.fail(**fault, times=2, path="/api/v3/depth")
    venue.drop()
    await node.wait("reconnected", 2)
    await subscribed(venue, BOOK)
    before = len(node.got("deltas"))
    send_quotes(venue)
    node.command(do="waiting")
    await until(lambda: waiting(node), "changes that wait")
    assert len(node.got("deltas")) == before
    node.command(do="rebook")
    await until(lambda: up_to_date(venue, node), "the venue's book")


def waiting(node: Listening) -> bool:
    """Ask how many changes of the book wait, and tell whether any does."""
    node.command(do="waiting")
    told = node.got("waiting")
    return bool(told and told[-1]["books"].get(ID))


async def test_garbage_is_skipped(venue: Binance, node: Listening) -> None:
    """What cannot be read is logged and skipped, whatever its kind; the sockets stay."""
    for kind in GARBAGE:
        await venue.garbage(kind=kind)
        await the_next_arrive(venue, node, f"after {kind}")
    assert venue.hub.total == 2


async def test_what_is_no_text_costs_the_socket(venue: Binance, node: Listening) -> None:
    """Bytes that are not UTF-8 make the adapter reconnect."""
    await venue.garbage()
    await node.wait("reconnected", 2)
    await subscribed(venue, QUOTES, TRADES)
    await all_arrive(venue, node)


@pytest.mark.parametrize("fault", ["silence", "mute"])
async def test_silence_is_not_told_and_can_be_ended(
    venue: Binance, node: Listening, fault: str
) -> None:
    """Nobody is told of sockets that are silent; new ones can be forced and data go on."""
    await all_arrive(venue, node)
    venue.commands()[fault]()
    send_quotes(venue)
    node.command(do="health")
    (health,) = await node.wait("health")
    assert health == {"event": "health", "node": True, "trader": True, "client": True}
    venue.heal()
    node.command(do="force")
    await node.wait("forced")
    await subscribed(venue, QUOTES, TRADES)
    await all_arrive(venue, node)
    assert not node.got("reconnecting")
    assert (len(venue.hub.wires), venue.hub.total) == (2, 4)


@pytest.mark.parametrize(
    ("market", "fault"),
    [
        (SPOT, {"status": 429, "retry_after": 1}),
        (FUTURES, {"status": 429, "retry_after": 1}),
        (SPOT, {"status": 418, "retry_after": 120}),
        (FUTURES, {"status": 502}),
        (SPOT, {"status": 200, "body": "<html>"}),
        (SPOT, {"status": 200, "body": '{"symbols": 7}'}),
    ],
    ids=["limited", "limited_futures", "banned", "bad_gateway", "page", "shape"],
)
async def test_a_start_that_fails_fails_in_silence(
    venue: Binance, tmp_path: Path, market: str, fault: dict[str, Any]
) -> None:
    """Instruments are asked for once; the node says that it runs, its trader never does."""
    venue.fail(**fault)
    log = tmp_path / "log"
    async with listening(log, program=PROGRAM, starts=False, **job(venue, market)) as node:
        await until(lambda: b"Timed out (1.0s)" in log.read_bytes(), "the end of the start")
        node.command(do="health")
        (health,) = await node.wait("health")
        assert health == {"event": "health", "node": True, "trader": False, "client": False}
        assert not venue.requests  # the one that failed was not counted, and none followed


@pytest.mark.parametrize("market", [SPOT, FUTURES])
async def test_one_bad_symbol_fails_the_start(venue: Binance, tmp_path: Path, market: str) -> None:
    """A symbol that is not listed, among those to load, keeps the others from loading."""
    names = (
        [ID, "NONESUCH.BINANCE"] if market == SPOT else ["BTCUSDT-PERP.BINANCE", "NO-PERP.BINANCE"]
    )
    given = job(venue, market)
    given["options"]["instrument_provider"] = {"load_ids": names}
    log = tmp_path / "log"
    async with listening(log, program=PROGRAM, starts=False, **given) as node:
        await until(lambda: b"Timed out (1.0s)" in log.read_bytes(), "the end of the start")
        node.command(do="health")
        assert (await node.wait("health"))[0]["trader"] is False
