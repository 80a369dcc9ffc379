"""REST that USDT-M futures alone have: exchangeInfo as it is there, mark prices and funding."""

from typing import Any

from aiohttp import web

from simulators.binance import payloads
from simulators.binance.market import FUNDING_EVERY_MS
from simulators.binance.rest import Refused, Rest
from simulators.binance.rest_spot import rate_limit
from simulators.binance.symbols import FUTURES, Symbol, decimal

DEPTHS = (5, 10, 20, 50, 100, 500, 1000)
NEVER_DELIVERED = 4_133_404_800_000  # what the venue says of perpetuals
LISTED = 1_569_398_400_000


class FuturesRest(Rest):
    """GET /fapi/v1/…"""

    market = FUTURES
    prefix = "/fapi/v1/"
    weight_per_minute = 2_400
    weights = {  # noqa: RUF012 - never changed
        "trades": 5,
        "historicalTrades": 20,
        "aggTrades": 20,
        "klines": 5,
        "ticker/bookTicker": 2,
    }

    def endpoints(self) -> dict[str, Any]:
        """Add what spot has not."""
        return super().endpoints() | {
            "exchangeInfo": self.exchange_info,
            "premiumIndex": self.premium_index,
            "fundingRate": self.funding_rate,
        }

    def weigh(self, name: str, request: web.Request) -> int:
        """Weigh depth by its limit."""
        if name != "depth":
            return super().weigh(name, request)
        limit = request.query.get("limit", "500")
        wanted = int(limit) if limit.isdigit() else 500
        return next((w for most, w in ((50, 2), (100, 5), (500, 10)) if wanted <= most), 20)

    def depth(self, request: web.Request) -> Any:
        """Serve GET depth, which takes certain limits alone."""
        wanted = self.number(request, "limit")
        if wanted is not None and wanted not in DEPTHS:
            raise Refused(-4021, f"Invalid depth limit: {wanted}.")
        market = self.symbol(request)
        return payloads.snapshot(market, wanted or 500, self.venue.clock.now())

    def historical_trades(self, request: web.Request) -> Any:
        """Serve GET historicalTrades, for which futures want an API key."""
        if "X-MBX-APIKEY" not in request.headers:
            raise Refused(-2014, "API-key format invalid.", 401)
        return super().historical_trades(request)

    def premium_index(self, request: web.Request) -> Any:
        """Serve GET premiumIndex."""
        return self._one_or_all(
            request, lambda market: payloads.premium_index(market, self.venue.clock.now())
        )

    def funding_rate(self, request: web.Request) -> Any:
        """Serve GET fundingRate: the rate of today for each past funding time."""
        market, now = self.symbol(request), self.venue.clock.now()
        end = min(now, self.number(request, "endTime") or now)
        limit = self.limit(request, 100)
        latest = end - end % FUNDING_EVERY_MS
        earliest = max(self.number(request, "startTime") or 0, latest - limit * FUNDING_EVERY_MS)
        first = earliest + -earliest % FUNDING_EVERY_MS
        return [
            {
                "symbol": market.symbol.name,
                "fundingTime": ms,
                "fundingRate": payloads.rate(market),
                "markPrice": market.mark()[0],
            }
            for ms in range(first, latest + 1, FUNDING_EVERY_MS)
        ][:limit]

    def exchange_info(self, _: web.Request) -> Any:
        """Serve GET exchangeInfo, which takes no parameter."""
        return {
            "timezone": "UTC",
            "serverTime": self.venue.clock.now(),
            "futuresType": "U_MARGINED",
            "rateLimits": [
                rate_limit("REQUEST_WEIGHT", "MINUTE", 1, self.weight_per_minute),
                rate_limit("ORDERS", "MINUTE", 1, 1_200),
            ],
            "exchangeFilters": [],
            "assets": [
                {"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"},
            ],
            "symbols": [_symbol(symbol) for symbol in self.venue.listed(FUTURES).values()],
        }


def _symbol(symbol: Symbol) -> dict[str, Any]:
    tick, lot = decimal(symbol.tick, symbol.places), decimal(symbol.lot, symbol.size_places)
    lots = {"minQty": lot, "stepSize": lot}
    return {
        "symbol": symbol.name,
        "pair": symbol.name,
        "contractType": "PERPETUAL",
        "deliveryDate": NEVER_DELIVERED,
        "onboardDate": LISTED,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": symbol.base,
        "quoteAsset": symbol.quote,
        "marginAsset": symbol.quote,
        "pricePrecision": symbol.places,
        "quantityPrecision": symbol.size_places,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": ["PoW"],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": tick,
                "maxPrice": "4529764",
                "tickSize": tick,
            },
            {"filterType": "LOT_SIZE", **lots, "maxQty": "1000"},
            {"filterType": "MARKET_LOT_SIZE", **lots, "maxQty": "120"},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": "1.0500",
                "multiplierDown": "0.9500",
                "multiplierDecimal": "4",
            },
        ],
        "orderTypes": [
            "LIMIT",
            "MARKET",
            "STOP",
            "STOP_MARKET",
            "TAKE_PROFIT",
            "TAKE_PROFIT_MARKET",
            "TRAILING_STOP_MARKET",
        ],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
    }
