"""The WebSockets of an adapter: whether they are up, and how to cut them.

``client.is_connected`` stays true through a drop, and no callback tells of one. But each adapter
has objects of Nautilus' Rust WebSocket clients, which know; they reconnect for ever by themselves
and subscribe again. Cutting their TCP connections is what makes them do so.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

_RUST = "nautilus_trader.core.nautilus_pyo3"
LOOK_OUT = 0.02
"""Seconds between two looks; a drop shows for 0.2 s at least."""

_DEEP = 2
"""How deep to look: a client's attributes, and those of its Python WebSocket clients."""


class Sockets:
    """The WebSocket clients of a data client that have been up once."""

    def __init__(self) -> None:
        self._seen: dict[int, Any] = {}
        self._thread: threading.Thread | None = None
        self.dropped = False
        """Whether one was seen down since `settle`, though it may be up again."""
        self.gone = False
        """Whether one is closed for good, and does not try to come back."""

    def settle(self) -> None:
        """Begin to look for the next drop."""
        self.dropped = False

    def forget(self) -> None:
        """Begin anew, with another data client."""
        self._seen.clear()
        self.gone = False

    def active(self, client: Any) -> bool:
        """Tell whether all of them are up."""
        up = True
        for each in _within(client, _DEEP):
            if _is_up(each):
                self._seen[id(each)] = each
                self._begin()
            elif id(each) in self._seen:
                up = False
                self.gone |= each.is_closed()
        return up

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._look_out, name="sockets", daemon=True)
            self._thread.start()

    def _look_out(self) -> None:
        """Look for drops beside the loop: it may be busy for longer than a drop lasts."""
        up: set[int] = set()
        while True:
            time.sleep(LOOK_OUT)
            for number, each in list(self._seen.items()):
                try:
                    is_up = _is_up(each)
                except BaseException:  # an adapter's object that no other thread may ask
                    return
                if not is_up and number in up:
                    self.dropped = True
                up.add(number) if is_up else up.discard(number)

    def cut(self, client: Any) -> bool:
        """Cut the TCP connections under them; tell whether there were any."""
        return any(each.is_active() for each in _within(client, _DEEP)) and cut_connections() > 0


def _within(holder: Any, depth: int) -> Iterator[Any]:
    for value in list(getattr(holder, "__dict__", {}).values()):
        for each in list(value.values()) if isinstance(value, dict) else (value,):
            if _is_websocket(type(each)):
                yield each
            elif depth > 1 and "WebSocket" in type(each).__name__:
                yield from _within(each, depth - 1)


_known: dict[type, bool] = {}


def _is_websocket(kind: type) -> bool:
    if kind not in _known:
        asks = all(callable(getattr(kind, name, None)) for name in ("is_active", "is_closed"))
        _known[kind] = kind.__module__.startswith(_RUST) and asks
    return _known[kind]


def _is_up(websocket: Any) -> bool:
    """Tell whether it is up; the bare client calls itself active through a drop."""
    reconnecting = getattr(websocket, "is_reconnecting", None)
    return websocket.is_active() and not (reconnecting is not None and reconnecting())


def cut_connections() -> int:
    """Shut every TCP connection of this process; return how many.

    The connection to the service is a Unix socket. HTTP connections that are kept open are made
    again when they are needed.
    """
    return sum(_cut(int(name)) for name in os.listdir("/proc/self/fd"))


def _cut(descriptor: int) -> bool:
    try:
        if not os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:"):
            return False
        with socket.socket(fileno=os.dup(descriptor)) as ours:  # a copy: Rust keeps its own
            if ours.family not in (socket.AF_INET, socket.AF_INET6):
                return False
            ours.getpeername()  # raises for one that listens
            ours.shutdown(socket.SHUT_RDWR)
            return True
    except OSError:
        return False
