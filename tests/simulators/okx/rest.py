"""OKX's REST for market data: GET under ``/api/v5``, answers in ``{code, msg, data}``.

From the public documentation (www.okx.com/docs-v5), "Public Data" and "Market Data".
"""

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from simulators.okx.instruments import Listed

Markets = dict[str, Listed]
Answer = list[Any]


class Refused(Exception):
    """The venue says no; its errors come with HTTP 200 but for the rate limit."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def answered(call: Callable[[], Answer]) -> web.Response:
    """Give a call's data, or its refusal, as the venue words it."""
    try:
        return web.json_response({"code": "0", "msg": "", "data": call()})
    except Refused as refused:
        return web.json_response({"code": refused.code, "msg": str(refused), "data": []})


def limited() -> web.Response:
    """Give HTTP 429 with the venue's error 50011."""
    body = {"code": "50011", "msg": "Too Many Requests", "data": []}
    return web.json_response(body, status=429)


def market_of(markets: Markets, query: Mapping[str, str]) -> Listed:
    """Give the market that a query names; raises `Refused`."""
    if "instId" not in query:
        raise Refused("50014", "Parameter instId can not be empty.")
    if query["instId"] not in markets:
        raise Refused("51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.")
    return markets[query["instId"]]


def instruments(markets: Markets, query: Mapping[str, str]) -> Answer:
    """List the instruments of a type, or the one that is named."""
    if "instId" in query:
        return [market_of(markets, query).described()]
    kind = query.get("instType")
    return [market.described() for market in markets.values() if market.kind == kind]


def history_trades(markets: Markets, query: Mapping[str, str]) -> Answer:
    """Give at most 100 trades, newest first; ``after`` an id or a time means older than it."""
    market = market_of(markets, query)
    trades = market.trades
    if after := query.get("after"):
        by_time = query.get("type") == "2"
        trades = [t for t in trades if (t.ts if by_time else t.number) < int(after)]
    return [market.told(trade) for trade in trades[: -page(query, 100) - 1 : -1]]


def candlesticks(markets: Markets, query: Mapping[str, str]) -> Answer:
    """Give candles, newest first; ``after`` is older than, ``before`` newer than a start."""
    market = market_of(markets, query)
    found = market.candles(query.get("bar", "1m"))
    newest = found[-1]
    older, newer = int(query.get("after", 1 << 62)), int(query.get("before", 0))
    found = [candle for candle in found if newer < candle.start < older]
    shown = found[: -page(query, 300) - 1 : -1]
    return [market.told_candle(candle, candle is not newest) for candle in shown]


def page(query: Mapping[str, str], most: int) -> int:
    """Give how many rows a page may have."""
    return min(int(query.get("limit", 100)), most)


PATHS: dict[str, Callable[[Markets, Mapping[str, str]], Answer]] = {
    "/api/v5/public/instruments": instruments,
    "/api/v5/market/history-trades": history_trades,
    "/api/v5/market/candles": candlesticks,
    "/api/v5/market/history-candles": candlesticks,
}
