"""Callers who wait for what becomes of their orders, woken by the commit that tells it."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from mesh.execution.v1.order_pb2 import Order
from meshkit.bell import Bell
from meshkit.database import Database
from meshkit.link import ERRORS, Link, wait
from services.live_execution.order_convert import CommandRow, Goal
from services.live_execution.order_store import OrderStore

log = logging.getLogger("live_execution.waiting")


@dataclass(eq=False)
class Waiter:
    """One caller: what he waits for, and what was last seen of it."""

    goal: Goal
    command_id: str
    command: CommandRow | None = None
    orders: dict[str, Order] = field(default_factory=dict)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    def see(self, command: CommandRow, orders: dict[str, Order]) -> None:
        """Take over what is stored, and wake the caller when it is enough."""
        self.command, self.orders = command, orders
        if self.goal.reached(command, orders):
            self.reached.set()


class Waiting:
    """Looks for all waiters at once whenever a transaction of this schema commits.

    ``poll`` is how often it looks without being told, for the case that the bell's connection is
    lost. ``async with`` starts and ends it.
    """

    def __init__(self, database: Database, store: OrderStore, *, poll: float = 0.25) -> None:
        self._database = database
        self._store = store
        self._poll = poll
        self._bell = Bell(database.dsn, database.schema, facts_only=True)
        self._link = Link("live_execution:waiting")
        self._waiters: set[Waiter] = set()
        self._some = asyncio.Event()

    async def __aenter__(self) -> "Waiting":
        await self._bell.__aenter__()
        self._task = asyncio.create_task(self._run(), name="waiting")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._bell.__aexit__()

    @contextmanager
    def expecting(self, goal: Goal, command_id: str) -> Iterator[Waiter]:
        """Give a waiter for a command; enter before its commit, so that nothing is missed."""
        waiter = Waiter(goal, command_id)
        self._waiters.add(waiter)
        self._some.set()
        try:
            yield waiter
        finally:
            self._waiters.discard(waiter)

    async def wait(self, waiter: Waiter, seconds: float) -> bool:
        """Wait at most so long, and look once more then; return whether the goal is reached."""
        if not await wait(waiter.reached, seconds):
            with suppress(*ERRORS):  # then it is not known
                await self._look([waiter])
        return waiter.reached.is_set()

    def look(self) -> None:
        """Look at once: a waiter waits for something that may have happened long ago."""
        self._bell.ring()

    async def _run(self) -> None:
        while True:
            try:
                await self._some.wait()
                await self._bell.wait(self._poll)
                await self._look(list(self._waiters))
                self._link.up()
                if not self._waiters:
                    self._some.clear()
            except ERRORS as error:
                await asyncio.sleep(self._link.down(error))
            except Exception as error:  # a bug must not end all waiting without a word
                log.exception("orders cannot be looked at")
                await asyncio.sleep(self._link.down(error))

    async def _look(self, waiters: list[Waiter]) -> None:
        waiters = [each for each in waiters if not each.reached.is_set()]
        if not waiters:
            return
        async with self._database.connection() as tx:
            found = await self._store.awaited(tx, [each.command_id for each in waiters])
        for waiter in waiters:
            if waiter.command_id in found:
                waiter.see(*found[waiter.command_id])


def left(bound: float, deadline: float | None, now: float, margin: float = 0.25) -> float:
    """Return how long may be waited: the bound, or what the call's deadline leaves for it."""
    return bound if deadline is None else max(0.0, min(bound, deadline - now - margin))
