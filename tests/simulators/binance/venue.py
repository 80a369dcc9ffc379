"""The simulated Binance: spot and USDT-M futures behind one port, in one event loop.

``async with Binance() as venue`` runs it in process; ``python -m simulators.binance`` runs it as a
process of its own, commanded by HTTP. Both have the same commands.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import msgspec
from aiohttp import web

from simulators.binance.accounts import Accounts
from simulators.binance.faults import Failure, Failures, garbage
from simulators.binance.market import Market
from simulators.binance.rest_account import AccountRest
from simulators.binance.rest_futures import FuturesRest
from simulators.binance.rest_spot import SpotRest
from simulators.binance.scene import Event, Options, Scene
from simulators.binance.symbols import FUTURES, MARKETS, SPOT
from simulators.binance.users import PATHS, Users
from simulators.binance.wire import BINARY, Wire, frame
from simulators.exchange import Socket

__all__ = ["Binance", "Event", "Options"]

# Live futures data come by two routes, as book data (public) and the rest (market).
ROUTES = ("/spot", "/futures", "/futures/public", "/futures/market")
SHUTDOWN_CODE = 1001  # not documented: what the venue closes with at the 24-hour mark


class Binance(Scene):
    """Binance on loopback: `http` and `ws` are the base URLs for a client's config."""

    sockets_at = (
        *(route + path for route in ROUTES for path in ("/stream", "/ws", "/ws/{streams:.+}")),
        *PATHS,
    )

    def __init__(self, port: int = 0, options: Options | None = None) -> None:
        super().__init__(port, options)
        self.failures = Failures()
        self.users = Users(self)
        self.accounts = Accounts(self, self.users.tell)
        self.account_rest = {market: AccountRest(self, market) for market in MARKETS}
        self._wires: dict[Socket, Wire] = {}

    def orders_client(self, market: str = SPOT, **options: Any) -> dict[str, Any]:
        """Give the configuration of Nautilus' execution client for a market, as JSON."""
        futures = {"base_url_ws_stream": f"ws://127.0.0.1:{self.port}/user"}
        return {
            "account_type": "SPOT" if market == SPOT else "USDT_FUTURES",
            "base_url_http": self.http,
            "base_url_ws": f"ws://127.0.0.1:{self.port}/ws-api",
            **(futures if market == FUTURES else {}),
        } | options

    def _say_quote(self, market: Market) -> None:
        super()._say_quote(market)
        self.accounts.match(market.symbol.market, market.symbol.name)

    def advance(self, seconds: float) -> int:
        """Move the clock as `Scene.advance`, and end orders that are past their time."""
        now = super().advance(seconds)
        for account in self.accounts.of.values():
            for symbol in {order.symbol for order in account.open_orders()}:
                self.accounts.match(account.market, symbol)
        return now

    # -- commands: faults

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
        public = [*SpotRest(self).routes(), *FuturesRest(self).routes()]
        return public + [route for rest in self.account_rest.values() for route in rest.routes()]

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
        if socket.path in PATHS:
            self.users.join(socket)
            return
        query, parts = socket.request.query, socket.request.match_info
        names = query.get("streams") or parts.get("streams") or ""
        market = socket.path.split("/")[1]
        combined = socket.path.endswith("/stream")
        wire = Wire(socket, market, combined, self.hub.total + 1)
        self._wires[socket] = wire
        self.hub.join(wire, [name for name in names.split("/") if name])

    def left(self, socket: Socket) -> None:
        """Forget a socket."""
        if socket.path in PATHS:
            self.users.leave(socket)
        else:
            self.hub.leave(self._wires.pop(socket))

    def ponged(self, socket: Socket) -> None:
        """Note that the client is there."""
        if socket.path not in PATHS:
            self._wires[socket].ponged_at = asyncio.get_running_loop().time()

    async def receive(self, socket: Socket, text: str) -> None:
        """Answer a client's message, or cut the client when it sends too many."""
        if socket.path in PATHS:
            await self.send(socket, self.users.receive(socket, text))
            return
        wire = self._wires[socket]
        answer = self.hub.answer(wire, text)
        if answer is None:
            self._end(wire, 1008)
        elif not self.silent:
            wire.write(frame(answer.encode()))
