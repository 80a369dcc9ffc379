"""What launcher and trader tell each other over the socket that the trader inherits.

A frame is a length (four bytes, little-endian) and a msgpack body. First the ``Ticket``, from the
launcher; then the trader asks for secrets and the launcher answers.
"""

import asyncio
import socket

import msgspec

LONGEST = 64 * 2**20


class Ask(msgspec.Struct, frozen=True):
    """The trader wants the secrets of a credential, and shows its lease."""

    want: str
    fence: int


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Secrets by config field; or the reason, of ``ErrorReason``, why there are none."""

    secrets: dict[str, str] = {}
    reason: str = ""
    message: str = ""


def pack(message: msgspec.Struct) -> bytes:
    """Return a message as a frame."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(4, "little") + body


def unpack[T](body: bytes, kind: type[T]) -> T:
    """Return the message in a frame's body. Raises ``msgspec.DecodeError``."""
    return msgspec.msgpack.decode(body, type=kind)


async def read(reader: asyncio.StreamReader) -> bytes:
    """Return the next frame's body; raises ``IncompleteReadError`` at the end."""
    size = int.from_bytes(await reader.readexactly(4), "little")
    return await reader.readexactly(size)


def receive(connected: socket.socket) -> bytes:
    """Return the next frame's body; blocks. Raises ``ConnectionError`` at the end."""
    return _exactly(connected, int.from_bytes(_exactly(connected, 4), "little"))


def _exactly(connected: socket.socket, size: int) -> bytes:
    if size > LONGEST:
        raise ConnectionError("a frame is too long")
    taken = bytearray()
    while len(taken) < size:
        part = connected.recv(size - len(taken))
        if not part:
            raise ConnectionError("the launcher has gone")
        taken += part
    return bytes(taken)
