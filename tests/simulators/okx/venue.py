"""A simulated OKX: REST, a public and a business WebSocket, and what happens there."""

import json
import random
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

from aiohttp import web

from simulators.exchange import Socket
from simulators.market import Quote, Trade
from simulators.okx.instruments import WIDTHS, Listed, listed, width
from simulators.okx.rest import PATHS, answered, limited
from simulators.playing import Playing

PUBLIC, BUSINESS = "/ws/v5/public", "/ws/v5/business"
PLAIN = ("bbo-tbt", "trades", "mark-price", "index-tickers", "funding-rate", "instruments")


def now_ms() -> int:
    """Give the time in Unix milliseconds."""
    return int(time.time() * 1000)


class OKX(Playing):
    """OKX's market data on loopback; nothing is sent until a test or `play` says so.

    A channel is named ``<channel>:<instrument>``. Numbers may be given as text, as HTTP commands
    do; ``ts`` is in Unix milliseconds.
    """

    sockets_at = (PUBLIC, BUSINESS)

    def __init__(self, port: int = 0, *, minutes: int = 120) -> None:
        super().__init__(port)
        self.markets = listed()
        for market in self.markets.values():
            market.fill(minutes, per_minute=6)

    @property
    def listed(self) -> Mapping[str, Listed]:
        """Give the markets by name."""
        return self.markets

    @staticmethod
    def parts(channel: str) -> list[str]:
        """Split a channel's name."""
        return channel.split(":")

    @property
    def options(self) -> dict[str, Any]:
        """Give the data client's configuration for this venue, as JSON.

        The client logs in to the business socket, and any key will do.
        """
        return {
            **dict.fromkeys(("api_key", "api_secret", "api_passphrase"), "simulated"),
            "base_url_http": f"http://127.0.0.1:{self.port}",
            "base_url_ws": f"ws://127.0.0.1:{self.port}{PUBLIC}",
            "instrument_types": ["SPOT", "SWAP"],
            "instrument_provider": {"load_all": True},
        }

    # -- REST

    def routes(self) -> list[web.RouteDef]:
        """Give what there is of REST."""
        return [web.get(path, partial(self._call, path)) for path in PATHS]

    def limited(self) -> web.Response:
        """Give HTTP 429 as the venue words it."""
        return limited()

    async def _call(self, path: str, request: web.Request) -> web.Response:
        self.requests[path] += 1
        return answered(lambda: PATHS[path](self.markets, request.query))

    # -- WebSocket

    async def receive(self, socket: Socket, text: str) -> None:
        """Answer one message: each argument of a subscription on its own."""
        if text == "ping":
            self.requests["ping"] += 1
            if not self._silent:
                await socket.ws.send_str("pong")
            return
        message = json.loads(text)
        operation = message["op"]
        self.requests[operation] += 1
        if operation == "login":
            granted = {"event": "login", "code": "0", "msg": "", "connId": _connection(socket)}
            return await self.send(socket, granted)
        for argument in message["args"]:
            await self.send(socket, self._answer(socket, operation, argument))

    def _answer(self, socket: Socket, operation: str, argument: dict[str, str]) -> dict[str, Any]:
        name = argument["channel"]
        target = argument.get("instId") or argument.get("instType", "")
        channel, connection = f"{name}:{target}", {"connId": _connection(socket)}
        if operation not in ("subscribe", "unsubscribe"):
            return {"event": "error", "code": "60012", "msg": "Invalid request", **connection}
        if operation == "subscribe" and not self._exists(socket, name, target):
            told = f"Wrong URL or channel:{name},instId:{target} doesn't exist. Please use the"
            told += " correct URL, channel and parameters referring to API document."
            return {"event": "error", "code": "60018", "msg": told, **connection}
        if operation == "subscribe":
            socket.channels.add(channel)
            self.subscribed[channel] += 1
        else:
            socket.channels.discard(channel)
        return {"event": operation, "arg": argument, **connection}

    def _exists(self, socket: Socket, name: str, target: str) -> bool:
        if name == "instruments":
            return socket.path == PUBLIC and target in ("SPOT", "SWAP", "FUTURES", "OPTION")
        if name == "index-tickers":  # an index is named by the pair, as spot is
            return socket.path == PUBLIC and target in self.markets
        if name.startswith("candle"):
            known = name[-1] in WIDTHS and name[6:-1].isdigit()
            return socket.path == BUSINESS and known and target in self.markets
        return socket.path == PUBLIC and name in PLAIN and target in self.markets

    async def notify(self, name: str, symbol: str, data: Any, row: dict[str, Any]) -> None:
        """Publish an event on a channel of an instrument."""
        message = {"arg": {"channel": name, "instId": symbol}, "data": [data]}
        await self.publish(f"{name}:{symbol}", message, row)

    # -- events

    def commands(self) -> dict[str, Callable[..., Any]]:
        """Add the venue's own events."""
        events = (self.mark, self.index, self.funding)
        return {**super().commands(), **{event.__name__: event for event in events}}

    async def quote(self, symbol: str, ts: int | None = None, **given: Any) -> Quote:
        """Publish a quote, invented but for ``bid``, ``ask``, ``bid_size`` and ``ask_size``."""
        made = self.markets[symbol].quote(random.Random(), ts or now_ms())
        quote = Quote(**{**vars(made), **{name: Decimal(v) for name, v in given.items()}})
        data = {
            "bids": [[str(quote.bid), str(quote.bid_size), "0", "3"]],
            "asks": [[str(quote.ask), str(quote.ask_size), "0", "2"]],
            "ts": str(quote.ts),
            "seqId": len(self.sent) + 1,
        }
        row = {name: str(value) for name, value in vars(quote).items()}
        await self.notify("bbo-tbt", symbol, data, row)
        return quote

    async def trade(
        self, symbol: str, price: Any = None, size: Any = None, buy: bool = True, ts: int = 0
    ) -> Trade:
        """Trade, and publish the trade and the candles that it changes."""
        market = self.markets[symbol]
        if price is None:
            trade = market.walk(random.Random(), ts or now_ms())
        else:
            trade = market.trade(Decimal(price), Decimal(size), buy, ts or now_ms())
        row = {name: str(value) for name, value in vars(trade).items()}
        await self.notify("trades", symbol, {**market.told(trade), "count": "1"}, row)
        channels = {channel for socket in self.sockets for channel in socket.channels}
        for name in sorted(c.partition(":")[0] for c in channels if c.endswith(f":{symbol}")):
            if name.startswith("candle"):
                await self._candles(market, name)
        return trade

    async def _candles(self, market: Listed, name: str) -> None:
        """Publish the open candle; when it has just opened, first the one that it closed."""
        newest = market.latest(width(name.removeprefix("candle")))[-2:]
        opened = market.trades[-2].ts < newest[-1].start
        for candle in newest if opened else newest[-1:]:
            closed = candle is not newest[-1]
            row = {key: str(value) for key, value in vars(candle).items()}
            told = market.told_candle(candle, closed)
            await self.notify(name, market.symbol, told, {**row, "closed": closed})

    async def mark(self, symbol: str, price: Any, ts: int | None = None) -> None:
        """Publish a mark price."""
        at = str(ts or now_ms())
        data = {"instType": "SWAP", "instId": symbol, "markPx": str(price), "ts": at}
        await self.notify("mark-price", symbol, data, {"value": str(price), "ts": at})

    async def index(self, pair: str, price: Any, ts: int | None = None) -> None:
        """Publish the price of an index, named by its pair."""
        at = str(ts or now_ms())
        past = dict.fromkeys(("high24h", "low24h", "open24h", "sodUtc0", "sodUtc8"), str(price))
        data = {"instId": pair, "idxPx": str(price), **past, "ts": at}
        await self.notify("index-tickers", pair, data, {"value": str(price), "ts": at})

    async def funding(self, symbol: str, rate: Any, ts: int | None = None) -> None:
        """Publish a swap's funding rate, due within eight hours."""
        at = ts or now_ms()
        due, width = at - at % 28_800_000 + 28_800_000, 28_800_000
        data = {
            "instType": "SWAP",
            "instId": symbol,
            "fundingRate": str(rate),
            "nextFundingRate": "",
            "fundingTime": str(due),
            "nextFundingTime": str(due + width),
            "ts": str(at),
        }
        await self.notify("funding-rate", symbol, data, {"rate": str(rate), "ts": str(at)})


def _connection(socket: Socket) -> str:
    """Name a connection as the venue does."""
    return f"{id(socket):x}"[-8:]
