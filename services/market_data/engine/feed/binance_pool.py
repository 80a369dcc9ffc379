"""Binance's sockets of 200 streams each, with streams gathered into few messages."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from services.market_data.engine.feed.hooks import noting

GATHER = 0.25
"""Seconds in which streams are gathered into one message: four a second at most."""

ANSWER = 10.0
"""Seconds for the venue to answer a message."""


DATA = b'{"stream":"'
"""How a message with data begins."""

type Handler = Callable[[bytes], None]


class Answer(msgspec.Struct):
    """What the venue says to a message of ours."""

    id: int | None = None
    error: dict[str, Any] | None = None


_answers = msgspec.json.Decoder(Answer)


class Pool:
    """The sockets of 200 streams each, with streams gathered into few messages."""

    def __init__(self, client: Any, pool: Any, on_reconnect: Callable[[], None]) -> None:
        self._client = client
        self._pool = pool
        self._direct: dict[bytes, Handler] = {}
        self._on_reconnect = on_reconnect
        self._coming: dict[str, asyncio.Future[None]] = {}
        self._going: set[str] = set()
        self._round: asyncio.Task[None] | None = None
        self._reconnected = pool._handle_reconnect
        self._handler: Handler = pool._handler
        self._answers: dict[int, asyncio.Future[None]] = {}
        pool._handler = self.receive
        pool._subscribe = self.subscribe
        pool._unsubscribe = self.unsubscribe
        pool._handle_reconnect = self.reconnected

    async def subscribe(self, stream: str) -> None:
        """Subscribe to a stream; done when the venue has taken it."""
        self._going.discard(stream)
        if stream in self._pool._streams and stream not in self._coming:
            return
        if stream not in self._coming:
            self._pool._streams.append(stream)
            self._coming[stream] = asyncio.get_running_loop().create_future()
        self._begin()
        await asyncio.shield(self._coming[stream])

    async def unsubscribe(self, stream: str) -> None:
        """End a stream, soon; its socket stays for the next one."""
        self._going.add(stream)
        self._begin()

    def reconnected(self, number: int) -> None:
        """Tell of a reconnect before what comes after it."""
        self._on_reconnect()
        self._reconnected(number)

    def receive(self, raw: bytes) -> None:
        """Take a message: data goes to what reads its kind, an answer to who waits for it.

        The adapter would decode each message twice to find that out.
        """
        if raw.startswith(DATA):
            stream = raw[len(DATA) : raw.find(b'"', len(DATA))]
            kind = stream[stream.find(b"@") :]
            handler = self._direct.get(kind) or self._find(kind)
            try:
                handler(raw)
            except Exception as error:  # of whatever the venue sent; the adapter does the same
                self._client._log.exception(f"Error handling websocket message {raw!r}", error)
        elif not self._is_answer(raw):
            self._handler(raw)  # which says what is the matter with it

    def _find(self, kind: bytes) -> Handler:
        """Return what reads a kind of stream, such as ``@bookTicker``."""
        name = kind.decode("utf-8", "replace")
        found = [each for key, each in self._client._ws_handlers.items() if key in name]
        if len(found) == 1:
            self._direct[kind] = found[0]
        handler: Handler = found[0] if len(found) == 1 else self._handler
        return handler

    def _is_answer(self, raw: bytes) -> bool:
        try:
            answer = _answers.decode(raw)
        except msgspec.MsgspecError:
            return False
        waiting = self._answers.get(-1 if answer.id is None else answer.id)
        if waiting is None or waiting.done():
            return answer.id is not None
        if answer.error is None:
            waiting.set_result(None)
        else:
            waiting.set_exception(ValueError(str(answer.error.get("msg", "The venue refused"))))
        return True

    def _begin(self) -> None:
        if self._round is None:
            self._round = asyncio.create_task(self._rounds())

    async def _rounds(self) -> None:
        try:
            while self._coming or self._going:
                await asyncio.sleep(GATHER)
                await self._send_going()
                await self._send_coming()
        finally:
            self._round = None

    async def _send_coming(self) -> None:
        """Send for one socket what was gathered: up to as many streams as it has room for."""
        pool, coming = self._pool, list(self._coming)
        if not coming:
            return
        try:
            number = pool._get_client_id_for_new_subscription()
        except RuntimeError as error:  # more than 20 sockets of 200
            self._end(coming, ValueError(str(error)))
            return
        streams = coming[: pool.MAX_SUBSCRIPTIONS_PER_CLIENT - len(pool._client_streams[number])]
        _, failed = await noting(self._send(number, streams))
        self._end(streams, None if failed is None else ConnectionError(failed.message))

    def _end(self, streams: list[str], error: Exception | None) -> None:
        """Let go who waits for streams."""
        for stream in streams:
            waiting = self._coming.pop(stream)
            if error is None:
                waiting.set_result(None)
            else:
                self._pool._streams.remove(stream)
                waiting.set_exception(error)

    async def _send(self, number: int, streams: list[str]) -> None:
        pool = self._pool
        if pool._clients.get(number) is None:
            try:
                await pool._connect_client(number, streams[:1])
            finally:
                pool._is_connecting[number] = False
            streams = streams[1:]
        pool._client_streams[number].extend(streams)
        if streams:
            await self._ask(number, pool._create_subscribe_msg(streams))

    async def _ask(self, number: int, message: dict[str, Any]) -> None:
        """Send a message and wait for its answer."""
        waiting = asyncio.get_running_loop().create_future()
        self._answers[message["id"]] = waiting
        try:
            await self._pool._send(number, message)
            async with asyncio.timeout(ANSWER):
                await waiting
        finally:
            del self._answers[message["id"]]

    async def _send_going(self) -> None:
        pool = self._pool
        going = [stream for stream in self._going if stream in pool._streams]
        self._going.clear()
        by_socket: dict[int, list[str]] = {}
        for stream in going:
            number = pool._get_client_for_stream(stream)
            by_socket.setdefault(number, []).append(stream)
            pool._streams.remove(stream)
        for number, streams in by_socket.items():
            if number in pool._client_streams:
                kept = [each for each in pool._client_streams[number] if each not in streams]
                pool._client_streams[number] = kept
                await pool._send(number, pool._create_unsubscribe_msg(streams))
