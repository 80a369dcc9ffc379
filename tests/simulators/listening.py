"""Starts a `simulators.listener` and keeps what it tells."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from simulators.exchange import Exchange

TESTS = Path(__file__).parent.parent
PATIENCE_S = 30.0


async def until(holds: Callable[[], Any], what: str) -> None:
    """Wait until something holds; raises AssertionError that names it after 30 s."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                await asyncio.sleep(0.01)
            return
    raise AssertionError(f"did not come: {what}")


def values(events: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    """Give the numbers of what arrived; the time, in milliseconds, is last."""
    return [
        (*(Decimal(event[name]) for name in names), event["ts_event"] // 10**6) for event in events
    ]


def meant(rows: list[dict[str, Any]], *names: str, time: str = "ts") -> list[tuple[Any, ...]]:
    """Give the numbers of what a venue sent, as `values` gives what arrived."""
    return [(*(Decimal(row[name]) for name in names), int(row[time])) for row in rows]


class Listening:
    """A node in another process: commands go in, events come out."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.events: list[dict[str, Any]] = []
        self.instruments: list[str] = []  # what the data client had loaded when the node started
        self.subscriptions: set[tuple[str, str]] = set()
        self._process = process

    def command(self, **command: Any) -> None:
        """Send a job or a command; see `simulators.listener`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    def subscribe(self, kind: str, of: str) -> None:
        """Subscribe to one kind of data of an instrument or a bar type."""
        self.subscriptions.add((kind, of))
        self.command(do="subscribe", kind=kind, of=of)

    async def watch(self, venue: Exchange, kind: str, of: str, channel: str) -> None:
        """Subscribe and wait until a simulated venue has taken it."""
        self.subscribe(kind, of)
        await until(lambda: venue.watching(channel), channel)

    def unsubscribe(self, kind: str, of: str) -> None:
        """End a subscription."""
        self.subscriptions.discard((kind, of))
        self.command(do="unsubscribe", kind=kind, of=of)

    def request(self, kind: str, of: str, start: int = 0, end: int = 0) -> None:
        """Ask the venue for its past between two times in Unix milliseconds."""
        self.command(do="request", kind=kind, of=of, start=start * 10**6, end=end * 10**6)

    def forget(self) -> None:
        """End all subscriptions and forget what came, for the next test."""
        for kind, of in list(self.subscriptions):
            self.unsubscribe(kind, of)
        self.events.clear()

    def got(self, event: str) -> list[dict[str, Any]]:
        """Give the events of a name so far."""
        return [each for each in self.events if each["event"] == event]

    async def wait(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait for so many events of a name and give them all."""

        def came() -> bool:
            assert self._process.returncode is None, "the node has ended; its log says why"
            return len(self.got(event)) >= count

        await until(came, f"{count} × {event}")
        return self.got(event)

    async def read(self) -> None:
        """Keep what the process tells until it ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self.events.append(json.loads(line))

    async def stop(self) -> None:
        """End the process at once: a clean stop of a node takes a second and shows nothing."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def listening(
    log: Path, program: str = "simulators.listener", starts: bool = True, **job: Any
) -> AsyncIterator[Listening]:
    """Give a node that runs the job; Nautilus' log goes to the file.

    It has started, unless ``starts`` says that it will not.
    """
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", program),
            cwd=TESTS,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    node = Listening(process)
    reading = asyncio.create_task(node.read())
    try:
        node.command(**job)
        if starts:
            node.instruments = (await node.wait("started"))[0]["instruments"]
        yield node
    finally:
        await node.stop()
        await reading
