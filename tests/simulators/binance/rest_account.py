"""Signed REST of both markets: accounts and orders."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from aiohttp import web

from simulators.binance.accounts import MAKER, TAKER, Account, Position, check_signature
from simulators.binance.matching import Fill, Order
from simulators.binance.rest import Handler, Refused, answer
from simulators.binance.symbols import FUTURES, SPOT
from simulators.binance.user_data import text

if TYPE_CHECKING:
    from simulators.binance.venue import Binance

type Endpoint = Callable[[Account, web.Request], Any]


class AccountRest:
    """Accounts and orders of one market."""

    def __init__(self, venue: "Binance", market: str) -> None:
        self.venue = venue
        self.market = market

    def routes(self) -> list[web.RouteDef]:
        """Give the routes; what is not signed is that of listen keys."""
        return [
            web.route(method, path, self._serve(method, path, endpoint))
            for (method, path), endpoint in self._endpoints().items()
        ]

    def _endpoints(self) -> dict[tuple[str, str], Endpoint]:
        first = "/api/v3/" if self.market == SPOT else "/fapi/v1/"
        both: dict[tuple[str, str], Endpoint] = {
            ("POST", first + "order"): self.new_order,
            ("GET", first + "order"): lambda a, r: order_row(self._order(a, r), self.market),
            ("DELETE", first + "order"): self.cancel,
            ("GET", first + "openOrders"): lambda a, r: self._rows(a.open_orders(), r),
            ("GET", first + "allOrders"): lambda a, r: self._rows(list(a.orders.values()), r),
        }
        if self.market == SPOT:
            return both | {
                ("GET", "/api/v3/account"): self.spot_account,
                ("GET", "/sapi/v1/asset/tradeFee"): self.fees,
                ("GET", "/api/v3/myTrades"): self.trades,
                ("DELETE", "/api/v3/openOrders"): self.cancel_all,
            }
        return both | {
            ("PUT", "/fapi/v1/order"): self.amend,
            ("GET", "/fapi/v1/userTrades"): self.trades,
            ("DELETE", "/fapi/v1/allOpenOrders"): self.cancel_all,
            ("GET", "/fapi/v2/account"): self.futures_account,
            ("GET", "/fapi/v3/positionRisk"): self.position_risk,
            ("GET", "/fapi/v1/symbolConfig"): self.symbol_config,
            ("GET", "/fapi/v1/positionSide/dual"): lambda a, r: {"dualSidePosition": False},
            ("GET", "/fapi/v1/openAlgoOrders"): lambda a, r: [],
            ("GET", "/fapi/v1/allAlgoOrders"): lambda a, r: [],
            ("GET", "/fapi/v1/algoOrder"): self.no_algo_order,
            ("DELETE", "/fapi/v1/algoOpenOrders"): lambda a, r: {"code": "200", "msg": "done"},
            ("POST", "/fapi/v1/listenKey"): lambda a, r: {"listenKey": self.venue.users.new_key()},
            ("PUT", "/fapi/v1/listenKey"): lambda a, r: {},
            ("DELETE", "/fapi/v1/listenKey"): lambda a, r: {},
        }

    def _serve(self, method: str, path: str, endpoint: Endpoint) -> Handler:
        name = path.rpartition("/")[2]

        async def handle(request: web.Request) -> web.Response:
            self.venue.requests[f"{self.market} {method} {name}"] += 1
            account = self.venue.accounts.of[self.market]
            try:
                if name != "listenKey":
                    check_signature(request.query_string, request.headers.get("X-MBX-APIKEY"))
                body = endpoint(account, request)
            except Refused as refused:
                return answer({"code": refused.code, "msg": refused.text}, refused.status, {})
            if method != "GET" and self.venue.users.lose_answer() and request.transport:
                request.transport.abort()  # it was done, and nobody is told
            if method != "GET" and self.venue.users.muddle_answer():
                text = "An unexpected response was received from the message bus. Execution"
                body = {"code": -1006, "msg": f"{text} status unknown."}
                return answer(body, 400, {})
            return answer(body, 200, {})

        return handle

    # -- orders

    def new_order(self, account: Account, request: web.Request) -> Any:
        """Serve POST order."""
        query, now = request.query, self.venue.clock.now()
        client_id = query.get("newClientOrderId") or f"auto-{account.next_id}"
        account.received.append(("POST", client_id))
        kind = query["type"]
        tif = query.get("timeInForce") or "GTC"
        order = Order(
            id=account.number(),
            symbol=query["symbol"],
            client_id=client_id,
            side=query["side"],
            type=kind,
            tif=tif,
            qty=_decimal(query, "quantity"),
            price=_decimal(query, "price"),
            ms=now,
            reduce_only=query.get("reduceOnly", "").lower() == "true",
            good_till=int(query.get("goodTillDate", 0)),
        )
        if kind not in ("MARKET", "LIMIT", "LIMIT_MAKER"):
            raise Refused(-1116, "Invalid orderType.")
        self._check_filters(order)
        return order_row(self.venue.accounts.submit(self.market, order), self.market)

    def _check_filters(self, order: Order) -> None:
        symbol = self.venue.listed(self.market).get(order.symbol)
        if symbol is None:
            raise Refused(-1121, "Invalid symbol.")
        try:
            symbol.lots(text(order.qty))
            if order.price:
                symbol.ticks(text(order.price))
        except ValueError:
            raise Refused(-1111, "Precision is over the maximum defined for this asset.") from None
        if order.qty <= 0:
            raise Refused(-4003, "Quantity less than or equal to zero.")

    def amend(self, account: Account, request: web.Request) -> Any:
        """Serve PUT order, which futures alone have."""
        order = self._order(account, request)
        account.received.append(("PUT", order.client_id))
        qty, price = _decimal(request.query, "quantity"), _decimal(request.query, "price")
        return order_row(self.venue.accounts.amend(account, order, qty, price), self.market)

    def cancel(self, account: Account, request: web.Request) -> Any:
        """Serve DELETE order."""
        try:
            order = self._order(account, request)
        except Refused:
            raise Refused(-2011, "Unknown order sent.") from None
        account.received.append(("DELETE", order.client_id))
        return order_row(self.venue.accounts.end(account, order, "CANCELED"), self.market)

    def cancel_all(self, account: Account, request: web.Request) -> Any:
        """Serve DELETE allOpenOrders, and openOrders of spot."""
        orders = account.open_orders(request.query["symbol"])
        for order in orders:
            account.received.append(("DELETE", order.client_id))
            self.venue.accounts.end(account, order, "CANCELED")
        if self.market == SPOT:
            return [order_row(order, SPOT) for order in orders]
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def _order(self, account: Account, request: web.Request) -> Order:
        query = request.query
        return account.find(query["symbol"], query.get("orderId"), query.get("origClientOrderId"))

    def _rows(self, orders: list[Order], request: web.Request) -> Any:
        symbol = request.query.get("symbol")
        return [order_row(o, self.market) for o in orders if symbol in (None, o.symbol)]

    def trades(self, account: Account, request: web.Request) -> Any:
        """Serve GET userTrades and myTrades."""
        symbol = request.query["symbol"]
        first = int(request.query.get("startTime", 0))
        return [
            trade_row(order, fill, self.market)
            for order in account.orders.values()
            if order.symbol == symbol
            for fill in order.fills
            if fill.ms >= first
        ]

    def no_algo_order(self, account: Account, request: web.Request) -> Any:
        """Serve GET algoOrder: there are none."""
        raise Refused(-2013, "Order does not exist.")

    # -- accounts

    def spot_account(self, account: Account, _: web.Request) -> Any:
        """Serve GET account of spot."""
        return {
            "makerCommission": 2, "takerCommission": 4, "buyerCommission": 0,
            "sellerCommission": 0, "canTrade": True, "canWithdraw": True, "canDeposit": True,
            "updateTime": self.venue.clock.now(), "accountType": "SPOT",
            "balances": self.balances(account), "permissions": ["SPOT"],
        }  # fmt: skip

    def fees(self, account: Account, _: web.Request) -> Any:
        """Serve GET tradeFee."""
        return [
            {"symbol": name, "makerCommission": str(MAKER), "takerCommission": str(TAKER)}
            for name in self.venue.listed(SPOT)
        ]

    def balances(self, account: Account) -> list[dict[str, str]]:
        """Give the balances of spot."""
        books = self.venue.accounts
        return [
            {
                "asset": asset,
                "free": f"{books.free(account, asset):.8f}",
                "locked": f"{books.locked(account, asset):.8f}",
            }
            for asset in account.balances
        ]

    def futures_account(self, account: Account, _: web.Request) -> Any:
        """Serve GET account of futures."""
        rows = [
            {
                "asset": asset, "walletBalance": text(amount), "unrealizedProfit": "0",
                "marginBalance": text(amount), "maintMargin": "0", "initialMargin": "0",
                "positionInitialMargin": "0", "openOrderInitialMargin": "0",
                "crossWalletBalance": text(amount), "crossUnPnl": "0",
                "availableBalance": text(amount), "maxWithdrawAmount": text(amount),
                "marginAvailable": True, "updateTime": self.venue.clock.now(),
            }
            for asset, amount in account.balances.items()
        ]  # fmt: skip
        return {
            "feeTier": 0, "canTrade": True, "canDeposit": True, "canWithdraw": True,
            "updateTime": self.venue.clock.now(), "assets": rows, "positions": [],
        }  # fmt: skip

    def position_risk(self, account: Account, request: web.Request) -> Any:
        """Serve GET positionRisk: what is held."""
        wanted = request.query.get("symbol")
        held = {s: p for s, p in account.positions.items() if wanted in (None, s)}
        return [self._risk(symbol, position) for symbol, position in held.items()]

    def _risk(self, symbol: str, position: Position) -> dict[str, Any]:
        return {
            "symbol": symbol, "positionSide": "BOTH", "positionAmt": text(position.amount),
            "entryPrice": text(position.entry), "markPrice": text(position.entry),
            "unRealizedProfit": "0", "liquidationPrice": "0", "isolatedMargin": "0",
            "updateTime": self.venue.clock.now(),
        }  # fmt: skip

    def symbol_config(self, account: Account, _: web.Request) -> Any:
        """Serve GET symbolConfig."""
        return [
            {
                "symbol": name, "marginType": "CROSSED", "isAutoAddMargin": False,
                "leverage": 20, "maxNotionalValue": "1000000",
            }
            for name in self.venue.listed(FUTURES)
        ]  # fmt: skip


def order_row(order: Order, market: str) -> dict[str, Any]:
    """Write an order as REST does."""
    row = {
        "symbol": order.symbol, "orderId": order.id, "clientOrderId": order.client_id,
        "price": text(order.price), "origQty": text(order.qty),
        "executedQty": text(order.executed), "status": order.status,
        "timeInForce": order.tif, "type": order.type, "side": order.side, "stopPrice": "0",
        "time": order.ms, "updateTime": order.update_ms,
    }  # fmt: skip
    if market == SPOT:
        more = {"orderListId": -1, "cummulativeQuoteQty": text(order.quote), "icebergQty": "0"}
        return row | more | {"isWorking": order.open, "transactTime": order.update_ms}
    return row | {
        "avgPrice": text(order.average), "origType": order.type, "reduceOnly": order.reduce_only,
        "positionSide": "BOTH", "closePosition": False, "workingType": "CONTRACT_PRICE",
        "priceProtect": False, "cumQuote": text(order.quote), "goodTillDate": order.good_till,
    }  # fmt: skip


def trade_row(order: Order, fill: Fill, market: str) -> dict[str, Any]:
    """Write a trade of an order as REST does."""
    buys = order.side == "BUY"
    sides: dict[str, Any] = {"isBuyer": buys, "isMaker": fill.maker, "orderListId": -1}
    if market == FUTURES:
        sides = {"buyer": buys, "maker": fill.maker, "side": order.side, "positionSide": "BOTH"}
        sides["realizedPnl"] = text(fill.realized)
    return sides | {
        "commission": text(fill.commission), "commissionAsset": "USDT",
        "price": text(fill.price), "qty": text(fill.qty), "symbol": order.symbol,
        "id": fill.id, "orderId": order.id, "time": fill.ms,
        "quoteQty": text(fill.price * fill.qty),
    }  # fmt: skip


def _decimal(query: Any, name: str) -> Decimal:
    try:
        return Decimal(query.get(name, "0"))
    except InvalidOperation:
        raise Refused(-1100, f"Illegal characters found in parameter '{name}'.") from None
