"""Questions to a running trader, which change nothing: asked and answered through Redis."""

import asyncio
import time
import uuid
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from meshkit.context import deadline
from meshkit.errors import StoreUnavailable
from services.live_execution.errors import TraderUnresponsive
from services.live_execution.names import TraderKey
from services.live_execution.order_errors import refused
from services.live_execution.waiting import left

LONGEST = 1_000
"""Questions kept in a stream: those that nobody answers fall out."""


class Querying:
    """Asks traders; ``seconds`` is how long an answer is waited for.

    A question has the fields ``i`` (its id), ``k`` (kind), ``p`` (the request) and ``d`` (until
    when it is wanted, unix milliseconds); its answer is one value of a list: ``+`` and the
    response, or ``-``, a reason, a line feed and a message.
    """

    def __init__(self, client: redis.asyncio.Redis, *, seconds: float = 3.0) -> None:
        self._client = client
        self._seconds = seconds

    async def ask(self, key: TraderKey, kind: str, request: bytes, subject: str) -> bytes:
        """Return a trader's answer. Raises ``TraderUnresponsive``, or what the trader refused for.

        ``subject`` is what the question is about, such as a client order id.
        """
        loop = asyncio.get_running_loop()
        seconds = left(self._seconds, deadline(), loop.time())
        query_id = str(uuid.uuid4())
        try:
            answer = await self._asked(key, kind, query_id, request, seconds)
        except (RedisError, OSError) as error:
            raise StoreUnavailable(
                "Redis is out of reach, and the trader cannot be asked. Try again.",
                metadata={"store": "redis"},
                retry_after=1.0,
            ) from error
        if answer is None:
            raise TraderUnresponsive(
                f"The trader '{key.trader_id}' did not answer within {seconds:.1f} s. Look at its "
                "state and its log.",
                metadata={"trader_id": key.trader_id},
            )
        if answer[:1] == b"+":
            return answer[1:]
        reason, _, message = answer[1:].decode(errors="replace").partition("\n")
        raise refused(reason, message, subject)

    async def _asked(
        self, key: TraderKey, kind: str, query_id: str, request: bytes, seconds: float
    ) -> bytes | None:
        until = round((time.time() + seconds) * 1_000)
        fields: Any = {"i": query_id, "k": kind, "p": request, "d": until}
        await self._client.xadd(key.queries, fields, maxlen=LONGEST, approximate=True)
        found: Any = await self._client.blpop([key.reply(query_id)], timeout=seconds)
        return None if found is None else bytes(found[1])
