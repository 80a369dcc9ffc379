"""The socket to a trader's process: its ticket, then the secrets that it may have."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import msgspec

from meshkit.errors import Internal, MeshError
from services.live_execution.names import TraderKey
from services.live_execution.trader import frames
from services.live_execution.trader.ports import Ticket

log = logging.getLogger("live_execution.launching")

HandOver = Callable[[str, str, int, str], Awaitable[Mapping[str, str]]]
"""(project, trader id, fence, credential id) → secrets, for the holder of the lease only."""


class SecretsServer:
    """One trader's end of the way; it lasts as long as the process and this service."""

    def __init__(self, key: TraderKey, connected: socket.socket, hand_over: HandOver) -> None:
        self._key, self._socket, self._hand_over = key, connected, hand_over
        self._task: asyncio.Task[None] | None = None

    def hand(self, ticket: Ticket) -> None:
        """Send the ticket, then answer."""
        self._task = asyncio.create_task(self._serve(ticket), name=f"secrets {self._key.trader_id}")

    def close(self) -> None:
        """End; a process without its ticket ends as well."""
        if self._task is not None:
            self._task.cancel()
        self._socket.close()

    async def _serve(self, ticket: Ticket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=self._socket)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):  # the process has ended
                writer.write(frames.pack(ticket))
                await writer.drain()
                while True:
                    ask = frames.unpack(await frames.read(reader), frames.Ask)
                    writer.write(frames.pack(await self._answer(ask)))
                    await writer.drain()
        except msgspec.DecodeError:
            log.exception("a trader asks what cannot be read", extra=self._key._asdict())
        finally:
            writer.close()

    async def _answer(self, ask: frames.Ask) -> frames.Answer:
        try:
            secrets = await self._hand_over(*self._key, ask.fence, ask.want)
        except MeshError as error:
            return frames.Answer(reason=error.reason, message=error.message)
        except Exception:
            log.exception("secrets cannot be given", extra=self._key._asdict())
            return frames.Answer(reason=Internal.reason, message="A fault; see the service's log.")
        return frames.Answer(secrets=dict(secrets))
