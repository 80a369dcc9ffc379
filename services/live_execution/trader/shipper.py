"""Copies the journal into PostgreSQL: facts, and in the same transaction what they add up to.

It goes on from PostgreSQL's head, whatever happened: a fact that is there is skipped, one that
PostgreSQL has lost (it need not flush each commit, the journal has it) is copied again.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Sequence

import asyncpg

from mesh.events.v1.events_pb2 import Event
from mesh.execution.v1.events_pb2 import TraderFact
from meshkit import facts
from meshkit.facts import HeadMoved, StaleFence
from meshkit.link import ERRORS, Link
from services.live_execution.names import TraderKey
from services.live_execution.trader.errors import JournalBroken
from services.live_execution.trader.feed import Feed
from services.live_execution.trader.journal_file import Record
from services.live_execution.trader.lease import Lease
from services.live_execution.trader.line import Line
from services.live_execution.trader.projections import Projections

log = logging.getLogger("live_execution.trader.shipper")

_TYPE = "type.googleapis.com/mesh.execution.v1.TraderFact"
_POISON = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
"""What PostgreSQL says about a row that it will never take."""

_LOOK_S = 5.0
"""Seconds between looks at the head when nothing happens: PostgreSQL may have been put back."""


class Shipper:
    """Runs on the store thread.

    ``changed`` is called when the way to PostgreSQL opens or closes.
    """

    def __init__(
        self,
        line: Line,
        feed: Feed,
        lease: Lease,
        projections: Projections,
        changed: Callable[[], None],
    ) -> None:
        self._line = line
        self._feed = feed
        self._lease = lease
        self._key: TraderKey = lease.key
        self._projections = projections
        self._changed = changed
        self._link = Link(f"shipper:{lease.key.project}:{lease.key.trader_id}")
        self._origin = uuid.uuid5(uuid.NAMESPACE_URL, lease.key.facts).int
        self._known = False
        self._moved = asyncio.Event()
        self.shipped = 0
        """The number of the last fact that PostgreSQL has, as far as known."""

    @property
    def is_up(self) -> bool:
        """Whether facts get through."""
        return self._link.is_up

    async def run(self) -> None:
        """Ship until cancelled, or until another process has the lease."""
        while not self._lease.lost:
            try:
                await self._turn()
                self._up()
            except StaleFence:
                self._lease.lose()
                self._changed()
            except HeadMoved:
                self._restart()
            except ERRORS as error:
                await self._down(error)
            except JournalBroken:
                log.exception("facts cannot be shipped: the journal lacks them")
                await self._down(None)

    def wake(self) -> None:
        """Let who waits look again: the lease is lost."""
        self._feed.wake()
        self._moved.set()

    async def until(self, number: int, seconds: float) -> bool:
        """Wait until facts up to a number are stored; return whether they are."""
        try:
            async with asyncio.timeout(seconds):
                while self.shipped < number and not self._lease.lost:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            pass
        return self.shipped >= number

    async def _turn(self) -> None:
        if not self._known:
            await self._find_head()
        batch = self._feed.take(self.shipped)
        if not batch:
            await self._feed.news(self.shipped, _LOOK_S)
            batch = self._feed.take(self.shipped)
        if batch:
            await self._ship(batch)
        else:
            await self._find_head()

    async def _find_head(self) -> None:
        connection = await self._line.get()
        head = await facts.heads(connection, [self._key.facts])
        number = head[0].number if head else 0
        if self._known and number < self.shipped:
            log.warning("the database has lost facts", extra={"head": number, "had": self.shipped})
            self._projections.forget()
        self._known = True
        self._advance(number)

    async def _ship(self, batch: Sequence[Record]) -> None:
        parsed = [(number, TraderFact.FromString(body)) for number, body in batch]
        try:
            await self._commit(batch, parsed)
        except (StaleFence, HeadMoved):
            raise
        except Exception as error:
            if isinstance(error, ERRORS) and not isinstance(error, _POISON):
                raise
            # a fact that cannot be projected must not hold up all others for good
            self._restart()
            if len(batch) > 1:
                half = len(batch) // 2
                await self._find_head()
                await self._ship(batch[:half])
                await self._ship(batch[half:])
                return
            log.exception("a fact is stored without its rows", extra={"number": batch[0][0]})
            await self._commit(batch, [])
        self._advance(batch[-1][0])

    async def _commit(
        self, batch: Sequence[Record], parsed: Sequence[tuple[int, TraderFact]]
    ) -> None:
        connection = await self._line.get()
        changes = await self._projections.fold(connection, parsed)
        await facts.append_many(
            connection,
            self._key.facts,
            batch[0][0],
            [self._event(number, body) for number, body in batch],
            fence=self._lease.fence,
            also=self._projections.writes(changes),
        )
        self._projections.committed()

    def _event(self, number: int, body: bytes) -> bytes:
        now = time.time_ns()
        event = Event(
            event_id=str(uuid.UUID(int=self._origin ^ number)),  # the same when it is told again
            stream=self._key.facts,
            number=number,
            owner=self._lease.owner,
            project=self._key.project,
            subject=self._key.trader_id,
            fence=self._lease.fence,
        )
        event.time.seconds, event.time.nanos = divmod(now, 1_000_000_000)
        event.payload.type_url = _TYPE
        event.payload.value = body
        return event.SerializeToString()

    def _advance(self, number: int) -> None:
        self.shipped = number
        self._moved.set()

    def _restart(self) -> None:
        self._known = False
        self._projections.forget()

    def _up(self) -> None:
        was = self._link.is_up
        self._link.up()
        if not was:
            self._changed()

    async def _down(self, error: BaseException | None) -> None:
        delay = self._link.down(error or RuntimeError("journal"))
        self._line.drop()
        self._restart()
        self._changed()
        await asyncio.sleep(delay)
