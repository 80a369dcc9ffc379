"""What runs on the store thread, put together."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import redis.asyncio

from mesh.execution.v1.trader_pb2 import TraderSpec
from meshkit.errors import MeshError, StoreUnavailable
from meshkit.link import ERRORS
from meshkit.redis_client import open_redis
from services.live_execution.names import TraderKey
from services.live_execution.trader import lease as leases
from services.live_execution.trader.commands import CommandReader, taken_ids
from services.live_execution.trader.feed import Feed
from services.live_execution.trader.journal import Journal
from services.live_execution.trader.journal_file import scan
from services.live_execution.trader.keeper import Keeper, halts
from services.live_execution.trader.latch import Latch
from services.live_execution.trader.lease import Lease, Terms
from services.live_execution.trader.line import Line
from services.live_execution.trader.ports import HaltNotice, Restored, Standing, Ticket
from services.live_execution.trader.projections import Projections
from services.live_execution.trader.queries import Queries
from services.live_execution.trader.recovery import Recovered, recover
from services.live_execution.trader.shipper import Shipper
from services.live_execution.trader.snapshot_keeper import SnapshotKeeper

log = logging.getLogger("live_execution.trader.stores")

Tell = Callable[[list[HaltNotice], Standing], None]


async def open_stores(ticket: Ticket, engine: asyncio.AbstractEventLoop) -> "Stores":
    """Claim the lease and recover. Raises what ``open_outside`` does."""
    async with AsyncExitStack() as stack:
        line = _line(ticket)
        stack.push_async_callback(line.close)
        client = await stack.enter_async_context(open_redis(ticket.redis_url))
        try:
            stores = await _claimed(ticket, engine, line, client)
        except MeshError:
            raise
        except ERRORS as error:
            raise StoreUnavailable(
                "The database is out of reach. Try again.", metadata={"store": "postgresql"}
            ) from error
        stores.keep_open(stack.pop_all())
        return stores


async def _claimed(
    ticket: Ticket, engine: asyncio.AbstractEventLoop, line: Line, client: redis.asyncio.Redis
) -> "Stores":
    key = TraderKey(ticket.project, ticket.trader_id)
    folder = Path(ticket.journal)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    connection = await line.get()
    above = max((segment.fence for segment in scan(folder)), default=0)
    terms = Terms(ticket.lease_s, ticket.margin_s)
    try:
        lease = await leases.claim(connection, key, terms, above)
    except ERRORS:  # a rival that claims in the same moment ends the sessions of others
        line.drop()
        await asyncio.sleep(random.uniform(0.05, 0.5))  # or both go on ending each other's
        connection = await line.get()
        lease = await leases.claim(connection, key, terms, above)
    try:
        latch = _latch(key, ticket)
        latch.stored(await halts(connection, key))
        recovered = await recover(connection, key, folder)
        return Stores(ticket, line, client, lease, latch, recovered, engine)
    except BaseException:
        await _release(connection, lease)
        raise


async def _go_on(work: Callable[[], Awaitable[None]]) -> None:
    """Do work until it ends; a bug in it is logged, and does not end it for good."""
    while True:
        try:
            return await work()
        except Exception:
            log.exception("it failed and begins again", extra={"work": work.__qualname__})
            await asyncio.sleep(1.0)


def _line(ticket: Ticket, **settings: str) -> Line:
    name = leases.session(TraderKey(ticket.project, ticket.trader_id))
    return Line(ticket.database_url, name, **settings)


def _latch(key: TraderKey, ticket: Ticket) -> Latch:
    spec = TraderSpec.FromString(ticket.spec)
    venues = [venue.venue for venue in spec.venues]
    tags = [component.order_id_tag for component in ticket.components]
    return Latch(key, ticket.redis_url, venues, tags)


async def _release(connection: asyncpg.Connection, lease: Lease) -> None:
    await leases.release(connection, lease.key, lease.fence)


class Stores:
    """Lives on the store thread; the engine's thread uses ``journal``, ``feed``, ``lease`` and
    ``latch`` as they allow.
    """

    def __init__(
        self,
        ticket: Ticket,
        line: Line,
        client: redis.asyncio.Redis,
        lease: Lease,
        latch: Latch,
        recovered: Recovered,
        engine: asyncio.AbstractEventLoop,
    ) -> None:
        folder = Path(ticket.journal)
        self._restored: Restored | None = recovered.restored
        self._line = line
        self.lease, self.latch = lease, latch
        self.journal = Journal(
            folder, lease.fence, recovered.restored.number + 1, recovered.segments
        )
        self.feed = Feed(self.journal, asyncio.get_running_loop())
        self.commands = CommandReader(client, _line(ticket), lease, taken_ids(recovered.unshipped))
        self.queries = Queries(client, lease, engine)
        # The journal has what PostgreSQL would lose by not flushing each commit.
        self._ship_line = _line(ticket, synchronous_commit="off")
        projections = Projections(lease.key, lease.fence, self.commands.submitters)
        self._shipper = Shipper(self._ship_line, self.feed, lease, projections, self._changed)
        self._keeper = Keeper(line, client, lease, latch, self._changed)
        self._snapshots = SnapshotKeeper(folder, _line(ticket), lease, self.journal, self._shipper)
        self._tell: Tell | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def keep_open(self, stack: AsyncExitStack) -> None:
        """Take what is to be closed at the end."""
        self._stack = stack

    async def begin(self, tell: Tell) -> None:
        """Start everything."""
        self._tell = tell
        for work in (
            self._shipper.run,
            self._keeper.keep_lease,
            self._keeper.watch_latch,
            self.queries.run,
            self._snapshots.run,
        ):
            self._tasks.append(asyncio.create_task(_go_on(work)))

    async def end(self, grace: float) -> None:
        """Ship what is left as far as the stores let, give up the lease, stop and close."""
        await self._shipper.until(self.journal.last, grace)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(2.0):
                await _release(await self._line.get(), self.lease)
        except ERRORS:
            pass  # it runs out by itself
        for closing in (self.journal, self.feed, self.latch):
            closing.close()
        for line in (self._ship_line, self._snapshots.line, self.commands.line):
            await line.close()
        await self._stack.aclose()

    def take_restored(self) -> Restored:
        """Return what was recovered, and forget it."""
        if self._restored is None:
            raise RuntimeError("what was restored is given once")
        restored, self._restored = self._restored, None
        return restored

    def keep_snapshot(self, body: bytes, number: int) -> None:
        """Keep a snapshot, here and in PostgreSQL."""
        self._snapshots.keep(body, number)

    def standing(self) -> Standing:
        """Return how lease and stores are."""
        lease = "LOST" if self.lease.lost else "HELD" if self.lease.held else "AWAY"
        reached = self._shipper.is_up and self._keeper.postgresql
        return Standing(lease, reached, self._keeper.redis)

    def _changed(self) -> None:
        if self.lease.lost:
            self._shipper.wake()
        if self._tell is not None:
            self._tell(self.latch.in_force(), self.standing())
