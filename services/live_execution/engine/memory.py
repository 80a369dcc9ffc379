"""What a trader remembers over its restarts and Nautilus' cache has no place for."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

import msgspec

from mesh.execution.v1 import events_pb2 as pb
from mesh.execution.v1.order_pb2 import TraderCommand
from meshkit.times import to_nanos
from services.live_execution.trader.ports import (
    Component,
    HaltNotice,
    Outside,
    Refusal,
    Restored,
    Standing,
)

COMMANDS = 10_000
"""How many ids of taken commands are kept: one that is older is given to nobody any more."""

NO_OUTCOME = frozenset(
    {
        pb.ORDER_EVENT_TYPE_INITIALIZED,
        pb.ORDER_EVENT_TYPE_EMULATED,
        pb.ORDER_EVENT_TYPE_RELEASED,
        pb.ORDER_EVENT_TYPE_SUBMITTED,
        pb.ORDER_EVENT_TYPE_PENDING_UPDATE,
        pb.ORDER_EVENT_TYPE_PENDING_CANCEL,
    }
)
"""Types of events that say nothing about what a venue did."""


class Memory(msgspec.Struct):
    """Kept up to date by ``learn``."""

    instruments: set[str] = msgspec.field(default_factory=set)
    """Ids of instruments whose definition is recorded."""
    currencies: set[str] = msgspec.field(default_factory=set)
    """Codes of currencies whose definition is recorded."""
    strategy_states: dict[str, dict[str, bytes]] = msgspec.field(default_factory=dict)
    """What each component saved last, by instance id."""
    state_versions: dict[str, str] = msgspec.field(default_factory=dict)
    """Version of the code that saved it, by instance id."""
    commands: dict[str, None] = msgspec.field(default_factory=dict)
    """Ids of the last commands that were taken."""
    intents: dict[str, pb.OrderIntent] = msgspec.field(default_factory=dict)
    """Intents without an outcome, by client order id."""
    unknown: set[str] = msgspec.field(default_factory=set)
    """Client order ids of unknown outcome."""
    clock_ns: int = 0
    """Data time of a replay; 0 when there was none."""
    rows: int = 0
    """Rows that were played."""
    marks: dict[str, pb.Mark] = msgspec.field(default_factory=dict)
    """The last recorded price of each instrument."""
    forgotten: set[str] = msgspec.field(default_factory=set)
    """Client order ids of closed orders that are not in the cache any more; never to be reused."""
    order_counts: dict[str, int] = msgspec.field(default_factory=dict)
    """The highest number that a strategy's client order ids have had, by strategy id."""
    list_counts: dict[str, int] = msgspec.field(default_factory=dict)
    """The same of order list ids."""
    position_counts: dict[str, int] = msgspec.field(default_factory=dict)
    """The same of position ids."""

    def learn(self, fact: pb.TraderFact) -> None:
        """Take note of a fact."""
        learnt = _LEARN.get(fact.WhichOneof("fact") or "")
        if learnt is not None:
            learnt(self, fact)


def _order(memory: Memory, fact: pb.TraderFact) -> None:
    event = fact.order
    if event.type not in NO_OUTCOME:
        memory.intents.pop(event.client_order_id, None)
        memory.unknown.discard(event.client_order_id)


def _intent(memory: Memory, fact: pb.TraderFact) -> None:
    for client_order_id in fact.intent.client_order_ids:
        memory.intents[client_order_id] = fact.intent


def _command(memory: Memory, fact: pb.TraderFact) -> None:
    memory.commands[fact.command.command_id] = None
    if len(memory.commands) > COMMANDS:
        del memory.commands[next(iter(memory.commands))]


def _saved(memory: Memory, fact: pb.TraderFact) -> None:
    memory.strategy_states[fact.saved.instance_id] = dict(fact.saved.state)
    memory.state_versions[fact.saved.instance_id] = fact.saved.version


def _clock(memory: Memory, fact: pb.TraderFact) -> None:
    memory.clock_ns = to_nanos(fact.clock.ts)
    memory.rows = fact.clock.rows


def _marks(memory: Memory, fact: pb.TraderFact) -> None:
    memory.marks.update((mark.instrument_id, mark) for mark in fact.marks.marks)


def _unknown(memory: Memory, fact: pb.TraderFact) -> None:
    memory.unknown.add(fact.unknown.client_order_id)


def _instrument(memory: Memory, fact: pb.TraderFact) -> None:
    memory.instruments.add(fact.instrument.instrument_id)


def _currency(memory: Memory, fact: pb.TraderFact) -> None:
    memory.currencies.add(fact.currency.code)


_LEARN: dict[str, Callable[[Memory, pb.TraderFact], None]] = {
    "order": _order,
    "intent": _intent,
    "command": _command,
    "saved": _saved,
    "clock": _clock,
    "marks": _marks,
    "unknown": _unknown,
    "instrument": _instrument,
    "currency": _currency,
}


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

    def record(self, *facts: pb.TraderFact) -> int:
        """Record facts, and learn them."""
        self.number = self._outside.record(*facts)
        if self.memory is not None:
            for fact in facts:
                self.memory.learn(fact)
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

    async def component(self, order_id_tag: str) -> Component:
        """Return code and config of a component."""
        return await self._outside.component(order_id_tag)

    def on_standing(self, callback: Callable[[Standing], None]) -> None:
        """Call back when what the trader may do changes."""
        self._outside.on_standing(callback)
