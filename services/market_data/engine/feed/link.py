"""The way of frames to the service, with a bound on what waits for it to read."""

import asyncio
from contextlib import suppress

from services.market_data.live.frames import Frame, encode

BOUND = 32 * 2**20
"""Bytes that may wait before data is dropped. Other frames are small, and always go."""


class Link:
    """Writes frames in order; never waits, never raises."""

    def __init__(self, writer: asyncio.StreamWriter, bound: int = BOUND) -> None:
        self._writer = writer
        self._bound = bound

    def tell(self, *frames: Frame) -> None:
        """Send frames, whatever waits already."""
        if not self._writer.is_closing():
            self._writer.write(b"".join(map(encode, frames)))

    @property
    def waiting(self) -> int:
        """Bytes that the service has not read yet, beside what the socket holds."""
        return self._writer.transport.get_write_buffer_size()

    @property
    def full(self) -> bool:
        """Whether the bound is passed, so that data must be dropped."""
        return self.waiting > self._bound

    @property
    def relieved(self) -> bool:
        """Whether data may go again after it was full."""
        return self.waiting <= self._bound // 2

    async def drained(self) -> None:
        """Wait until the service has read what waits, but for the transport's low mark.

        For a sender that need not drop; returns at once when the service is gone.
        """
        with suppress(OSError):
            await self._writer.drain()

    async def close(self) -> None:
        """Send what waits and close."""
        self._writer.close()
        try:
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()
        except (TimeoutError, OSError):
            pass  # the service is gone, or does not read: nobody to tell
