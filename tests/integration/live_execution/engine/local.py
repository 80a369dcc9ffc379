"""A trader's outside on this machine alone: a journal file, no lease and no stores."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from mesh.execution.v1.events_pb2 import TraderFact
from mesh.execution.v1.order_pb2 import TraderCommand
from meshkit.times import now
from services.live_execution.trader.ports import (
    HaltNotice,
    Refusal,
    Restored,
    Standing,
)


class LocalOutside:
    """Keeps facts in a file of length-prefixed records, and gives them again to a successor."""

    fence = 1

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self._path = path
        self.facts: list[TraderFact] = [TraderFact.FromString(b) for b in _records(path)]
        self.earlier = len(self.facts)
        """How many facts earlier processes have recorded."""
        self._queue: asyncio.Queue[TraderCommand] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._halted: Callable[[Sequence[HaltNotice]], None] = lambda halts: None
        self._stood: Callable[[Standing], None] = lambda standing: None
        self.halts: Sequence[HaltNotice] = ()
        self.refused: Refusal | None = None
        self.answerers: dict[str, Callable[[bytes], Awaitable[bytes]]] = {}
        self.asked: list[tuple[str, str, bool, bool]] = []

    # -- what the engine calls

    def record(self, *facts: TraderFact) -> int:
        """Append facts."""
        for fact in facts:
            if not fact.HasField("ts"):
                fact.ts.CopyFrom(now())
            body = fact.SerializeToString()
            self._file.write(len(body).to_bytes(4, "little") + body)
            self.facts.append(TraderFact.FromString(body))
        self._file.flush()
        self._changed.set()
        return len(self.facts)

    def refusal(
        self, *, venue: str, order_id_tag: str, reducing: bool, cancel: bool = False
    ) -> Refusal | None:
        """Refuse by what the test has set, and by halts."""
        self.asked.append((venue, order_id_tag, reducing, cancel))
        if self.refused is not None:
            return self.refused
        for halt in self.halts:
            reaches = halt.scope in ("all", f"venue:{venue}", f"strategy:T-001:{order_id_tag}")
            passes = cancel or order_id_tag == "SAFETY" or (halt.reducing and reducing)
            if reaches and not passes:
                return Refusal("TRADER_HALTED", f"Halt {halt.halt_id} is in force. ResetHalt.")
        return None

    async def commands(self) -> AsyncIterator[TraderCommand]:
        """Give what the test has sent."""
        while True:
            yield await self._queue.get()

    def answer(self, kind: str, answerer: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Take an answerer."""
        self.answerers[kind] = answerer

    async def secrets(self, credential_id: str) -> Mapping[str, str]:
        """Give no secret."""
        return {}

    def on_halt(self, callback: Callable[[Sequence[HaltNotice]], None]) -> None:
        """Take the callback."""
        self._halted = callback
        callback(self.halts)

    def on_standing(self, callback: Callable[[Standing], None]) -> None:
        """Say that all is well, for now."""
        self._stood = callback
        callback(Standing("HELD", True, True))

    async def restored(self) -> Restored:
        """Give all earlier facts."""
        bodies = _records(self._path)[: self.earlier]
        return Restored(self.earlier, b"", 0, list(enumerate(bodies, 1)))

    def snapshot(self, body: bytes, number: int) -> None:
        """Keep none."""

    # -- what tests call

    def begin(self, *facts: TraderFact) -> None:
        """Have facts of an earlier process."""
        self.record(*facts)
        self.earlier = len(self.facts)

    def halt(self, *halts: HaltNotice) -> None:
        """Set the halts in force."""
        self.halts = halts
        self._halted(halts)

    def stand(self, standing: Standing) -> None:
        """Say how the trader stands."""
        self._stood(standing)

    def send(self, command: TraderCommand) -> None:
        """Send a command."""
        self._queue.put_nowait(command)

    async def until[Found](self, found: Callable[[list[TraderFact]], Found | None]) -> Found:
        """Return what is found in the facts as soon as it is there."""
        async with asyncio.timeout(20):
            while (value := found(self.facts)) is None:
                self._changed.clear()
                await self._changed.wait()
        return value

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _records(path: Path) -> list[bytes]:
    text, found, at = path.read_bytes(), [], 0
    while at < len(text):
        size = int.from_bytes(text[at : at + 4], "little")
        found.append(text[at + 4 : at + 4 + size])
        at += 4 + size
    return found
