"""The secrets of venues: asked of the launcher, over the inherited socket, with the fence."""

import asyncio
import socket
from collections.abc import Mapping

import msgspec

from services.live_execution.trader import frames
from services.live_execution.trader.frames import Answer, Ask
from services.live_execution.trader.ports import SecretsRefused

BOUND = 30.0
"""Seconds that the launcher may take."""


class Secrets:
    """Asks for one credential at a time."""

    def __init__(self, connected: socket.socket | None, fence: int) -> None:
        self._socket = connected
        self._fence = fence
        self._one = asyncio.Lock()

    async def ask(self, credential_id: str) -> Mapping[str, str]:
        """Return the secrets by config field. Raises ``SecretsRefused``."""
        async with self._one:
            try:
                async with asyncio.timeout(BOUND):
                    answer = await asyncio.to_thread(self._exchange, credential_id)
            except (OSError, msgspec.MsgspecError) as error:
                raise SecretsRefused(
                    "SERVICE_UNAVAILABLE",
                    f"The secrets of {credential_id} cannot be asked for: the live-execution"
                    " service has gone away. Start the trader again.",
                ) from error
        if answer.reason:
            raise SecretsRefused(answer.reason, answer.message)
        return answer.secrets

    def _exchange(self, credential_id: str) -> Answer:
        if self._socket is None:
            raise ConnectionError("no launcher")
        self._socket.settimeout(BOUND)
        self._socket.sendall(frames.pack(Ask(credential_id, self._fence)))
        return frames.unpack(frames.receive(self._socket), Answer)
