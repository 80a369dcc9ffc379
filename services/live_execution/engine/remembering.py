"""The way out of a trader's engine: what is recorded is learnt as well."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from mesh.execution.v1.events_pb2 import TraderFact
from mesh.execution.v1.order_pb2 import TraderCommand
from services.live_execution.engine.learning import learn
from services.live_execution.engine.memory import Memory
from services.live_execution.trader.ports import (
    HaltNotice,
    Outside,
    Refusal,
    Restored,
    Standing,
)


class Remembering:
    """An ``Outside`` whose facts are learnt as they are recorded; the engine's way out.

    ``memory`` is there from ``remember`` on.
    """

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self.memory: Memory | None = None
        self.number = 0
        """Number of the last fact that was recorded or restored."""

    def remember(self, memory: Memory, number: int) -> None:
        """Learn from now on; ``number`` is that of the last fact that the memory holds."""
        self.memory, self.number = memory, number

    @property
    def fence(self) -> int:
        """The number of the lease."""
        return self._outside.fence

    def record(self, *facts: TraderFact) -> int:
        """Record facts, and learn them."""
        self.number = self._outside.record(*facts)
        if self.memory is not None:
            for fact in facts:
                learn(self.memory, fact)
        return self.number

    def refusal(
        self, *, venue: str, order_id_tag: str, reducing: bool, cancel: bool = False
    ) -> Refusal | None:
        """Return why nothing may be sent now, None when it may."""
        return self._outside.refusal(
            venue=venue, order_id_tag=order_id_tag, reducing=reducing, cancel=cancel
        )

    def commands(self) -> AsyncIterator[TraderCommand]:
        """Yield commands in order."""
        return self._outside.commands()

    def answer(self, kind: str, answerer: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer questions of a kind."""
        self._outside.answer(kind, answerer)

    async def secrets(self, credential_id: str) -> Mapping[str, str]:
        """Return the secrets of a venue."""
        return await self._outside.secrets(credential_id)

    def on_halt(self, callback: Callable[[Sequence[HaltNotice]], None]) -> None:
        """Call back with all halts in force when they change."""
        self._outside.on_halt(callback)

    async def restored(self) -> Restored:
        """Return what the trader knew when it last ran."""
        return await self._outside.restored()

    def snapshot(self, body: bytes, number: int) -> None:
        """Keep a snapshot."""
        self._outside.snapshot(body, number)

    def on_standing(self, callback: Callable[[Standing], None]) -> None:
        """Call back when what the trader may do changes."""
        self._outside.on_standing(callback)
