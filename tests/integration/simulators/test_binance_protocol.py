"""The simulated Binance itself, as its documentation describes the venue, in process and as one."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulators.binance.symbols import FUTURES, SPOT
from simulators.binance.venue import Binance, Options
from simulators.listening import TESTS, listening, until

SYMBOL = "BTCUSDT"


@pytest.fixture
async def venue() -> AsyncIterator[Binance]:
    """Give a simulated Binance."""
    async with Binance() as venue:
        yield venue


@pytest.fixture
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    """Give an HTTP client."""
    async with aiohttp.ClientSession() as session:
        yield session


async def ask(web: aiohttp.ClientSession, url: str) -> tuple[int, Any, dict[str, str]]:
    """Give the status, the JSON and the headers of an answer."""
    async with web.get(url) as answer:
        return answer.status, await answer.json(), dict(answer.headers)


async def told(socket: aiohttp.ClientWebSocketResponse, stream: str) -> Any:
    """Give the next event of a stream, which may follow others."""
    async with asyncio.timeout(10):
        while True:
            message = await socket.receive_json()
            if message.get("stream") == stream:
                return message["data"]


async def test_subscriptions_are_made_listed_and_ended(
    venue: Binance, web: aiohttp.ClientSession
) -> None:
    """SUBSCRIBE, LIST_SUBSCRIPTIONS and UNSUBSCRIBE answer with their ids."""
    async with web.ws_connect(venue.ws() + "/stream?streams=btcusdt@trade") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@aggTrade"], "id": 1})
        assert await socket.receive_json() == {"result": None, "id": 1}
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": "a"})
        listed = await socket.receive_json()
        assert listed == {"result": ["btcusdt@aggTrade", "btcusdt@trade"], "id": "a"}
        await socket.send_json({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 2})
        assert await socket.receive_json() == {"result": None, "id": 2}
        venue.trade(SPOT, SYMBOL)
        assert (await told(socket, "btcusdt@aggTrade"))["e"] == "aggTrade"
    await until(lambda: not venue.hub.wires, "the end of the connection")
    assert (venue.hub.total, venue.hub.peak, venue.hub.subscribes) == (1, 1, 2)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", 3),
        ("{}", 2),
        ('{"method":"JUMP","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":[7],"id":1}', 2),
        ('{"method":"GET_PROPERTY","params":["colour"],"id":1}', 0),
    ],
)
async def test_messages_that_are_wrong_are_refused(
    venue: Binance, web: aiohttp.ClientSession, text: str, code: int
) -> None:
    """A message that is no request gets the documented code."""
    async with web.ws_connect(venue.ws() + "/ws") as socket:
        await socket.send_str(text)
        assert (await socket.receive_json())["code"] == code


async def test_raw_streams_are_not_wrapped(venue: Binance, web: aiohttp.ClientSession) -> None:
    """Under /ws/ an event comes as it is, until the client asks otherwise."""
    async with web.ws_connect(venue.ws() + "/ws/btcusdt@bookTicker") as socket:
        venue.quote(SPOT, SYMBOL)
        assert (await socket.receive_json())["s"] == SYMBOL
        wanted = {"method": "SET_PROPERTY", "params": ["combined", True], "id": 3}
        await socket.send_json(wanted)
        assert await socket.receive_json() == {"result": None, "id": 3}
        venue.quote(SPOT, SYMBOL)
        assert (await socket.receive_json())["stream"] == "btcusdt@bookTicker"


@pytest.mark.parametrize("market", [SPOT, FUTURES])
async def test_a_snapshot_and_what_follows_it_make_the_book(
    venue: Binance, web: aiohttp.ClientSession, market: str
) -> None:
    """The documented way to keep a book gives the venue's book, with changes before and after."""
    prefix = "/api/v3" if market == SPOT else "/fapi/v1"
    async with web.ws_connect(f"{venue.ws(market)}/stream?streams=btcusdt@depth@100ms") as socket:
        for _ in range(20):
            venue.quote(market, SYMBOL)
        await told(socket, "btcusdt@depth@100ms")
        for _ in range(20):
            venue.quote(market, SYMBOL)
        snapshot = (await ask(web, f"{venue.http}{prefix}/depth?symbol={SYMBOL}&limit=1000"))[1]
        for _ in range(20):
            venue.quote(market, SYMBOL)
        book = {side: dict(map(tuple, snapshot[side])) for side in ("bids", "asks")}
        last = snapshot["lastUpdateId"]
        made = venue.market(market, SYMBOL)
        assert made is not None
        while last < made.book.update:
            event = await told(socket, "btcusdt@depth@100ms")
            if event["u"] <= last:
                continue
            assert event["U"] <= last + 1
            for side, name in (("bids", "b"), ("asks", "a")):
                book[side].update(map(tuple, event[name]))
            last = event["u"]
    for side, rows in zip(("bids", "asks"), made.book.top(1000), strict=True):
        kept = {price: size for price, size in book[side].items() if Decimal(size)}
        assert kept == {made.symbol.price(t): made.symbol.size(n) for t, n in rows}


async def test_unknown_symbols_are_refused(venue: Binance, web: aiohttp.ClientSession) -> None:
    """An unlisted symbol gets -1121, alone and among listed ones."""
    for query in (
        "/api/v3/depth?symbol=NONESUCH",
        "/api/v3/klines?symbol=NONESUCH&interval=1m",
        "/fapi/v1/premiumIndex?symbol=NONESUCH",
        '/api/v3/exchangeInfo?symbols=["BTCUSDT","NONESUCH"]',
    ):
        status, body, _ = await ask(web, venue.http + query)
        assert (status, body) == (400, {"code": -1121, "msg": "Invalid symbol."})


async def test_weights_add_up(venue: Binance, web: aiohttp.ClientSession) -> None:
    """Each answer says the weight used in this minute, which is kept for each market."""
    used = []
    for query in ("ping", "exchangeInfo", "depth?symbol=BTCUSDT&limit=1000"):
        _, _, headers = await ask(web, f"{venue.http}/api/v3/{query}")
        used.append(int(headers["X-MBX-USED-WEIGHT-1M"]))
    assert [b - a for a, b in zip([0, *used], used, strict=False)] == [1, 20, 50]


async def test_history_is_what_happened(venue: Binance, web: aiohttp.ClientSession) -> None:
    """Single trades, aggregated ones and klines of the same time add up to the same volume."""
    for _ in range(30):
        venue.trade(SPOT, SYMBOL)
    base = f"{venue.http}/api/v3"
    end = venue.clock.now()
    opened = end - end % 60_000
    bar = (await ask(web, f"{base}/klines?symbol={SYMBOL}&interval=1m&limit=1"))[1][0]
    range_ = f"startTime={opened}&endTime={opened + 59_999}"
    rows = (await ask(web, f"{base}/aggTrades?symbol={SYMBOL}&{range_}&limit=1000"))[1]
    first = rows[0]["f"]
    single = (await ask(web, f"{base}/historicalTrades?symbol={SYMBOL}&fromId={first}"))[1]
    assert [row["id"] for row in single] == list(range(first, rows[-1]["l"] + 1))
    volumes = [sum(Decimal(r["q"]) for r in rows), sum(Decimal(r["qty"]) for r in single)]
    assert volumes == [Decimal(bar[5])] * 2
    assert bar[8] == len(single)


async def test_the_same_seed_gives_the_same_market() -> None:
    """Two venues of one seed tell the same quotes and trades, and of another seed others."""
    rows = []
    for seed in (1, 1, 2):
        async with Binance(options=Options(seed=seed)) as venue:
            made = venue.market(SPOT, SYMBOL)
            assert made is not None
            tops = [(made.walk(), made.trade(0).ticks) for _ in range(100)]
            rows.append(tops)
    assert rows[0] == rows[1] != rows[2]


@pytest.mark.parametrize(("market", "allowed"), [(SPOT, 5), (FUTURES, 10)])
async def test_who_says_too_much_is_cut(
    web: aiohttp.ClientSession, market: str, allowed: int
) -> None:
    """With limits on, one message more in a second than is allowed ends the connection."""
    async with (
        Binance(options=Options(limits=True)) as venue,
        web.ws_connect(venue.ws(market) + "/stream") as socket,
    ):
        for number in range(allowed + 1):
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
        answers = [message.data async for message in socket]
        assert len(answers) == allowed
        assert socket.close_code == 1008


async def test_clients_are_pinged(web: aiohttp.ClientSession) -> None:
    """The venue pings, and notes that a client answers."""
    async with (
        Binance(options=Options(ping_every=0.05)) as venue,
        web.ws_connect(venue.ws() + "/stream") as socket,
    ):
        receiving = asyncio.create_task(socket.receive())  # aiohttp answers pings as it reads
        await until(lambda: len(venue.hub.wires) == 1, "the connection")
        (wire,) = venue.hub.wires
        begun = wire.ponged_at
        await until(lambda: wire.ponged_at > begun, "a pong")
        receiving.cancel()


async def test_faults_of_rest(venue: Binance, web: aiohttp.ClientSession) -> None:
    """A limited call says when to come again, and the next one is served."""
    venue.fail(429, retry_after=7, path="/api/v3/time")
    status, body, headers = await ask(web, venue.http + "/api/v3/time")
    assert (status, body["code"], headers["Retry-After"]) == (429, -1003, "7")
    venue.fail(418, retry_after=120)
    assert "banned until" in (await ask(web, venue.http + "/api/v3/time"))[1]["msg"]
    assert (await ask(web, venue.http + "/api/v3/time"))[0] == 200


async def test_the_hose_counts_what_it_sends(venue: Binance, web: aiohttp.ClientSession) -> None:
    """Every book ticker of the hose arrives once, and its content can be computed."""
    streams = "btcusdt@bookTicker/ethusdt@bookTicker"
    async with web.ws_connect(f"{venue.ws()}/stream?streams={streams}") as socket:
        await until(lambda: venue.hub.readers("spot/btcusdt@bookTicker"), "the subscription")
        venue.hose(100_000, symbols=(SYMBOL, "ETHUSDT"), total=20_000)
        rows = [(await socket.receive_json())["data"] for _ in range(20_000)]
    for symbol in (SYMBOL, "ETHUSDT"):
        hose = venue.firehose.hoses[f"spot/{symbol.lower()}@bookTicker"]
        sent = [hose.row(index) for index in range(10_000)]
        assert [row for row in rows if row["s"] == symbol] == sent
    assert sum(venue.hosed.values()) == 20_000


@asynccontextmanager
async def process(*options: str) -> AsyncIterator[str]:
    """Run the venue as a process; gives its base URL."""
    command = (sys.executable, "-m", "simulators.binance", *options)
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(*command, cwd=TESTS, stdin=pipe, stdout=pipe)
    assert running.stdin is not None and running.stdout is not None  # noqa: PT018 - for mypy
    try:
        yield f"http://127.0.0.1:{int(await running.stdout.readline())}"
    finally:
        running.stdin.close()
        assert await asyncio.wait_for(running.wait(), 10) == 0


async def test_a_process_is_commanded_by_http(web: aiohttp.ClientSession) -> None:
    """The same commands go by HTTP, wrong ones are refused, and it ends with its input."""
    async with process("--made-up", "3") as base:
        socket = await web.ws_connect(base.replace("http", "ws") + "/futures/stream")
        await socket.send_json({"method": "SUBSCRIBE", "params": ["sim0002usdt@bookTicker"]})
        await socket.receive_json()
        order = {"market": FUTURES, "symbol": "SIM0002USDT", "bid": "7.01", "ask": "7.03"}
        async with web.post(f"{base}/_sim/quote", data=json.dumps(order)) as answer:
            assert answer.status == 200
        said = (await socket.receive_json())["data"]
        assert (said["b"], said["a"]) == ("7.01", "7.03")
        async with web.post(f"{base}/_sim/recorded", json={"kind": "quote"}) as answer:
            (event,) = (await answer.json())["result"]
        assert (event["row"], event["readers"], event["count"]) == (said, 1, 1)
        unlisted = {"market": SPOT, "symbol": "NONESUCH"}
        for command, body, status in (
            ("jump", {}, 404),
            ("quote", {}, 400),
            ("quote", unlisted, 400),
        ):
            async with web.post(f"{base}/_sim/{command}", json=body) as answer:
                assert answer.status == status
        state = (await ask(web, f"{base}/_sim/state"))[1]
        assert state["connections"][0]["streams"] == ["sim0002usdt@bookTicker"]
        await socket.close()


async def test_a_thousand_symbols_take_few_sockets(tmp_path: Path) -> None:
    """Nautilus loads a thousand made-up symbols, and takes one socket for each 200 streams."""
    async with Binance(options=Options(made_up=1_000)) as venue:
        job: dict[str, Any] = {
            "venue": "BINANCE",
            "config": "nautilus_trader.adapters.binance.config:BinanceDataClientConfig",
            "options": venue.client(),
        }
        program = "simulators.binance.noticing"
        async with listening(tmp_path / "log", program=program, **job) as node:
            assert len(node.instruments) == 1_005
            for number in range(450):
                node.subscribe("quotes", f"SIM{number:04d}USDT.BINANCE")
            await until(lambda: len(venue.hub.streams) == 450, "all subscriptions")
            assert (len(venue.hub.wires), venue.hub.total) == (3, 3)
