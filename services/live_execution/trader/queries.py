"""Questions to the trader that change nothing, such as the preview of an order.

An entry of the capped stream has ``i`` (query id), ``k`` (kind), ``p`` (request) and ``d``
(deadline, unix ms). The answer is pushed to a list: ``+`` and the response, or ``-``, the reason,
a line feed and the message.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio

from meshkit.errors import MeshError
from meshkit.link import ERRORS, Link
from meshkit.redis_client import BLOCK_MS
from services.live_execution.trader.lease import Lease

log = logging.getLogger("live_execution.trader.queries")

KEPT_S = 60
"""Seconds that an answer waits for its reader."""

_AT_ONCE = 64

Answerer = Callable[[bytes], Awaitable[bytes]]


class Queries:
    """Reads on the store thread and has the answerers run on the engine's loop."""

    def __init__(
        self, client: redis.asyncio.Redis, lease: Lease, engine: asyncio.AbstractEventLoop
    ) -> None:
        self._client = client
        self._lease = lease
        self._engine = engine
        self._link = Link(f"queries:{lease.key.project}:{lease.key.trader_id}")
        self._last = "0-0"
        self.answerers: dict[str, Answerer] = {}

    async def run(self) -> None:
        """Answer until cancelled, or until another process has the lease."""
        slots = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            while not self._lease.lost:
                for fields in await self._read():
                    await slots.acquire()
                    task = group.create_task(self._answer(fields))
                    task.add_done_callback(lambda _: slots.release())

    async def _read(self) -> list[dict[bytes, bytes]]:
        stream = self._lease.key.queries
        try:
            answer: Any = await self._client.xread({stream: self._last}, count=64, block=BLOCK_MS)
            self._link.up()
        except ERRORS as error:
            await asyncio.sleep(self._link.down(error))
            self._last = "0-0"  # it may come back empty; what is too old is not answered again
            return []
        entries = [raw for _, raws in answer or () for raw in raws]
        if entries:
            self._last = entries[-1][0].decode()
        return [fields for _, fields in entries]

    async def _answer(self, fields: dict[bytes, bytes]) -> None:
        if int(fields.get(b"d", b"0")) < time.time() * 1000:
            return
        answerer = self.answerers.get(fields.get(b"k", b"").decode())
        if answerer is None or self._lease.lost:
            return
        answer = await self._ask(answerer, fields.get(b"p", b""))
        key = self._lease.key.reply(fields.get(b"i", b"").decode())
        try:
            async with self._client.pipeline() as pipeline:
                pipeline.rpush(key, answer)
                pipeline.expire(key, KEPT_S)
                await pipeline.execute()
        except ERRORS as error:
            self._link.down(error)

    async def _ask(self, answerer: Answerer, request: bytes) -> bytes:
        async def on_engine() -> bytes:
            return await answerer(request)

        try:
            asked = asyncio.run_coroutine_threadsafe(on_engine(), self._engine)
            answer: bytes = await asyncio.wrap_future(asked)
            return b"+" + answer
        except MeshError as error:
            return f"-{error.reason}\n{error.message}".encode()
        except Exception:  # a bug in an answerer must not end the answering
            log.exception("a question could not be answered")
            return b"-INTERNAL\nThe trader could not answer; see its log."
