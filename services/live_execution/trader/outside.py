"""The world of a trader's engine: journal, lease, latch, shipper, commands, questions, secrets."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from mesh.execution.v1.events_pb2 import CommandTaken, TraderFact
from mesh.execution.v1.order_pb2 import TraderCommand
from services.live_execution.trader.commands import CommandReader
from services.live_execution.trader.journal import Journal
from services.live_execution.trader.lease import Lease
from services.live_execution.trader.ports import (
    HaltNotice,
    Refusal,
    Restored,
    Standing,
    Ticket,
)
from services.live_execution.trader.secrets import Secrets
from services.live_execution.trader.stores import Stores, open_stores
from services.live_execution.trader.thread import StoreThread

GRACE_S = 5.0
"""Seconds that an orderly end waits for the last facts to be stored."""


@asynccontextmanager
async def open_outside(
    ticket: Ticket,
    secrets_socket: socket.socket | None,
    loop: asyncio.AbstractEventLoop,
    grace: float = GRACE_S,
) -> AsyncIterator["TraderOutside"]:
    """Claim the lease, recover what was known, and give the world until the block ends.

    ``loop`` is the engine's, which runs this. At the end all facts are stored and the lease is
    given up. Raises ``LeaseHeld``, ``TraderGone``, ``StoreUnavailable`` and ``JournalBroken``.
    """
    async with StoreThread() as thread:
        stores = await thread.run(open_stores(ticket, loop))
        outside = TraderOutside(stores, thread, Secrets(secrets_socket, stores.lease.fence), loop)
        try:
            await thread.run(stores.begin(outside.tell))
            yield outside
        finally:
            await thread.run(stores.end(grace))


class TraderOutside:
    """A ``ports.Outside``; all methods are for the engine's thread."""

    def __init__(
        self,
        stores: Stores,
        thread: StoreThread,
        secrets: Secrets,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._stores = stores
        self._thread = thread
        self._secrets = secrets
        self._loop = loop
        self._lease: Lease = stores.lease
        self._journal: Journal = stores.journal
        self._reader: CommandReader = stores.commands
        self._on_halt: list[Callable[[Sequence[HaltNotice]], None]] = []
        self._on_standing: list[Callable[[Standing], None]] = []
        self._halts: list[HaltNotice] = stores.latch.in_force()
        self._standing = stores.standing()

    @property
    def fence(self) -> int:
        """The number of the lease."""
        return self._lease.fence

    def record(self, *facts: TraderFact) -> int:
        """Append facts to the journal; see ``ports.Outside``. Raises ``JournalBroken``."""
        now = 0
        bodies = []
        for fact in facts:
            if not fact.HasField("ts"):
                now = now or time.time_ns()
                fact.ts.seconds, fact.ts.nanos = divmod(now, 1_000_000_000)
            bodies.append(fact.SerializeToString())
        number = self._journal.append(bodies)
        self._stores.feed.put(number, bodies)
        return number

    def refusal(
        self, *, venue: str, order_id_tag: str, reducing: bool, cancel: bool = False
    ) -> Refusal | None:
        """Return why nothing may be sent now; see ``ports.Outside``."""
        if self._journal.broken:
            return Refusal("TRADER_FAILED", "The journal cannot be written: nothing is sent.")
        if not self._lease.held and (refused := self._without_lease(reducing or cancel)):
            return refused
        if cancel:
            return None
        halt = self._stores.latch.check(venue, order_id_tag, reducing)
        if halt is None:
            return None
        kind = "only orders that reduce pass" if halt.reducing else "no orders pass"
        return Refusal(
            "TRADER_HALTED",
            f"A halt of {halt.scope} is in force ({halt.reason or 'no reason given'}): {kind}"
            " until it is reset.",
        )

    async def commands(self) -> AsyncGenerator[TraderCommand]:
        """Yield commands; see ``ports.Outside``. Raises ``StaleFence``."""
        while True:
            command, deadly = await self._thread.run(self._reader.next())
            if deadly:
                self._refuse(
                    command,
                    "TRADER_DIED",
                    "The trader's process died each time that"
                    " it took this command. Look at its log.",
                )
            elif _is_expired(command):
                self._refuse(
                    command,
                    "COMMAND_EXPIRED",
                    "The trader came to it after its expire"
                    " time; nothing was sent. Send a new one if it is still wanted.",
                )
            else:
                yield command

    def answer(self, kind: str, answerer: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer questions of a kind."""
        self._stores.queries.answerers[kind] = answerer

    async def secrets(self, credential_id: str) -> Mapping[str, str]:
        """Return the secrets of a venue. Raises ``SecretsRefused``."""
        return await self._secrets.ask(credential_id)

    def on_halt(self, callback: Callable[[Sequence[HaltNotice]], None]) -> None:
        """Call back with the halts in force: soon when there are any, then when they change."""
        self._on_halt.append(callback)
        if self._halts:
            self._loop.call_soon(lambda: callback(self._halts))

    def on_standing(self, callback: Callable[[Standing], None]) -> None:
        """Call back with the standing: soon, and when it changes."""
        self._on_standing.append(callback)
        self._loop.call_soon(lambda: callback(self._standing))

    async def restored(self) -> Restored:
        """Return what the trader knew; once, it is forgotten here then."""
        return self._stores.take_restored()

    def snapshot(self, body: bytes, number: int) -> None:
        """Keep a snapshot."""
        self._thread.call(self._stores.keep_snapshot, body, number)

    def tell(self, halts: list[HaltNotice], standing: Standing) -> None:
        """Take news; from the store thread."""
        self._loop.call_soon_threadsafe(self._take, halts, standing)

    def _take(self, halts: list[HaltNotice], standing: Standing) -> None:
        if halts != self._halts:
            self._halts = halts
            for each in self._on_halt:
                each(halts)
        if standing != self._standing:
            self._standing = standing
            for callback in self._on_standing:
                callback(standing)

    def _without_lease(self, harmless: bool) -> Refusal | None:
        if self._lease.away:
            if harmless:
                return None
            return Refusal(
                "LEASE_LOST",
                "The lease has ended because the database is out of reach: only cancels and"
                " orders that reduce pass until it is renewed.",
            )
        return Refusal(
            "STALE_FENCE",
            "The lease has ended, and another process may run the trader: nothing is sent.",
        )

    def _refuse(self, command: TraderCommand, reason: str, message: str) -> None:
        taken = CommandTaken(command_id=command.command_id, reason=reason, message=message)
        self.record(TraderFact(command=taken))


def _is_expired(command: TraderCommand) -> bool:
    return command.HasField("expire_time") and command.expire_time.ToNanoseconds() < time.time_ns()
