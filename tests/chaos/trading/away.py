"""A trader whose stores are away for a time: what it sends meanwhile, and what it does not."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from chaos.trading.alone import Alone, Started, alone
from integration.live_execution.outside.kit import Way, World, until
from mesh.execution.v1 import events_pb2 as pb
from mesh.execution.v1 import trader_pb2
from meshkit.times import to_nanos
from services.live_execution.engine.health import NO_NEW
from services.live_execution.trader import journal_file

SECOND = 1_000_000_000
LOST = "LEASE_LOST"
BUYS, SELLS = "B-", "S-"
"""Orders of the strategy that make its position larger, and smaller; see ``restless.py``."""


class Journal:
    """The journal of one process, read as it is written."""

    def __init__(self, folder: Path) -> None:
        self.facts: list[pb.TraderFact] = []
        self.bodies: list[bytes] = []
        (segment,) = journal_file.scan(folder)
        self._path, self._first, self._at = segment.path, segment.first, journal_file.HEADER_SIZE

    def read(self) -> Sequence[pb.TraderFact]:
        """Return all that is there by now."""
        descriptor = os.open(self._path, os.O_RDONLY)
        try:
            found = [b""]
            while found:
                number = self._first + len(self.bodies)
                records, self._at = journal_file.read(descriptor, self._at, number)
                found = [body for _, body in records]
                self.bodies += found
                self.facts += [pb.TraderFact.FromString(body) for body in found]
        finally:
            os.close(descriptor)
        return self.facts


@dataclass
class Outage:
    """A trader at work whose stores can be cut off; times are unix nanoseconds."""

    at: Alone
    process: Started
    ways: Sequence[Way]
    journal: Journal
    cut_ns: int = 0
    mended_ns: int = 0

    async def away(self, seconds: float) -> None:
        """Cut the stores off for so long, and longer if it takes that until the trader knows."""
        await self.at.more(self.process, 40, "B")
        await asyncio.gather(*(way.cut() for way in self.ways))
        self.cut_ns = time.time_ns()
        await self.at.until(lambda: len(self._refused()) > 5, "orders are refused")
        began = len(self.journal.facts)
        await self.at.until(lambda: self._goes_on(began, seconds), "it cancels and reduces")
        self.mended_ns = time.time_ns()
        await asyncio.gather(*(way.mend() for way in self.ways))
        await self.at.more(self.process, 10, "B")
        await self.at.until(lambda: self._states()[-1] == "RUNNING", "it is RUNNING again")

    def _refused(self) -> list[str]:
        return [
            each.order.client_order_id
            for each in self.journal.read()
            if each.order.type == pb.ORDER_EVENT_TYPE_DENIED and each.order.reason.startswith(LOST)
        ]

    def _goes_on(self, began: int, seconds: float) -> bool:
        """Whether the time is over, and orders were cancelled and positions reduced in it."""
        kinds = [
            (each.order.type, each.order.client_order_id[:2])
            for each in self.journal.read()[began:]
        ]
        sold = kinds.count((pb.ORDER_EVENT_TYPE_FILLED, SELLS))
        canceled = kinds.count((pb.ORDER_EVENT_TYPE_CANCELED, "R-"))
        over = time.time_ns() >= self.cut_ns + seconds * SECOND
        return over and sold >= 3 and canceled >= 3 and "DEGRADED" in self._states()

    def _states(self) -> list[str]:
        return [_name(each) for each in self._told()]

    def _told(self) -> Iterator[trader_pb2.Trader]:
        facts = self.journal.read()
        return (each.trader.trader for each in facts if each.HasField("trader"))

    async def check(self) -> None:
        """Check what was sent while the stores were away, and that all of it was stored after."""
        refused = self._refused()
        assert {key[:2] for key in refused} == {BUYS}
        assert not {*refused} & {*self.at.arrived()}
        late = self.cut_ns + self.at.ticket.lease_s * SECOND
        sent = [
            key
            for each in self.journal.facts
            if each.intent.action == "SUBMIT" and late < to_nanos(each.ts) < self.mended_ns
            for key in each.intent.client_order_ids
        ]
        assert {key[:2] for key in sent} == {SELLS}
        shown = [list(each.restrictions) for each in self._told() if _name(each) == "DEGRADED"]
        assert [NO_NEW] in shown
        await self._stored()

    async def _stored(self) -> None:
        bodies = list(self.journal.bodies)
        world = self.at.world

        async def shipped() -> bool:
            return await world.head() >= len(bodies)

        await until(shipped)
        stored = await world.stored()
        assert [body for _, body in stored[: len(bodies)]] == bodies
        assert [number for number, _ in stored] == list(range(1, len(stored) + 1))


def _name(trader: trader_pb2.Trader) -> str:
    return trader_pb2.TraderState.Name(trader.state).removeprefix("TRADER_STATE_")


@asynccontextmanager
async def outage(world: World, millis: int = 20, **changes: object) -> AsyncIterator[Outage]:
    """Give a trader at work that reaches its stores by ways which can be cut."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mesh-a-")))
        socket, there = ".s.PGSQL.5432", world.dsn.partition("host=")[2]
        valkey = world.redis_url.rpartition("@")[2]
        ways = [Way(f"{there}/{socket}", folder / socket), Way(valkey, folder / "v.sock")]
        for way in ways:
            await stack.enter_async_context(way)
        urls = {
            "database_url": world.dsn.replace(there, str(folder)),
            "redis_url": world.redis_url.replace(valkey, str(folder / "v.sock")),
        }
        at = await stack.enter_async_context(alone(world, millis, **{**urls, **changes}))
        process = at.start()
        await at.more(process, 1, "B")
        yield Outage(at, process, ways, Journal(Path(at.ticket.journal)))
