"""REST that spot alone has: exchangeInfo as it is there."""

import json
from typing import Any

from aiohttp import web

from simulators.binance.rest import Refused, Rest
from simulators.binance.symbols import SPOT, Symbol, decimal


class SpotRest(Rest):
    """GET /api/v3/…"""

    market = SPOT
    prefix = "/api/v3/"
    weight_per_minute = 6_000
    weights = {  # noqa: RUF012 - never changed
        "exchangeInfo": 20,
        "trades": 25,
        "historicalTrades": 25,
        "aggTrades": 4,
        "klines": 2,
        "ticker/bookTicker": 2,
        "ticker/price": 2,
    }

    def endpoints(self) -> dict[str, Any]:
        """Add exchangeInfo."""
        return super().endpoints() | {"exchangeInfo": self.exchange_info}

    def weigh(self, name: str, request: web.Request) -> int:
        """Weigh depth by its limit."""
        if name != "depth":
            return super().weigh(name, request)
        limit = request.query.get("limit", "100")
        wanted = int(limit) if limit.isdigit() else 100
        return next((w for most, w in ((100, 5), (500, 25), (1000, 50)) if wanted <= most), 250)

    def exchange_info(self, request: web.Request) -> Any:
        """Serve GET exchangeInfo; one unknown symbol refuses the whole call, as documented."""
        listed = self.venue.listed(SPOT)
        wanted = self._wanted(request)
        if any(name not in listed for name in wanted):
            raise Refused(-1121, "Invalid symbol.")
        names = wanted or list(listed)
        return {
            "timezone": "UTC",
            "serverTime": self.venue.clock.now(),
            "rateLimits": [
                rate_limit("REQUEST_WEIGHT", "MINUTE", 1, self.weight_per_minute),
                rate_limit("ORDERS", "SECOND", 10, 100),
                rate_limit("ORDERS", "DAY", 1, 200_000),
                rate_limit("RAW_REQUESTS", "MINUTE", 5, 61_000),
            ],
            "exchangeFilters": [],
            "symbols": [_symbol(listed[name]) for name in names],
        }

    @staticmethod
    def _wanted(request: web.Request) -> list[str]:
        if "symbol" in request.query:
            return [request.query["symbol"]]
        try:
            names = json.loads(request.query.get("symbols", "[]"))
        except ValueError:
            raise Refused(-1100, "Illegal characters found in parameter 'symbols'.") from None
        return [str(name) for name in names]


def rate_limit(kind: str, interval: str, number: int, limit: int) -> dict[str, Any]:
    """Write one rate limit of exchangeInfo."""
    return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}


def _symbol(symbol: Symbol) -> dict[str, Any]:
    tick, lot = decimal(symbol.tick, symbol.places), decimal(symbol.lot, symbol.size_places)
    return {
        "symbol": symbol.name,
        "status": "TRADING",
        "baseAsset": symbol.base,
        "baseAssetPrecision": 8,
        "quoteAsset": symbol.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": [
            "LIMIT",
            "LIMIT_MAKER",
            "MARKET",
            "STOP_LOSS",
            "STOP_LOSS_LIMIT",
            "TAKE_PROFIT",
            "TAKE_PROFIT_LIMIT",
        ],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": tick,
                "maxPrice": decimal(10**14, 8),
                "tickSize": tick,
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": lot,
                "maxQty": decimal(9 * 10**11, 8),
                "stepSize": lot,
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": "5.00000000",
                "applyMinToMarket": True,
                "maxNotional": "9000000.00000000",
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }
