"""WebSocket frames written in batches: what one loop turn says goes out in one write."""

import asyncio

from simulators.exchange import Socket

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
TOO_FAR_BEHIND = 64 << 20  # bytes not yet taken by a client; the venue cuts it then


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """Frame a whole message from a server, which is not masked."""
    size = len(payload)
    if size < 126:
        return bytes((opcode, size)) + payload
    if size < 65_536:
        return bytes((opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((opcode, 127)) + size.to_bytes(8, "big") + payload


class Wire:
    """One client's socket as the venue sees it."""

    def __init__(self, socket: Socket, market: str, combined: bool, number: int) -> None:
        self.socket = socket
        self.market = market
        self.combined = combined  # payloads come wrapped, with the stream's name
        self.number = number
        self.ponged_at = self.pinged_at = asyncio.get_running_loop().time()
        self.received: list[float] = []  # when messages of the client came, in loop time
        self._frames: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send frames at the end of this turn of the loop."""
        if not self._frames:
            asyncio.get_running_loop().call_soon(self.flush)
        self._frames.append(data)

    def flush(self) -> None:
        """Hand what was written to the socket."""
        frames, self._frames = self._frames, []
        transport = self.socket.request.transport
        if not frames or transport is None or transport.is_closing():
            return
        transport.write(b"".join(frames))
        if self.behind > TOO_FAR_BEHIND:
            transport.abort()

    @property
    def behind(self) -> int:
        """Give the bytes that the client has not taken yet."""
        transport = self.socket.request.transport
        return transport.get_write_buffer_size() if transport is not None else 0

    def end(self, code: int | None = None, abruptly: bool = False) -> None:
        """End the connection after what was written.

        With a code the venue says it in a close frame; abruptly resets the connection at once and
        what the client has not taken is lost; else the stream just ends, as behind a proxy.
        """
        if code is not None:
            self.write(frame(code.to_bytes(2, "big"), CLOSE))
        self.flush()
        transport = self.socket.request.transport
        if transport is None:
            return
        if abruptly:
            transport.abort()
        else:
            transport.close()
