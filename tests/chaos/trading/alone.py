"""Traders without a mesh: their processes from tickets, at a simulated Binance that counts what
arrives, with stores that can be cut off.
"""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from integration.live_execution.engine.at_binance import INSTRUMENTS, spec_at
from integration.live_execution.outside.kit import KEY as TRADER
from integration.live_execution.outside.kit import World
from services.live_execution.engine.main import HELD
from services.live_execution.launching.local import PROGRAM
from services.live_execution.launching.secrets import SecretsServer
from services.live_execution.trader.ports import Component, Ticket
from simulators.binance.accounts import KEY, SECRET
from simulators.binance.venue import Binance

ROOT = Path(__file__).resolve().parents[3]
MARKET = "futures"
PATIENCE_S = 60.0
TERMS = {"lease_s": 3.0, "margin_s": 0.5}


async def _secrets(*_: object) -> Mapping[str, str]:
    return {"api_key": KEY, "api_secret": SECRET}


class Started:
    """A process of the trader, as a launcher starts one."""

    def __init__(self, ticket: Ticket, log: Path) -> None:
        ours, theirs = socket.socketpair()
        with theirs, log.open("ab") as output:
            self.child = subprocess.Popen(
                [*PROGRAM, str(theirs.fileno()), f"default/{TRADER.trader_id}"],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT}/libs"},
                start_new_session=True,
            )
        ours.setblocking(False)
        self._server = SecretsServer(TRADER, ours, _secrets)
        self._server.hand(ticket)

    @property
    def pid(self) -> int:
        """Its process."""
        return self.child.pid

    @property
    def code(self) -> int | None:
        """Its exit code, None while it lives."""
        return self.child.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.child.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end and return its code."""
        return await asyncio.to_thread(self.child.wait, PATIENCE_S)

    def end(self) -> None:
        """Kill it if it lives."""
        self._server.close()
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()


@dataclass
class Alone:
    """A trader's row, the venue, and the processes that were started of it."""

    world: World
    venue: Binance
    ticket: Ticket
    log: Path
    started: list[Started] = field(default_factory=list)

    def start(self) -> Started:
        """Start a process from the ticket."""
        self.started.append(Started(self.ticket, self.log))
        return self.started[-1]

    async def successor(self) -> Started:
        """Start processes until one is not refused: its predecessor's lease has ended."""
        while True:
            process = self.start()
            await self.until(
                lambda: process.code is not None or self.arrived(process),  # noqa: B023  # in this turn
                "a process is refused, or trades",
            )
            if process.code is None:
                return process
            assert process.code == HELD

    def arrived(self, process: Started | None = None, kinds: str = "RBS") -> list[str]:
        """Return the ids of orders that reached the venue, of one process if one is given."""
        ids = [order.client_id for order in self.venue.accounts.of[MARKET].orders.values()]
        parts = ((key, key.split("-")) for key in ids)
        return [
            key
            for key, (kind, pid, _) in parts
            if kind in kinds and (process is None or int(pid) == process.pid)
        ]

    def received(self) -> int:
        """Return how many calls about orders reached the venue, whatever it answered."""
        return len(self.venue.accounts.of[MARKET].received)

    async def more(self, process: Started, count: int, kinds: str = "RBS") -> None:
        """Wait until a process has so many orders more at the venue."""
        goal = len(self.arrived(process, kinds)) + count
        await self.until(lambda: len(self.arrived(process, kinds)) >= goal, "more orders arrive")

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something; if it does not come the trader's log is shown."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            text = self.log.read_text()[-3000:]
            raise AssertionError(f"not within {PATIENCE_S:g} s: {what}\n{text}") from None


@asynccontextmanager
async def alone(world: World, millis: int = 20, **changes: object) -> AsyncIterator[Alone]:
    """Give a trader with a strategy that orders at such intervals; its processes end with the
    block.
    """
    async with Binance() as venue:
        venue.quote(MARKET, "BTCUSDT", "50000.0", "5", "50000.1", "5")
        spec = spec_at(venue, MARKET)
        for rate in (spec.risk.max_order_submit_rate, spec.risk.max_order_modify_rate):
            rate.limit = 100_000
            rate.interval.FromSeconds(1)
        values = {**TERMS, "spec": spec.SerializeToString(), "components": (_component(millis),)}
        ticket = world.ticket(**{**values, **changes})
        made = Alone(world, venue, ticket, world.folder / "trader.log")
        try:
            yield made
        finally:
            for each in made.started:
                each.end()


def _component(millis: int) -> Component:
    return Component(
        order_id_tag="001",
        strategy_id="restless",
        version="ab" * 32,
        kind="STRATEGY",
        files=(("restless.py", Path(__file__).with_name("restless.py").read_text()),),
        importable_path="",
        class_name="Restless",
        config={"instrument_id": INSTRUMENTS[MARKET], "millis": millis},
        on_failure="CANCEL_ORDERS",
        stopped=False,
        claims=(),
    )
