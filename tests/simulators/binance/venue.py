"""The simulated Binance: spot and USDT-M futures behind one port, in one event loop.

``async with Binance() as venue`` runs it in process; ``python -m simulators.binance`` runs it as a
process of its own, commanded by HTTP. Both have the same commands.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Self

import msgspec
from aiohttp import web

from simulators.binance import payloads
from simulators.binance.clock import Clock
from simulators.binance.faults import Failure, Failures, garbage
from simulators.binance.firehose import Firehose
from simulators.binance.hub import Hub
from simulators.binance.market import Market
from simulators.binance.pulse import Pulse
from simulators.binance.rest_futures import FuturesRest
from simulators.binance.rest_spot import SpotRest
from simulators.binance.streams import Stream
from simulators.binance.symbols import MARKETS, SPOT, Symbol, symbols
from simulators.binance.wire import BINARY, Wire, frame
from simulators.exchange import Exchange, Sent, Socket

# Live futures data come by two routes, as book data (public) and the rest (market).
ROUTES = ("/spot", "/futures", "/futures/public", "/futures/market")
SHUTDOWN_CODE = 1001  # not documented: what the venue closes with at the 24-hour mark


@dataclass(frozen=True)
class Event(Sent):
    """One event of a stream that somebody has or had, whether or not a connection got it.

    ``row`` is what was sent, ``ms`` the venue's time and ``count`` the number of the event in its
    stream, from 1.
    """

    kind: str
    market: str
    symbol: str
    ms: int
    count: int


@dataclass(frozen=True)
class Options:
    """How the venue is set up; all times in seconds.

    ``made_up`` symbols are listed beside the usual ones in each market; ``past`` is the length of
    the invented history, ``behind`` how far the venue's clock is behind the machine's, ``limits``
    whether a client that sends too many messages is cut, ``ping_every`` when to ping instead of
    what is documented.
    """

    seed: int = 7
    made_up: int = 0
    past: float = 7_200.0
    behind: float = 0.0
    limits: bool = False
    ping_every: float | None = None


class Binance(Exchange):
    """Binance on loopback: `http` and `ws` are the base URLs for a client's config."""

    sockets_at = tuple(
        route + path for route in ROUTES for path in ("/stream", "/ws", "/ws/{streams:.+}")
    )

    def __init__(self, port: int = 0, options: Options | None = None) -> None:
        super().__init__(port)
        self.options = options or Options()
        self.clock = Clock(self.options.behind)
        self.pulse = Pulse(self, self.options.ping_every)
        self.hub = Hub(self.options.limits, self.pulse.begin)
        self.firehose = Firehose(self)
        self.failures = Failures()
        self.events: list[Event] = []
        self.hosed: Counter[str] = Counter()  # book tickers of the hose that were sent, by key
        self._mute = False
        self._counts: Counter[str] = Counter()
        self._symbols: dict[str, dict[str, Symbol]] = {market: {} for market in MARKETS}
        for symbol in symbols(self.options.made_up):
            self._symbols[symbol.market][symbol.name] = symbol
        self._markets: dict[tuple[str, str], Market] = {}
        self._wires: dict[Socket, Wire] = {}
        self._beat: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._beat = asyncio.create_task(self.pulse.run())
        return self

    async def __aexit__(self, *reason: object) -> None:
        self.firehose.stop()
        if self._beat is not None:
            self._beat.cancel()
        await super().__aexit__(*reason)

    # -- what is there

    @property
    def http(self) -> str:
        """Give the base URL of REST, for both markets."""
        return f"http://127.0.0.1:{self.port}"

    def ws(self, market: str = SPOT) -> str:
        """Give the base URL of a market's streams."""
        return f"ws://127.0.0.1:{self.port}/{market}"

    def client(self, market: str = SPOT, **options: Any) -> dict[str, Any]:
        """Give the configuration of Nautilus' data client for a market, as JSON, with options."""
        return {
            "account_type": "SPOT" if market == SPOT else "USDT_FUTURES",
            "base_url_http": self.http,
            "base_url_ws": self.ws(market),
            "instrument_provider": {"load_all": True},
        } | options

    def listed(self, market: str) -> dict[str, Symbol]:
        """Give a market's symbols by name."""
        return self._symbols[market]

    def market(self, market: str, symbol: str) -> Market | None:
        """Give what happens at a symbol, its past being invented at the first call."""
        if (market, symbol) not in self._markets:
            if (listed := self._symbols[market].get(symbol)) is None:
                return None
            past = int(self.options.past * 1000)
            made = Market(listed, self.options.seed, self.clock.now(), past)
            self._markets[market, symbol] = made
        return self._markets[market, symbol]

    def touched(self, market: str) -> list[Market]:
        """Give the markets that somebody has asked for."""
        return [made for (name, _), made in self._markets.items() if name == market]

    def _market(self, market: str, symbol: str) -> Market:
        if market not in MARKETS or (made := self.market(market, symbol)) is None:
            raise ValueError(f"{market} {symbol} is not listed")
        return made

    # -- events

    def emit(self, stream: Stream, row: Any, ms: int) -> int:
        """Send and record an event of a stream; gives how many connections got it."""
        key = stream.key
        readers = 0 if self.silent else self.hub.publish(key, msgspec.json.encode(row))
        self._counts[key] += 1
        event = Event(
            key, row, readers, stream.kind, stream.market, stream.symbol, ms, self._counts[key]
        )
        self.events.append(event)
        return readers

    def _emit(self, symbol: Symbol, what: str, row: Any, ms: int) -> None:
        stream = self.hub.streams.get(f"{symbol.market}/{symbol.name.lower()}@{what}")
        if stream is not None:
            self.emit(stream, row, ms)

    def step_quote(self, market: Market) -> None:
        """Let a book change and send its new top."""
        self.pulse.changed(market.symbol, market.walk(), market.book.update)
        self._say_quote(market)

    def _say_quote(self, market: Market) -> None:
        now = self.clock.now()
        self._emit(market.symbol, "bookTicker", payloads.book_ticker(market, now), now)

    def step_trade(self, market: Market) -> None:
        """Let somebody trade at the top of the book."""
        self._say_trade(market, market.trade(self.clock.now()).first)

    def _say_trade(self, market: Market, first: int) -> None:
        symbol, now = market.symbol, self.clock.now()
        for row in market.trades.all[first - 1 :]:
            self._emit(symbol, "trade", payloads.trade(symbol, row, now), now)
        whole = market.trades.aggregated[-1]
        self._emit(symbol, "aggTrade", payloads.agg_trade(symbol, whole, now), now)

    # -- commands: events

    def quote(
        self,
        market: str,
        symbol: str,
        bid: str | None = None,
        bid_size: str = "1",
        ask: str = "",
        ask_size: str = "1",
    ) -> None:
        """Send a quote now: the one given, which becomes the top of the book, or the next one."""
        made = self._market(market, symbol)
        if bid is None:
            return self.step_quote(made)
        read, lots = made.symbol.ticks, made.symbol.lots
        changes = made.book.put(read(bid), lots(bid_size), read(ask), lots(ask_size))
        self.pulse.changed(made.symbol, changes, made.book.update)
        return self._say_quote(made)

    def trade(
        self,
        market: str,
        symbol: str,
        price: str | None = None,
        sizes: tuple[str, ...] = ("1",),
        buyer_maker: bool = False,
    ) -> None:
        """Send a trade now: one taker's order that fills in ``sizes``, or the next one."""
        made = self._market(market, symbol)
        if price is None:
            return self.step_trade(made)
        lots = [made.symbol.lots(size) for size in sizes]
        row = made.trades.take(made.symbol.ticks(price), lots, buyer_maker, self.clock.now())
        return self._say_trade(made, row.first)

    def mark(self, symbol: str, mark: str, index: str, funding_rate: str | None = None) -> None:
        """Set a futures symbol's mark and index price and funding rate, and send them now."""
        self._market("futures", symbol).set_mark(mark, index, funding_rate)
        for stream in self.hub.timed:
            if stream.kind == "mark" and stream.symbol == symbol:
                self.pulse.say_mark(stream)

    def advance(self, seconds: float) -> int:
        """Move the venue's clock forward and send what is due; gives its Unix milliseconds."""
        now = self.clock.advance(seconds)
        self.pulse.beat()
        return now

    def run(
        self,
        quotes_per_s: float = 0.0,
        trades_per_s: float = 0.0,
        market: str = SPOT,
        symbols: tuple[str, ...] = ("BTCUSDT",),
    ) -> None:
        """Make events at a rate, over the symbols in turn, until `stop`."""
        made = [self._market(market, symbol) for symbol in symbols]
        self.firehose.run(made, quotes_per_s, trades_per_s)

    def hose(
        self,
        quotes_per_s: float,
        market: str = SPOT,
        symbols: tuple[str, ...] = ("BTCUSDT",),
        stamp: bool = False,
        total: int | None = None,
    ) -> None:
        """Send book tickers alone at a high rate, unrecorded; see `firehose.Hose`."""
        made = [self._market(market, symbol) for symbol in symbols]
        self.firehose.hose(made, quotes_per_s, stamp, total)

    def stop(self) -> None:
        """Stop what `run` and `hose` began."""
        self.firehose.stop()

    # -- commands: faults

    @property
    def silent(self) -> bool:
        """Tell whether nothing is sent, over sockets that stay open."""
        return self._silent or self._mute

    def drop(self, code: int | None = None, abruptly: bool = False, number: int = 0) -> int:
        """End every connection, or the one of a number; gives how many. See `Wire.end`."""
        wires = [wire for wire in self.hub.wires if number in (0, wire.number)]
        for wire in wires:
            self._end(wire, code, abruptly)
        return len(wires)

    def _end(self, wire: Wire, code: int | None, abruptly: bool = False) -> None:
        wire.end(code, abruptly)
        self.hub.leave(wire)

    def shut_down(self) -> int:
        """End every connection as at the 24-hour mark: spot says serverShutdown before."""
        row = {"e": "serverShutdown", "E": self.clock.now()}
        for wire in self.hub.wires:
            if wire.market == SPOT:
                body = {"stream": "!serverShutdown", "data": row} if wire.combined else row
                wire.write(frame(msgspec.json.encode(body)))
        return self.drop(SHUTDOWN_CODE)

    def refuse(self, on: bool = True, seconds: float | None = None) -> None:
        """Cut every new connection, REST and WebSocket, until told otherwise or for a time."""
        super().refuse(on)
        if on and seconds is not None:
            asyncio.get_running_loop().call_later(seconds, super().refuse, False)

    def silence(self, on: bool = True, seconds: float | None = None) -> None:
        """Say nothing more over the open sockets, not even pongs, nor answer REST."""
        super().silence(on)
        if on and seconds is not None:
            asyncio.get_running_loop().call_later(seconds, super().silence, False)

    def mute(self, on: bool = True) -> None:
        """Say nothing more over the open sockets but pongs, as when a venue hangs behind a proxy.

        REST goes on; pings are not sent.
        """
        self._mute = on

    async def garbage(self, *texts: str, kind: str = "", symbol: str = "BTCUSDT") -> None:
        """Send texts, or garbage of a kind, or bytes when neither is given, to all sockets."""
        data = [frame(text.encode()) for text in texts]
        data += [frame(garbage(kind, symbol).encode())] if kind else []
        for wire in self.hub.wires:
            wire.write(b"".join(data or [frame(b"\x00\xff\xfe", BINARY), frame(b"\xff\xfe")]))

    def limit(self, times: int = 1) -> None:
        """Answer the next REST calls with HTTP 429."""
        self.fail(429, times)

    def fail(
        self,
        status: int,
        times: int = 1,
        path: str = "/",
        retry_after: int = 1,
        body: str | None = None,
    ) -> None:
        """Answer the next REST calls under a path with a status; with 200 and a body: garbage."""
        self.failures.add(Failure(status, times, path, retry_after, body))

    def delay(self, seconds: float) -> None:
        """Answer each REST call that much later."""
        self.failures.delay(seconds)

    def heal(self) -> None:
        """Take every fault off."""
        self.failures.clear()
        self._mute = False
        super().refuse(False)
        super().silence(False)

    # -- commands: questions

    def recorded(
        self, kind: str = "", market: str = "", symbol: str = "", after: int = 0
    ) -> list[dict[str, Any]]:
        """Give recorded events as objects, from a place in the record on."""
        wanted = (
            event
            for event in self.events[after:]
            if kind in ("", event.kind)
            and market in ("", event.market)
            and symbol in ("", event.symbol)
        )
        return [asdict(event) for event in wanted]

    def state(self) -> dict[str, Any]:
        """Give the counters, the connections and what they have subscribed."""
        return super().state() | {
            "peak": self.hub.peak,
            "total": self.hub.total,
            "subscribes": self.hub.subscribes,
            "events": len(self.events),
            "hosed": dict(self.hosed),
            "now": self.clock.now(),
            "connections": [
                {
                    "number": wire.number,
                    "market": wire.market,
                    "path": wire.socket.path,
                    "streams": sorted(self.hub.name(key) for key in wire.socket.channels),
                    "behind": wire.behind,
                }
                for wire in self.hub.wires
            ],
        }

    def commands(self) -> dict[str, Callable[..., Any]]:
        """Give what can be commanded by HTTP."""
        own = (
            self.quote, self.trade, self.mark, self.advance, self.run, self.hose, self.stop,
            self.shut_down, self.mute, self.fail, self.delay, self.heal, self.recorded,
        )  # fmt: skip
        return super().commands() | {command.__name__: command for command in own}

    # -- the protocol

    def routes(self) -> list[web.RouteDef]:
        """Give both markets' REST."""
        return [*SpotRest(self).routes(), *FuturesRest(self).routes()]

    def limited(self) -> web.Response:
        """Give nothing: `fail` says what a limited call gets."""
        raise NotImplementedError

    async def intercept(self, request: web.Request) -> web.Response | None:
        """Let REST calls fail or be late."""
        if "Upgrade" in request.headers:
            return None
        return await self.failures.answer(request.path, self.clock.now())

    async def greet(self, socket: Socket) -> None:
        """Subscribe a new socket to the streams of its address."""
        query, parts = socket.request.query, socket.request.match_info
        names = query.get("streams") or parts.get("streams") or ""
        market = socket.path.split("/")[1]
        combined = socket.path.endswith("/stream")
        wire = Wire(socket, market, combined, self.hub.total + 1)
        self._wires[socket] = wire
        self.hub.join(wire, [name for name in names.split("/") if name])

    def left(self, socket: Socket) -> None:
        """Forget a socket."""
        self.hub.leave(self._wires.pop(socket))

    def ponged(self, socket: Socket) -> None:
        """Note that the client is there."""
        self._wires[socket].ponged_at = asyncio.get_running_loop().time()

    async def receive(self, socket: Socket, text: str) -> None:
        """Answer a client's message, or cut the client when it sends too many."""
        wire = self._wires[socket]
        answer = self.hub.answer(wire, text)
        if answer is None:
            self._end(wire, 1008)
        elif not self.silent:
            wire.write(frame(answer.encode()))
