"""How the process of a feed begins: a socket it was given, and on it the spec."""

import ctypes
import os
import signal
import socket
import sys

import msgspec

from services.market_data.live.ports import FeedSpec
from services.market_data.live.process import SPEC

PARENT_DEATH = 1
"""PR_SET_PDEATHSIG of prctl."""


def main() -> None:
    """Take the socket named by the first argument, read the spec and run the feed."""
    die_with_parent(int(sys.argv[2]))
    with socket.socket(fileno=int(sys.argv[1])) as connected:
        connected.set_inheritable(False)
        spec = receive(connected)
        if spec.venue == "REPLAY":
            from services.market_data.engine.replay.main import run
        else:
            from services.market_data.engine.feed.main import run
        code = run(connected, spec)
    sys.stdout.flush()
    os._exit(code)  # threads of adapters must not keep it


def die_with_parent(parent: int) -> None:
    """Let the kernel end this process when the one that started it ends."""
    ctypes.CDLL(None).prctl(PARENT_DEATH, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)  # it had ended before


def receive(connected: socket.socket) -> FeedSpec:
    """Return the spec: the first frame on the socket."""
    size = int.from_bytes(_exactly(connected, 4), "little")
    return msgspec.msgpack.decode(_exactly(connected, size), type=SPEC)


def _exactly(connected: socket.socket, size: int) -> bytes:
    taken = bytearray()
    while len(taken) < size:
        part = connected.recv(size - len(taken))
        if not part:
            os._exit(0)  # the service is gone already
        taken += part
    return bytes(taken)
