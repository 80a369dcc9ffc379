"""The connections of the simulated Binance, their subscriptions and the messages for them."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from simulators.binance.streams import Stream, parse
from simulators.binance.wire import Wire, frame

MESSAGES_PER_S = {"spot": 5, "futures": 10}  # documented; more and the venue disconnects
STREAMS_PER_SOCKET = 1024


class Hub:
    """Who has subscribed to what; counts connections and subscriptions since the start.

    ``limits`` makes the venue cut a client that sends more messages a second than is allowed;
    ``begun`` is told each stream that is subscribed for the first time.
    """

    def __init__(self, limits: bool, begun: Callable[[Stream], None]) -> None:
        self.wires: list[Wire] = []
        self.streams: dict[str, Stream] = {}  # by key: all that were ever subscribed
        self.timed: list[Stream] = []  # those of them that the clock drives
        self.diffs: dict[tuple[str, str], list[Stream]] = {}  # by market and symbol
        self.peak = 0
        self.total = 0
        self.subscribes = 0  # SUBSCRIBE messages and subscriptions in the address
        self._by_key: dict[str, list[Wire]] = {}
        self._limits = limits
        self._begun = begun

    def join(self, wire: Wire, names: list[str]) -> None:
        """Take a new connection with the streams of its address."""
        self.wires.append(wire)
        self.total += 1
        self.peak = max(self.peak, len(self.wires))
        self._subscribe(wire, names)

    def leave(self, wire: Wire) -> None:
        """Forget a connection that ended or is being ended: nothing more is sent to it."""
        if wire in self.wires:
            self.wires.remove(wire)
        self._unsubscribe(wire, [self.name(key) for key in wire.socket.channels])

    def readers(self, key: str) -> list[Wire]:
        """Give the connections that get a stream."""
        return self._by_key.get(key, [])

    @staticmethod
    def name(key: str) -> str:
        """Give a stream's name without its market."""
        return key.partition("/")[2]

    # -- the protocol

    def answer(self, wire: Wire, text: str) -> str | None:
        """Obey a client's message; gives the answer, or None when the client is cut for it."""
        now = asyncio.get_running_loop().time()
        wire.received = [at for at in wire.received if at > now - 1.0] + [now]
        if self._limits and len(wire.received) > MESSAGES_PER_S[wire.market]:
            return None
        try:
            message = json.loads(text)
        except ValueError:
            return json.dumps({"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"})
        return json.dumps(self._obey(wire, message))

    def _obey(self, wire: Wire, message: Any) -> dict[str, Any]:
        if not isinstance(message, dict) or "method" not in message:
            return _invalid("missing field `method` at line 1 column 1")
        method, number, params = message["method"], message.get("id"), message.get("params", [])
        if number is not None and not isinstance(number, int | str):
            return _invalid("request ID must be an unsigned integer")
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": sorted(map(self.name, wire.socket.channels)), "id": number}
        if method in ("SET_PROPERTY", "GET_PROPERTY"):
            return self._property(wire, method, params, number)
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return _invalid(
                f"unknown variant `{method}`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, "
                "`LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 1"
            )
        if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
            return _invalid("params must be an array of strings")
        (self._subscribe if method == "SUBSCRIBE" else self._unsubscribe)(wire, params)
        return {"result": None, "id": number}

    def _property(self, wire: Wire, method: str, params: Any, number: Any) -> dict[str, Any]:
        if not isinstance(params, list) or not params or params[0] != "combined":
            return {"code": 0, "msg": "Unknown property", "id": number}
        if method == "GET_PROPERTY":
            return {"result": wire.combined, "id": number}
        if len(params) != 2 or not isinstance(params[1], bool):
            return {"code": 1, "msg": "Invalid value type: expected Boolean"}
        wire.combined = params[1]
        return {"result": None, "id": number}

    def _subscribe(self, wire: Wire, names: list[str]) -> None:
        self.subscribes += 1
        for name in names[: STREAMS_PER_SOCKET - len(wire.socket.channels)]:
            key = f"{wire.market}/{name}"
            if key in wire.socket.channels:
                continue
            wire.socket.channels.add(key)
            self._by_key.setdefault(key, []).append(wire)
            if key not in self.streams and (stream := parse(wire.market, name)):
                self._list(stream)

    def _list(self, stream: Stream) -> None:
        self.streams[stream.key] = stream
        if stream.kind in ("diff", "depth", "kline", "mark"):
            self.timed.append(stream)
        if stream.kind == "diff":
            self.diffs.setdefault((stream.market, stream.symbol), []).append(stream)
        self._begun(stream)

    def _unsubscribe(self, wire: Wire, names: list[str]) -> None:
        for name in names:
            key = f"{wire.market}/{name}"
            if key in wire.socket.channels:
                wire.socket.channels.discard(key)
                self._by_key[key].remove(wire)

    # -- sending

    def publish(self, key: str, body: bytes) -> int:
        """Send an event's JSON to whoever has its stream; gives how many connections that were."""
        readers = self._by_key.get(key)
        if not readers:
            return 0
        combined = raw = b""
        for wire in readers:
            if wire.combined:
                combined = combined or frame(wrapped(self.name(key), body))
            else:
                raw = raw or frame(body)
            wire.write(combined if wire.combined else raw)
        return len(readers)


def wrapped(name: str, body: bytes) -> bytes:
    """Wrap an event's JSON as combined streams do."""
    return b'{"stream":"%b","data":%b}' % (name.encode(), body)


def _invalid(what: str) -> dict[str, Any]:
    return {"code": 2, "msg": f"Invalid request: {what}"}
