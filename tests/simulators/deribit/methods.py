"""Deribit's JSON-RPC methods for market data, the same over HTTP and over a WebSocket.

From the public documentation (docs.deribit.com, "JSON-RPC API" and "Error codes").
"""

import time
from collections.abc import Callable
from typing import Any

from simulators.deribit.instruments import Listed

Markets = dict[str, Listed]


class Refused(Exception):
    """The venue says no, with a JSON-RPC error and an HTTP status."""

    def __init__(self, code: int, message: str, status: int = 400, data: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"code": code, "message": message, "data": data}


def envelope(request: dict[str, Any], **answer: Any) -> dict[str, Any]:
    """Wrap a result or an error as the venue does, times in microseconds."""
    now = int(time.time() * 1e6)
    stamps = {"usIn": now, "usOut": now, "usDiff": 0, "testnet": False}
    return {"jsonrpc": "2.0", "id": request.get("id"), **answer, **stamps}


def too_many(request: dict[str, Any]) -> dict[str, Any]:
    """Give the answer that goes with HTTP 429."""
    return envelope(request, error=Refused(10028, "too_many_requests").error)


def called(markets: Markets, method: str, params: dict[str, Any]) -> Any:
    """Give a method's result; raises `Refused`."""
    known = METHODS.get(method)
    if known is None:
        raise Refused(-32601, "Method not found")
    try:
        return known(markets, params)
    except KeyError as missing:
        data = {"param": str(missing).strip("'"), "reason": "missing parameter"}
        raise Refused(-32602, "Invalid params", data=data) from None


def market_of(markets: Markets, params: dict[str, Any]) -> Listed:
    """Give the market that the parameters name; raises `Refused` for an unknown one."""
    market = markets.get(params["instrument_name"])
    if market is None:
        raise Refused(13020, "not_found")
    return market


def get_instruments(markets: Markets, params: dict[str, Any]) -> list[dict[str, Any]]:
    """List the instruments of a currency and, if one is given, a kind."""
    currency, kind = params["currency"], params.get("kind")
    return [
        market.described()
        for market in markets.values()
        if currency in ("any", market.base) and kind in (None, market.kind)
    ]


def get_instrument(markets: Markets, params: dict[str, Any]) -> dict[str, Any]:
    """Describe one instrument."""
    return market_of(markets, params).described()


def get_trades(markets: Markets, params: dict[str, Any]) -> dict[str, Any]:
    """Give the trades of a range of milliseconds, at most ``count`` (10 to 1,000)."""
    market = market_of(markets, params)
    found = market.between(params["start_timestamp"], params["end_timestamp"])
    count = min(int(params.get("count", 10)), 1000)
    if params.get("sorting") != "asc":
        found.reverse()
    return {"trades": [market.told(t) for t in found[:count]], "has_more": len(found) > count}


def get_chart(markets: Markets, params: dict[str, Any]) -> dict[str, Any]:
    """Give the candles of a range of milliseconds as parallel arrays."""
    market = market_of(markets, params)
    start, end = params["start_timestamp"], params["end_timestamp"]
    found = [c for c in market.candles(params["resolution"]) if start <= c.start <= end]
    sums = [market.sums(candle) for candle in found]
    return {
        "status": "ok" if found else "no_data",
        "ticks": [candle.start for candle in found],
        "open": [float(candle.open) for candle in found],
        "high": [float(candle.high) for candle in found],
        "low": [float(candle.low) for candle in found],
        "close": [float(candle.close) for candle in found],
        "volume": [volume for volume, _ in sums],
        "cost": [cost for _, cost in sums],
    }


METHODS: dict[str, Callable[[Markets, dict[str, Any]], Any]] = {
    "public/test": lambda markets, params: {"version": "1.2.26"},
    "public/get_time": lambda markets, params: int(time.time() * 1000),
    "public/get_instruments": get_instruments,
    "public/get_instrument": get_instrument,
    "public/get_combos": lambda markets, params: [],
    "public/get_last_trades_by_instrument_and_time": get_trades,
    "public/get_tradingview_chart_data": get_chart,
}
