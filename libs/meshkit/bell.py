"""A bell that PostgreSQL rings when a transaction with facts or outbox rows commits."""

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg

from meshkit.link import ERRORS, Link, wait

QUEUED = "queued"
"""What a transaction says that has nothing but rows for the outbox: only the publisher cares."""


class Bell:
    """Listens on a connection of its own; rings on every NOTIFY of the schema, with
    ``facts_only`` not on those that tell of the outbox alone.

    A bell can miss a ring while its connection is lost (it rings once when it is back), so who
    waits on it also looks by himself now and then.
    """

    def __init__(self, dsn: str, schema: str, *, facts_only: bool = False) -> None:
        self._dsn = dsn
        self._channel = f"mesh_{schema}"
        self._ignored = QUEUED if facts_only else None
        self._rung = asyncio.Event()
        self._link = Link(f"bell:{schema}")

    async def __aenter__(self) -> "Bell":
        self._task = asyncio.create_task(self._listen(), name=self._channel)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def ring(self) -> None:
        """Wake who waits."""
        self._rung.set()

    async def wait(self, seconds: float) -> bool:
        """Wait for a ring at most so long; return whether it rang, and take the ring back."""
        rang = await wait(self._rung, seconds)
        self._rung.clear()
        return rang

    async def _listen(self) -> None:
        while True:
            try:
                await self._hear()
            except ERRORS as error:
                await asyncio.sleep(self._link.down(error))

    async def _hear(self) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=10)
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(self._channel, self._heard)
            self._link.up()
            self.ring()  # for what was committed while nobody listened
            await lost.wait()
            raise ConnectionResetError("the listening connection ended")
        finally:
            connection.terminate()

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        if payload != self._ignored:
            self.ring()
