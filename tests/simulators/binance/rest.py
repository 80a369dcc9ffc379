"""REST that spot and futures have alike; `rest_spot` and `rest_futures` add their own."""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from simulators.binance import payloads
from simulators.binance.klines import INTERVALS, klines
from simulators.binance.market import Market

if TYPE_CHECKING:
    from simulators.binance.scene import Scene

Handler = Callable[[web.Request], Awaitable[web.Response]]
MAXIMUM = 1000


class Refused(Exception):
    """A request that the venue refuses, with its own code and text."""

    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.code, self.text, self.status = code, text, status


class Rest:
    """One market's REST endpoints under a prefix such as ``/api/v3/``."""

    market: str
    prefix: str
    weight_per_minute: int
    # Request weights as documented; a callable one depends on the limit that was asked for.
    weights: dict[str, int]

    def __init__(self, venue: "Scene") -> None:
        self.venue = venue
        self._used: dict[int, int] = {}  # weight by minute

    def endpoints(self) -> dict[str, Callable[[web.Request], Any]]:
        """Give what is served, by name under the prefix."""
        return {
            "ping": lambda _: {},
            "time": lambda _: {"serverTime": self.venue.clock.now()},
            "depth": self.depth,
            "trades": self.trades,
            "historicalTrades": self.historical_trades,
            "aggTrades": self.agg_trades,
            "klines": self.klines,
            "ticker/bookTicker": self.book_ticker,
            "ticker/price": self.price,
        }

    def routes(self) -> list[web.RouteDef]:
        """Give the routes of the endpoints."""
        return [web.get(self.prefix + n, self._serve(n, e)) for n, e in self.endpoints().items()]

    def _serve(self, name: str, endpoint: Callable[[web.Request], Any]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            self.venue.requests[f"{self.market} {name}"] += 1
            used = self._use(self.weigh(name, request))
            try:
                return answer(endpoint(request), 200, used)
            except Refused as refused:
                return answer({"code": refused.code, "msg": refused.text}, refused.status, used)

        return handle

    def weigh(self, name: str, request: web.Request) -> int:
        """Give what a call weighs."""
        return self.weights.get(name, 1)

    def _use(self, weight: int) -> dict[str, str]:
        minute = self.venue.clock.now() // 60_000
        self._used = {minute: self._used.get(minute, 0) + weight}
        used = str(self._used[minute])
        return {"X-MBX-USED-WEIGHT": used, "X-MBX-USED-WEIGHT-1M": used}

    # -- what was asked

    def symbol(self, request: web.Request) -> Market:
        """Give the market that ``symbol`` names."""
        name = request.query.get("symbol")
        if not name:
            raise Refused(
                -1102,
                "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
            )
        market = self.venue.market(self.market, name)
        if market is None:
            raise Refused(-1121, "Invalid symbol.")
        return market

    @staticmethod
    def number(request: web.Request, name: str) -> int | None:
        """Give an integer parameter, or None when it was not sent."""
        text = request.query.get(name)
        if text is None:
            return None
        if not text.isdigit():
            legal = "^[0-9]{1,20}$"
            raise Refused(
                -1100,
                f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.",
            )
        return int(text)

    def limit(self, request: web.Request, usual: int, maximum: int = MAXIMUM) -> int:
        """Give how many rows are wanted."""
        return max(1, min(self.number(request, "limit") or usual, maximum))

    # -- market data

    def depth(self, request: web.Request) -> Any:
        """Serve GET depth."""
        market = self.symbol(request)
        return payloads.snapshot(market, self.limit(request, 100, 5000), self.venue.clock.now())

    def trades(self, request: web.Request) -> Any:
        """Serve GET trades: the latest."""
        market = self.symbol(request)
        rows = market.trades.all[-self.limit(request, 500) :]
        return [payloads.trade_row(market.symbol, row) for row in rows]

    def historical_trades(self, request: web.Request) -> Any:
        """Serve GET historicalTrades: from an id on, or the latest."""
        market, limit = self.symbol(request), self.limit(request, 500)
        first = self.number(request, "fromId")
        rows = market.trades.all
        rows = rows[-limit:] if first is None else rows[max(0, first - 1) :][:limit]
        return [payloads.trade_row(market.symbol, row) for row in rows]

    def agg_trades(self, request: web.Request) -> Any:
        """Serve GET aggTrades: from an id on, of a range of time, or the latest."""
        market, limit = self.symbol(request), self.limit(request, 500)
        first, start, end = (self.number(request, n) for n in ("fromId", "startTime", "endTime"))
        rows = market.trades.aggregated
        if first is not None:
            rows = rows[max(0, first - 1) :][:limit]
        else:
            rows = market.trades.aggregated_between(start or 0, 1 << 62 if end is None else end)
            rows = rows[-limit:] if start is None else rows[:limit]
        return [payloads.agg_trade_row(market.symbol, row) for row in rows]

    def klines(self, request: web.Request) -> Any:
        """Serve GET klines."""
        market, limit = self.symbol(request), self.limit(request, 500)
        interval = request.query.get("interval", "")
        if interval not in INTERVALS or (interval == "1s" and self.market != "spot"):
            raise Refused(-1120, "Invalid interval.")
        start, end = self.number(request, "startTime"), self.number(request, "endTime")
        now = self.venue.clock.now()
        rows = klines(market.trades, INTERVALS[interval], start, end, now, limit)
        return [payloads.kline_row(market.symbol, row) for row in rows]

    def book_ticker(self, request: web.Request) -> Any:
        """Serve GET ticker/bookTicker for one symbol or all that were ever asked for."""
        return self._one_or_all(request, self._book_ticker)

    def price(self, request: web.Request) -> Any:
        """Serve GET ticker/price for one symbol or all that were ever asked for."""
        return self._one_or_all(request, self._price)

    def _one_or_all(self, request: web.Request, write: Callable[[Market], Any]) -> Any:
        if "symbol" in request.query:
            return write(self.symbol(request))
        return [write(market) for market in self.venue.touched(self.market)]

    def _book_ticker(self, market: Market) -> Any:
        row = payloads.book_ticker(market, self.venue.clock.now())
        return {
            "symbol": row["s"],
            "bidPrice": row["b"],
            "bidQty": row["B"],
            "askPrice": row["a"],
            "askQty": row["A"],
        } | ({"time": row["T"]} if "T" in row else {})

    def _price(self, market: Market) -> Any:
        symbol, rows = market.symbol, market.trades.all
        ticks = rows[-1].ticks if rows else market.book.bid
        time = {} if self.market == "spot" else {"time": self.venue.clock.now()}
        return {"symbol": symbol.name, "price": symbol.price(ticks), **time}


def answer(body: Any, status: int, headers: dict[str, str]) -> web.Response:
    """Write an answer."""
    return web.Response(
        status=status, text=json.dumps(body), content_type="application/json", headers=headers
    )
