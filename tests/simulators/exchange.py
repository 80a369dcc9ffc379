"""What every simulated venue has: sockets that are counted, a record of what was sent, faults.

A venue is a subclass that speaks one protocol. It runs in process (``async with``) or as a process
of its own (`serve`); then ``/_sim/`` gives the same by HTTP: GET ``state`` and ``sent``, and POST
of a command of `Exchange.commands` with its arguments as a JSON object.
"""

import argparse
import asyncio
import inspect
import json
import os
import stat
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import WSMsgType, web

GARBAGE = ("not json", '{"half": ', "[]", "null", '{"unknown": {"deep": [1, 2]}}', "\ufffd\u0000")


@dataclass(eq=False)
class Socket:
    """One client's WebSocket and what it has subscribed to."""

    path: str
    ws: web.WebSocketResponse
    request: web.Request
    channels: set[str] = field(default_factory=set)

    def abort(self) -> None:
        """Cut the connection without a closing handshake, as a failing network does."""
        if self.request.transport is not None:
            self.request.transport.abort()


@dataclass(frozen=True)
class Sent:
    """One event that the venue published: the row as it was meant, and how many sockets got it."""

    channel: str
    row: dict[str, Any]
    readers: int


class Exchange(ABC):
    """A venue on loopback.

    ``port`` 0 takes any free port; `port` then says which.
    """

    sockets_at: tuple[str, ...] = ("/ws",)

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.sockets: list[Socket] = []
        self.sent: list[Sent] = []
        self.opened: Counter[str] = Counter()  # sockets since the start, by path
        self.requests: Counter[str] = Counter()  # REST calls, by what they asked
        self.subscribed: Counter[str] = Counter()  # acknowledged, by channel, re-subscriptions too
        self.refused = 0  # connections that were cut before an answer
        self._silent = False
        self._speaking = asyncio.Event()
        self._speaking.set()
        self._refusing = False
        self._limited = 0
        self._runner: web.AppRunner | None = None

    # -- what a venue gives

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """Give the venue's REST."""

    @abstractmethod
    async def receive(self, socket: Socket, text: str) -> None:
        """Answer one message of a client."""

    @abstractmethod
    def limited(self) -> web.Response:
        """Give the venue's own wording of HTTP 429."""

    async def greet(self, socket: Socket) -> None:  # noqa: B027 (most venues say nothing)
        """Say what the venue says to a new socket."""

    def left(self, socket: Socket) -> None:  # noqa: B027 - most venues need not know
        """Take note that a socket has ended; nothing, unless it is overridden."""

    def ponged(self, socket: Socket) -> None:  # noqa: B027 - the same
        """Take note that a client answered a ping; nothing, unless it is overridden."""

    async def intercept(self, request: web.Request) -> web.Response | None:
        """Answer a REST call in place of the venue, for its own faults; None lets it through."""
        return None

    def commands(self) -> dict[str, Callable[..., Any]]:
        """Give what can be commanded by HTTP; a venue adds its events."""
        return {
            "drop": self.drop,
            "garbage": self.garbage,
            "silence": self.silence,
            "refuse": self.refuse,
            "limit": self.limit,
        }

    # -- faults

    def drop(self) -> int:
        """Cut every open socket; gives their number."""
        sockets = list(self.sockets)
        for socket in sockets:
            socket.abort()
        return len(sockets)

    async def garbage(self, *texts: str) -> None:
        """Send what no client can read, as text and as bytes."""
        for socket in list(self.sockets):
            with suppress(ConnectionError):
                for text in texts or GARBAGE:
                    await socket.ws.send_str(text)
                await socket.ws.send_bytes(b"\x00\xff\xfe")

    def silence(self, on: bool = True) -> None:
        """Go silent: no event, answer, heartbeat or pong leaves, and connections stay open."""
        self._silent = on
        self._speaking.clear() if on else self._speaking.set()

    def refuse(self, on: bool = True) -> None:
        """Cut every new connection, REST and WebSocket, before it is answered."""
        self._refusing = on

    def limit(self, times: int = 1) -> None:
        """Answer the next ``times`` REST calls with HTTP 429."""
        self._limited = times

    # -- events

    async def send(self, socket: Socket, message: Any) -> None:
        """Send one message as JSON, unless the venue is silent or the socket is gone."""
        if self._silent or socket.ws.closed:
            return
        with suppress(ConnectionError):  # gone meanwhile: the socket's own task takes it off
            await socket.ws.send_str(json.dumps(message))

    async def publish(self, channel: str, message: Any, row: dict[str, Any]) -> int:
        """Send an event to each socket that has the channel and record it; gives how many."""
        readers = [s for s in self.sockets if channel in s.channels and not s.ws.closed]
        readers = [] if self._silent else readers
        for socket in readers:
            await self.send(socket, message)
        self.sent.append(Sent(channel, row, len(readers)))
        return len(readers)

    def rows(self, channel: str) -> list[dict[str, Any]]:
        """Give the rows of a channel that somebody was sent, in order."""
        return [sent.row for sent in self.sent if sent.channel == channel and sent.readers]

    def watching(self, channel: str) -> int:
        """Count the sockets that have the channel now."""
        return sum(channel in socket.channels for socket in self.sockets)

    def forget(self) -> None:
        """Set the record and the counters to nothing, for the next test."""
        self.sent.clear()
        self.refused = 0
        for counter in (self.opened, self.requests, self.subscribed):
            counter.clear()

    def state(self) -> dict[str, Any]:
        """Give the counters and what is subscribed."""
        return {
            "open": len(self.sockets),
            "opened": dict(self.opened),
            "requests": dict(self.requests),
            "subscribed": dict(self.subscribed),
            "channels": sorted({c for socket in self.sockets for c in socket.channels}),
        }

    # -- serving

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._faults])
        app.add_routes(self.routes())
        app.add_routes([web.get(path, self._socket) for path in self.sockets_at])
        app.add_routes([web.get("/_sim/{what}", self._look), web.post("/_sim/{what}", self._obey)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.drop()
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _faults(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.path.startswith("/_sim/"):
            return await handler(request)
        if self._refusing and request.transport is not None:
            self.refused += 1
            request.transport.abort()
            return web.Response(status=503)
        if "Upgrade" not in request.headers:  # a WebSocket opens even at a silent venue
            if self._limited:
                self._limited -= 1
                self.requests["limited"] += 1
                return self.limited()
            await self._speaking.wait()
        return await self.intercept(request) or await handler(request)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(autoping=False)
        await ws.prepare(request)
        socket = Socket(request.path, ws, request)
        self.opened[request.path] += 1
        self.sockets.append(socket)
        try:
            await self.greet(socket)
            async for message in ws:
                if message.type is WSMsgType.TEXT:
                    await self.receive(socket, message.data)
                elif message.type is WSMsgType.PING and not self._silent:
                    await ws.pong(message.data)
                elif message.type is WSMsgType.PONG:
                    self.ponged(socket)
        finally:
            self.sockets.remove(socket)
            self.left(socket)
        return ws

    async def _look(self, request: web.Request) -> web.Response:
        if request.match_info["what"] == "state":
            return web.json_response(self.state())
        if request.match_info["what"] == "sent":
            return web.json_response(self.rows(request.query["channel"]))
        raise web.HTTPNotFound(text="there are /_sim/state and /_sim/sent?channel=…")

    async def _obey(self, request: web.Request) -> web.Response:
        command = self.commands().get(request.match_info["what"])
        if command is None:
            raise web.HTTPNotFound(text=f"commands: {', '.join(sorted(self.commands()))}")
        arguments = json.loads(await request.text() or "{}")
        try:
            inspect.signature(command).bind(**arguments)
        except TypeError as refused:
            raise web.HTTPBadRequest(text=str(refused)) from None
        try:
            result = command(**arguments)
            if inspect.isawaitable(result):
                result = await result
        except ValueError as refused:
            raise web.HTTPBadRequest(text=str(refused)) from None
        return web.json_response({"result": result})


def serve(make: Callable[[int], Exchange]) -> None:
    """Run a venue as a process of its own, whose first line of output is its port."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0, help="events per second to invent")
    arguments = parser.parse_args()

    async def run() -> None:
        async with make(arguments.port) as venue:
            sys.stdout.write(f"{venue.port}\n")
            sys.stdout.flush()
            if arguments.rate:
                venue.commands()["play"](rate=arguments.rate)
            await input_ended()

    with suppress(KeyboardInterrupt):
        asyncio.run(run())


async def input_ended() -> None:
    """Wait until standard input ends if it is a pipe, so that no test leaves a process; or ever.

    The pipe of a process that runs uvloop is a socket.
    """
    ended = asyncio.Event()
    mode = os.fstat(0).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        loop = asyncio.get_running_loop()
        loop.add_reader(0, lambda: None if os.read(0, 4096) else ended.set())
    await ended.wait()
