"""One consumer's view of a consumer group on a stream."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio
from redis.exceptions import ResponseError

from meshkit import redis_scripts as scripts
from meshkit.redis_client import BLOCK_MS
from meshkit.redis_scripts import beside

DEAD_LONGEST = 10_000
"""Parked entries kept per stream."""

_ABSENT_MS = 24 * 3600 * 1000

_GROUP_IS_GONE = ("NOGROUP", "UNBLOCKED")  # emptied before a read; while one waited


@dataclass(frozen=True)
class Entry:
    """What a handler gets.

    ``key`` is the outbox row's key, or the fact's number; ``payload`` the row's payload, or the
    serialised ``mesh.events.v1.Event``; ``deliveries`` counts this delivery too.
    """

    key: str
    payload: bytes
    deliveries: int
    id: str
    seq: str = ""

    @property
    def identity(self) -> tuple[str, str]:
        """What stays the same when Redis was emptied and the entry was added again."""
        return self.key, self.seq


class Group:
    """Reads, claims, keeps, acknowledges and parks entries in the name of one consumer."""

    def __init__(self, client: redis.asyncio.Redis, stream: str, group: str, name: str) -> None:
        self._client = client
        self.stream, self.group, self.name = stream, group, name
        self._beat = client.register_script(scripts.BEAT)
        self._release = client.register_script(scripts.RELEASE)
        self._bury = client.register_script(scripts.BURY)
        self._scan = "0-0"

    async def read(self, count: int) -> list[Entry]:
        """Return up to ``count`` new entries; waits a moment for the first."""
        try:
            answer: Any = await self._client.xreadgroup(
                self.group, self.name, {self.stream: ">"}, count=count, block=BLOCK_MS
            )
        except ResponseError as error:
            await self._make_anew(error)
            return []
        return [_entry(raw, 1) for _, raws in answer or () for raw in raws]

    async def claim(self, idle: float, count: int) -> list[Entry]:
        """Take over up to ``count`` entries that nobody kept for ``idle`` seconds."""
        try:
            answer: Any = await self._client.xautoclaim(
                self.stream,
                self.group,
                self.name,
                min_idle_time=round(idle * 1000),
                start_id=self._scan,
                count=count,
            )
        except ResponseError as error:
            await self._make_anew(error)
            return []
        self._scan = answer[0].decode()
        return [_entry(raw, await self._deliveries(raw[0])) for raw in answer[1]]

    async def keep(self, ids: Sequence[str]) -> dict[str, int]:
        """Say that these are being worked on; per id 1 ours, 0 gone, -1 another's."""
        answer = await self._beat(keys=[self.stream], args=[self.group, self.name, *ids])
        return dict(zip(ids, answer, strict=True))

    async def acknowledge(self, *ids: str) -> None:
        """Say that these are handled."""
        await self._client.xack(self.stream, self.group, *ids)

    async def release(self, entry_id: str, idle: float, deliveries: int) -> None:
        """Give an entry back as if it had been idle for so long and delivered so often."""
        await self._release(
            keys=[self.stream],
            args=[self.group, self.name, entry_id, round(idle * 1000), deliveries],
        )

    async def bury(self, entry: Entry, reason: str) -> None:
        """Park an entry on ``dead:<stream>`` and acknowledge it, in one step."""
        fields: Mapping[str, Any] = {
            "k": entry.key,
            "p": entry.payload,
            "id": entry.id,
            "group": self.group,
            "reason": reason,
            "deliveries": entry.deliveries,
        }
        flat = [part for pair in fields.items() for part in pair]
        await self._bury(
            keys=[self.stream, f"dead:{self.stream}", beside("index", self.stream)],
            args=[self.group, entry.id, entry.seq, DEAD_LONGEST, *flat],
        )

    async def forget_absent(self) -> None:
        """Remove members that have not been seen for a day and hold nothing."""
        if not await self._client.exists(self.stream):
            return
        try:
            members: Any = await self._client.xinfo_consumers(self.stream, self.group)
        except ResponseError as error:
            await self._make_anew(error)
            return
        for member in members:
            if not member["pending"] and member["idle"] > _ABSENT_MS:
                await self._client.xgroup_delconsumer(self.stream, self.group, member["name"])

    async def _deliveries(self, entry_id: bytes) -> int:
        found: Any = await self._client.xpending_range(
            self.stream, self.group, min=entry_id, max=entry_id, count=1
        )
        return int(found[0]["times_delivered"]) if found else 1

    async def _make_anew(self, error: ResponseError) -> None:
        if not str(error).startswith(_GROUP_IS_GONE):
            raise error
        try:  # from the beginning: what this group has handled already it knows by itself
            await self._client.xgroup_create(self.stream, self.group, id="0", mkstream=True)
        except ResponseError as other:
            if not str(other).startswith("BUSYGROUP"):
                raise


def _entry(raw: tuple[bytes, dict[bytes, bytes]], deliveries: int) -> Entry:
    entry_id = raw[0].decode()
    fields = raw[1] or {}
    if b"e" in fields:
        return Entry(entry_id.partition("-")[0], fields[b"e"], deliveries, entry_id)
    key, seq = (fields.get(name, b"").decode(errors="replace") for name in (b"k", b"s"))
    return Entry(key, fields.get(b"p", b""), deliveries, entry_id, seq)
