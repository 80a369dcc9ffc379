"""Clients that submit orders without pause, and repeat each until they know what became of it."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from mesh.execution.v1 import order_service_pb2 as rpc
from meshclient.client import MeshClient
from meshclient.errors import MeshClientError
from meshclient.orders import One

INSTRUMENTS = ("BTCUSDT.BINANCE", "ETHUSDT.BINANCE")
PASSING = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED"}
"""What a mesh that breaks may answer; anything else is a fault of its own."""
IMPATIENT, SURE = 0.2, 0.2
"""Shares of the orders whose answer is not waited for before the same call is made again, and of
those that are submitted once more although they were answered."""
LATE = {"ORDER_CLOSED", "ORDER_NOT_FOUND"}
PAUSE_S = 0.05


class Client:
    """One caller of one trader: it makes one order after the other."""

    def __init__(self, mesh: MeshClient, trader_id: str, draw: random.Random) -> None:
        self.trader_id = trader_id
        self.submitted: list[str] = []
        self.calls = self.answered = 0
        self.broken: Counter[str] = Counter()
        self._orders, self._draw = mesh.orders, draw

    async def run(self, stop: asyncio.Event) -> None:
        """Make orders until told to stop; each is answered then."""
        while not stop.is_set():
            await self._one()

    async def _one(self) -> None:
        rests = self._draw.random() < 0.4
        submission = self._orders.submit(
            self.trader_id,
            self._draw.choice(INSTRUMENTS),
            side := self._draw.choice(("BUY", "SELL")),
            f"0.0{self._draw.randint(1, 9)}",
            price=_far(side) if rests else None,
            wait=self._draw.choice(("", "accepted", "accepted" if rests else "terminal")),
            wait_seconds=2.0,
            expire_time=datetime.now(UTC) + timedelta(hours=1),  # however long something is away
        )
        self.submitted.append(submission.client_order_id)
        await self._until_answered(submission)
        if rests:
            await self._changed(submission.client_order_id, side)

    async def _until_answered(self, submission: One) -> None:
        first = await self._again(submission, impatient=self._draw.random() < IMPATIENT)
        self.answered += 1
        if first is not None and self._draw.random() < SURE:
            second = await self._again(submission)
            assert second is None or second.command.command_id == first.command.command_id

    async def _again(self, submission: One, *, impatient: bool = False) -> Any:
        """Make a call until it is answered; None when the answer is that it is denied."""
        while True:
            self.calls += 1
            try:
                async with asyncio.timeout(self._draw.uniform(0, 0.03) if impatient else None):
                    reply = await submission
                self.broken["UNKNOWN"] += reply.outcome == rpc.OUTCOME_UNKNOWN
                return reply
            except TimeoutError:
                self.broken["ABANDONED"] += 1
                impatient = False
            except MeshClientError as fault:
                if fault.reason == "ORDER_DENIED":
                    return None
                await self._passing(fault)

    async def _passing(self, fault: MeshClientError) -> None:
        if fault.code not in PASSING:
            raise fault
        self.broken[fault.reason] += 1
        await asyncio.sleep(PAUSE_S)

    async def _changed(self, key: str, side: str) -> None:
        """Modify the order or not, cancel it or not; whether that comes in time is no matter."""
        try:
            if self._draw.random() < 0.5:
                await self._orders.modify(
                    self.trader_id, key, quantity="0.10", price=_far(side, self._draw.randint(1, 9))
                )
            if self._draw.random() < 0.8:
                await self._orders.cancel(self.trader_id, key)
        except MeshClientError as fault:
            if fault.reason not in LATE:
                await self._passing(fault)


def _far(side: str, step: int = 0) -> str:
    """Return a price at which nobody trades."""
    return f"0.5{step}" if side == "BUY" else f"90000{step}.00"


@asynccontextmanager
async def trading(clients: Sequence[Client]) -> AsyncIterator[None]:
    """Let clients trade while the block lasts; after it each knows what became of its orders."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:  # the first that is told what it must not be ends all
        for each in clients:
            group.create_task(each.run(stop))
        yield
        stop.set()
