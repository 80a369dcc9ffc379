"""Deribit's transports: JSON-RPC by HTTP POST, and over a WebSocket with channels."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from simulators.deribit.instruments import Listed, listed
from simulators.deribit.methods import Refused, called, envelope, too_many
from simulators.exchange import Socket
from simulators.playing import Playing

SIZES = {"quote": 2, "trades": 3, "ticker": 3, "book": 3, "perpetual": 3}  # parts of a name
INTERVALS = ("raw", "100ms", "agg2")
RESOLUTIONS = ("1", "3", "5", "10", "15", "30", "60", "120", "180", "360", "720", "1D")


class Sessions(Playing):
    """Answers what clients ask and keeps what they have subscribed to."""

    sockets_at = ("/ws/api/v2",)

    def __init__(self, port: int = 0, *, more: int = 0, minutes: int = 120) -> None:
        super().__init__(port)
        self.markets = listed(more)
        for market in self.markets.values():
            market.fill(minutes, per_minute=12)
        self._beats: dict[Socket, asyncio.Task[None]] = {}

    @property
    def listed(self) -> Mapping[str, Listed]:
        """Give the markets by name."""
        return self.markets

    @staticmethod
    def parts(channel: str) -> list[str]:
        """Split a channel's name."""
        return channel.split(".")

    @property
    def options(self) -> dict[str, Any]:
        """Give the data client's configuration for this venue, as JSON."""
        return {
            "base_url_http": f"http://127.0.0.1:{self.port}/api/v2",
            "base_url_ws": f"ws://127.0.0.1:{self.port}/ws/api/v2",
            "product_types": ["FUTURE", "SPOT"],
            "instrument_provider": {"load_all": True},
        }

    # -- REST

    def routes(self) -> list[web.RouteDef]:
        """Give the one endpoint."""
        return [web.post("/api/v2", self._call)]

    def limited(self) -> web.Response:
        """Give HTTP 429 with the venue's error 10028."""
        return web.json_response(too_many({}), status=429)

    async def _call(self, request: web.Request) -> web.Response:
        call = await request.json()
        self.requests[call["method"]] += 1
        try:
            result = called(self.markets, call["method"], call.get("params", {}))
        except Refused as refused:
            return web.json_response(envelope(call, error=refused.error), status=refused.status)
        return web.json_response(envelope(call, result=result))

    # -- WebSocket

    async def receive(self, socket: Socket, text: str) -> None:
        """Answer one JSON-RPC request."""
        call = json.loads(text)
        method, params = call["method"], call.get("params", {})
        self.requests[method] += 1
        try:
            answer = {"result": self._session_call(socket, method, params)}
        except Refused as refused:
            answer = {"error": refused.error}
        await self.send(socket, envelope(call, **answer))
        if method == "public/subscribe":
            for channel in params["channels"]:
                await self.snapshot(socket, channel)

    def _session_call(self, socket: Socket, method: str, params: dict[str, Any]) -> Any:
        if method == "public/subscribe":
            return self._subscribe(socket, params["channels"])
        if method == "public/unsubscribe":
            gone = [c for c in params["channels"] if c in socket.channels]
            socket.channels.difference_update(gone)
            return gone
        if method == "public/set_heartbeat":
            return self._set_heartbeat(socket, params["interval"])
        return called(self.markets, method, params)

    def _subscribe(self, socket: Socket, channels: list[str]) -> list[str]:
        """Subscribe to what exists: a channel that does not is left out of the answer."""
        taken = [channel for channel in channels if self._exists(channel)]
        if any(".raw" in channel for channel in taken):
            raise Refused(13778, "raw_subscriptions_not_available_for_unauthorized")
        socket.channels.update(taken)
        self.subscribed.update(taken)
        return taken

    def _exists(self, channel: str) -> bool:
        parts = channel.split(".")
        if parts[:2] == ["chart", "trades"]:
            return len(parts) == 4 and parts[2] in self.markets and parts[3] in RESOLUTIONS
        if parts[:2] == ["instrument", "state"]:
            return len(parts) == 4
        if parts[0] not in SIZES or len(parts) != SIZES[parts[0]]:
            return False  # the grouped books, of five parts, are not simulated
        return parts[1] in self.markets and (len(parts) == 2 or parts[2] in INTERVALS)

    def _set_heartbeat(self, socket: Socket, interval: float) -> str:
        if interval < 10:
            data = {"param": "interval", "reason": "value out of range"}
            raise Refused(-32602, "Invalid params", data=data)
        if (old := self._beats.pop(socket, None)) is not None:
            old.cancel()
        self._beats[socket] = asyncio.create_task(self._beat(socket, interval))
        return "ok"

    async def _beat(self, socket: Socket, interval: float) -> None:
        while not socket.ws.closed:
            await asyncio.sleep(interval)
            await self.heartbeat(socket)
        self._beats.pop(socket, None)

    async def heartbeat(self, socket: Socket | None = None) -> None:
        """Ask for a sign of life, which the client answers by ``public/test``."""
        message = {"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}}
        for each in [socket] if socket else list(self.sockets):
            await self.send(each, message)

    async def snapshot(self, socket: Socket, channel: str) -> None:
        """Send what a new subscription starts with; nothing, unless it is overridden."""

    async def notify(self, channel: str, data: Any, row: dict[str, Any]) -> int:
        """Publish an event as a notification; gives how many sockets got it."""
        params = {"channel": channel, "data": data}
        message = {"jsonrpc": "2.0", "method": "subscription", "params": params}
        return await self.publish(channel, message, row)

    async def __aexit__(self, *caught: object) -> None:
        for task in self._beats.values():
            task.cancel()
        await super().__aexit__(*caught)
