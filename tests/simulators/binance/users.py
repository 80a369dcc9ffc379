"""User-data streams of the simulated Binance: who is connected, and faults of what they get."""

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import msgspec

from simulators.binance import user_data
from simulators.binance.accounts import KEY, SECRET, Account
from simulators.binance.matching import Fill, Order
from simulators.binance.symbols import FUTURES, SPOT
from simulators.binance.wire import frame
from simulators.exchange import Socket

if TYPE_CHECKING:
    from simulators.binance.venue import Binance

PATHS = {"/user": FUTURES, "/ws-api": SPOT}
"""Where clients connect: futures by a listen key, spot by its WebSocket API."""


class Users:
    """The owners' connections.

    Faults: `lose` answers of orders, tell events `twice`, or `deafen`: connected and told nothing.
    """

    def __init__(self, venue: "Binance") -> None:
        self._venue = venue
        self._sockets: dict[Socket, str] = {}
        self._keys: set[str] = set()
        self._subscribed: set[Socket] = set()
        self._losing = 0
        self._muddled = 0
        self.twice = False
        self.deaf = False
        self.told = 0

    # -- faults

    def lose(self, times: int = 1) -> None:
        """Do what the next calls ask for, and cut the connection instead of answering."""
        self._losing = times

    def muddle(self, times: int = 1) -> None:
        """Do what the next calls ask for, and answer that it is not known whether it was done."""
        self._muddled = times

    def muddle_answer(self) -> bool:
        """Say whether the answer at hand says nothing."""
        self._muddled, muddled = max(0, self._muddled - 1), self._muddled > 0
        return muddled

    def lose_answer(self) -> bool:
        """Say whether the answer at hand is lost."""
        self._losing, lost = max(0, self._losing - 1), self._losing > 0
        return lost

    def drop(self) -> int:
        """Cut all user streams; clients come again."""
        sockets = list(self._sockets)
        for socket in sockets:
            socket.abort()
        return len(sockets)

    # -- connections

    @property
    def connected(self) -> int:
        """How many connections are told what happens."""
        return len(self._subscribed)

    def new_key(self) -> str:
        """Give a listen key."""
        key = f"listen-{len(self._keys) + 1}"
        self._keys.add(key)
        return key

    def join(self, socket: Socket) -> None:
        """Take a connection; of futures it names a listen key."""
        self._sockets[socket] = PATHS[socket.path]
        if socket.request.query.get("listenKey") in self._keys:
            self._subscribed.add(socket)

    def leave(self, socket: Socket) -> None:
        """Forget a connection."""
        self._sockets.pop(socket, None)
        self._subscribed.discard(socket)

    def receive(self, socket: Socket, text: str) -> dict[str, Any]:
        """Answer a message of spot's WebSocket API."""
        message = json.loads(text)
        method, params = message["method"], message.get("params", {})
        result: dict[str, Any] = {}
        if method == "session.logon":
            signed = f"apiKey={params['apiKey']}&timestamp={params['timestamp']}"
            made = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()
            if params["apiKey"] != KEY or params["signature"] != made:
                error = {"code": -1022, "msg": "Signature for this request is not valid."}
                return {"id": message["id"], "status": 400, "error": error}
        elif method == "userDataStream.subscribe":
            self._subscribed.add(socket)
            result = {"subscriptionId": 0}
        return {"id": message["id"], "status": 200, "result": result}

    # -- events

    def tell(self, account: Account, order: Order, what: str, fill: Fill | None) -> None:
        """Tell the owner of a change of an order, and of the balances when it was a fill."""
        now = self._venue.clock.now()
        if account.market == FUTURES:
            rows = [user_data.futures_order(order, what, fill, now)]
            if fill is not None:
                rows.insert(0, user_data.futures_account(account, order.symbol, now))
        else:
            balances = self._venue.account_rest[SPOT].balances(account)
            rows = [user_data.spot_order(order, what, fill, now)]
            rows.append(user_data.spot_account(balances, now))
        for row in rows * (2 if self.twice else 1):
            self._send(account.market, row)

    def _send(self, market: str, row: dict[str, Any]) -> None:
        if self.deaf:
            return
        self.told += 1
        body: Any = row if market == FUTURES else {"subscriptionId": 0, "event": row}
        data = frame(msgspec.json.encode(body))
        for socket in self._subscribed:
            transport = socket.request.transport
            if self._sockets[socket] == market and transport is not None:
                transport.write(data)
