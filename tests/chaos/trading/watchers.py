"""Clients that watch orders through everything, by their cursors."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from mesh.execution.v1 import events_pb2 as pb
from meshclient.client import MeshClient
from meshclient.errors import MeshClientError
from meshclient.facts import FactWatch

KINDS = ("order", "position", "account", "unknown")
"""What ``WatchOrders`` tells of the facts of a trader."""
PATIENCE_S = 120.0

Seen = tuple[str, int, bytes]
"""Trader, number and fact."""


class Watcher:
    """One client that watches some traders; it may leave, and comes back with its cursor."""

    def __init__(self, mesh: MeshClient, trader_ids: Sequence[str]) -> None:
        self.trader_ids = trader_ids
        self.breaks: list[MeshClientError] = []
        self.visits = 0
        self.seen: list[Seen] = []
        self._orders = mesh.orders
        self._cursor, self._kept = "", 0
        self._watch: FactWatch[pb.TraderFact] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Watch, from where it was before if it was away."""
        self.visits += 1
        self._watch = self._orders.watch(
            *self.trader_ids, cursor=self._cursor, broken=self.breaks.append, patience=PATIENCE_S
        )
        await self._watch.attach()
        self._task = asyncio.create_task(self._read(self._watch))

    async def stop(self) -> None:
        """Leave; what was seen of a message that was not read to its end will come again."""
        assert self._task is not None
        assert self._watch is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._watch.close()
        if self._watch.cursor == self._cursor:
            del self.seen[self._kept :]
        self._cursor = self._watch.cursor
        self._kept = len(self.seen)

    async def _read(self, watch: FactWatch[pb.TraderFact]) -> None:
        async for told in watch:
            if watch.cursor != self._cursor:  # all before this fact was read to its end
                self._cursor, self._kept = watch.cursor, len(self.seen)
            fact = told.fact.SerializeToString(deterministic=True)
            self.seen.append((told.subject, told.number, fact))

    def count(self, trader_id: str) -> int:
        """Return how many facts of a trader it was told; raises what ended the watch."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()
        return sum(1 for trader, _, _ in self.seen if trader == trader_id)

    def faults(self, facts: Mapping[str, Sequence[Seen]]) -> list[str]:
        """Compare with all facts that there are, by trader."""
        found = []
        for trader_id in self.trader_ids:
            seen = [each for each in self.seen if each[0] == trader_id]
            if seen != facts[trader_id]:
                numbers = [number for _, number, _ in seen]
                there = [number for _, number, _ in facts[trader_id]]
                found.append(
                    f"{trader_id}: told {len(seen)} of {len(there)} facts, "
                    f"missing {sorted({*there} - {*numbers})[:5]}, "
                    f"twice {len(numbers) - len({*numbers})}"
                )
        return found


@asynccontextmanager
async def watching(watchers: Sequence[Watcher]) -> AsyncIterator[None]:
    """Let watchers watch while the block lasts."""
    for each in watchers:
        await each.start()
    try:
        yield
    finally:
        await asyncio.gather(*(each.stop() for each in watchers))
