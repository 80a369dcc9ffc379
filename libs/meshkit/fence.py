"""Appends that are refused when the writer was replaced.

A fence is a number that grows with each new holder of a lease (PostgreSQL hands it out). Redis
keeps the newest fence that each stream has seen and refuses an older writer in the same step.
"""

from collections.abc import Mapping

import redis.asyncio

from meshkit import redis_scripts as scripts
from meshkit.facts import StaleFence


async def append(
    client: redis.asyncio.Redis,
    stream: str,
    fence: int,
    fields: Mapping[str, bytes | str],
    *,
    longest: int = 0,
) -> str:
    """Append an entry and return its id; ``longest`` caps the stream (roughly; 0 does not).

    Raises ``StaleFence`` when the stream has seen a newer fence. A Redis that was emptied has
    seen none: the lease in PostgreSQL stays the truth, and this is the second net.
    """
    flat = [part for pair in fields.items() for part in pair]
    script = client.register_script(scripts.FENCED_APPEND)
    answer = await script(
        keys=[stream, scripts.beside("fence", stream)], args=[fence, longest, *flat]
    )
    if isinstance(answer, int):
        raise StaleFence(
            f"Fence {fence} of {stream} is stale: {answer} has been seen.",
            metadata={"stream": stream, "fence": str(fence)},
        )
    return str(answer.decode())
