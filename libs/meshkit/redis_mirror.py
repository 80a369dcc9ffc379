"""The Redis side of publishing: what a stream has, what it shall have, what it may forget."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

import redis.asyncio

from meshkit import redis_scripts as scripts
from meshkit.facts import Fact
from meshkit.outbox import Row
from meshkit.redis_scripts import beside

_EPOCH = "mesh:epoch"


class Mirror:
    """Fact streams in Redis. An entry's id is ``<number>-0`` and its field ``e`` the event."""

    def __init__(self, client: redis.asyncio.Redis, origin: str, longest: int) -> None:
        self._client = client
        self._origin = origin
        self.longest = longest
        self._publish = client.register_script(scripts.PUBLISH)

    async def offer(self, stream: str, expected: int, facts: Sequence[Fact] = ()) -> int:
        """Add facts if the stream ends with number ``expected``; return the last number it has.

        Checked and added in one step, so a stream that was emptied, rolled back or fed by
        another replica meanwhile is told by the answer and never gets a hole.
        """
        flat = [part for fact in facts for part in (fact.number, fact.event)]
        answer = await self._publish(
            keys=[stream, beside("origin", stream)],
            args=[self._origin, expected, self.longest, *flat],
        )
        return int(answer)

    async def reset(self, stream: str) -> None:
        """Remove a stream whose numbers are not ours."""
        await self._client.delete(stream)

    async def trim(self, stream: str, before: int) -> None:
        """Forget facts below ``before``, roughly."""
        await self._client.xtrim(stream, minid=f"{before}-0", approximate=True)

    async def drop_groups_behind(self, stream: str, before: int) -> list[str]:
        """Remove groups that have yet to handle a fact below ``before``; return their names."""
        gone = []
        for group in await self._groups(stream):
            needed = await self._first_needed(stream, group)
            if needed is not None and needed < before:
                await self._client.xgroup_destroy(stream, group["name"])
                gone.append(_text(group["name"]))
        return gone

    async def size(self, stream: str) -> int:
        """Return the bytes that a stream takes, by a sample."""
        return int(await self._client.memory_usage(stream) or 0)

    async def _groups(self, stream: str) -> list[dict[str, Any]]:
        if not await self._client.exists(stream):
            return []
        groups: list[dict[str, Any]] = await self._client.xinfo_groups(stream)
        return groups

    async def _first_needed(self, stream: str, group: dict[str, Any]) -> int | None:
        if group["pending"]:
            return _number((await self._client.xpending(stream, group["name"]))["min"])
        after = b"(" + group["last-delivered-id"]
        unread = await self._client.xrange(stream, min=after, count=1)
        return _number(unread[0][0]) if unread else None


def _number(entry_id: bytes | str | None) -> int | None:
    return int(_text(entry_id).partition("-")[0]) if entry_id else None


def _text(reply: bytes | str) -> str:  # the client gives bytes; its types allow for both
    return reply.decode() if isinstance(reply, bytes) else reply


@dataclass(frozen=True)
class Epoch:
    """One life of a Redis: of its process and of its contents."""

    run: str
    mark: str

    def __str__(self) -> str:
        return f"{self.run}:{self.mark}"


class Queues:
    """Job and command streams in Redis, each with an index of the outbox rows that it has."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._ensure = client.register_script(scripts.ENSURE)
        self._drop = client.register_script(scripts.DROP)

    async def epoch(self) -> Epoch:
        """Return the present epoch: another after a restart, a fail-over or a flush."""
        await self._client.set(_EPOCH, secrets.token_hex(8), nx=True)
        mark = await self._client.get(_EPOCH) or b""
        server = await self._client.info("server")
        return Epoch(str(server["run_id"]), _text(mark))

    async def ensure(self, rows: Sequence[Row]) -> int:
        """Add the rows that their streams lack; return how many."""
        added = 0
        for stream, group in groupby(sorted(rows, key=_ORDER), key=attrgetter("stream")):
            flat = [part for row in group for part in (row.seq, row.key, row.payload)]
            added += int(await self._ensure(keys=[stream, beside("index", stream)], args=flat))
        return added

    async def drop(self, rows: Sequence[Row]) -> None:
        """Take rows out of their streams."""
        for stream, group in groupby(sorted(rows, key=_ORDER), key=attrgetter("stream")):
            seqs = [row.seq for row in group]
            await self._drop(keys=[stream, beside("index", stream)], args=seqs)


_ORDER = attrgetter("stream", "seq")
