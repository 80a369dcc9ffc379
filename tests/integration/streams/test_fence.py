"""Fenced appends on a real Valkey."""

import asyncio

import pytest
import redis.asyncio

from integration.streams.kit import entries
from meshkit import fence
from meshkit.facts import StaleFence


async def test_an_older_fence_is_refused(client: redis.asyncio.Redis) -> None:
    """Once a newer writer has appended, the older one cannot; the same one may go on."""
    await fence.append(client, "s", 1, {"e": b"a"})
    await fence.append(client, "s", 2, {"e": b"b"})
    with pytest.raises(StaleFence, match="2 has been seen"):
        await fence.append(client, "s", 1, {"e": b"ghost"})
    last = await fence.append(client, "s", 2, {"e": b"c"})
    found = await entries(client, "s")
    assert [fields[b"e"] for _, fields in found] == [b"a", b"b", b"c"]
    assert found[-1][0].decode() == last


async def test_racing_writers_never_go_back(client: redis.asyncio.Redis) -> None:
    """Whatever the order in which writers come, the fences in the stream never fall."""

    async def append(number: int) -> None:
        await fence.append(client, "s", number, {"e": str(number)})

    tasks = [append(n % 7 + 1) for n in range(60)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(result is None or isinstance(result, StaleFence) for result in results)
    seen = [int(fields[b"e"]) for _, fields in await entries(client, "s")]
    assert seen == sorted(seen)
    assert seen[-1] == 7


async def test_a_capped_stream_stays_short(client: redis.asyncio.Redis) -> None:
    """A cap holds the stream to about its length."""
    for number in range(500):
        await fence.append(client, "s", 1, {"e": str(number)}, longest=100)
    assert await client.xlen("s") < 300
