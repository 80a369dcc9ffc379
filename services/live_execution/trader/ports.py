"""What the engine of a trader needs from the world, and what it gives. No Nautilus here."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from mesh.execution.v1.events_pb2 import TraderFact
from mesh.execution.v1.order_pb2 import TraderCommand


class Component(msgspec.Struct, frozen=True):
    """Code and config of a strategy, actor or execution algorithm of a trader."""

    order_id_tag: str
    strategy_id: str
    version: str
    kind: str
    """STRATEGY, ACTOR or EXEC_ALGORITHM."""
    files: tuple[tuple[str, str], ...]
    importable_path: str
    class_name: str
    config: Mapping[str, object]
    on_failure: str
    """CANCEL_ORDERS, FLATTEN or LEAVE."""
    stopped: bool
    claims: tuple[str, ...]


class Ticket(msgspec.Struct, frozen=True):
    """What the launcher hands to a trader's process, through a socket that it inherits.

    No secret but the way to the stores; those of venues follow when the lease is proven.
    """

    project: str
    trader_id: str
    spec: bytes
    """``mesh.execution.v1.TraderSpec``."""
    components: tuple[Component, ...]
    journal: str
    """Folder of the trader's journal."""
    database_url: str
    redis_url: str
    mesh_address: str
    """Address of the gateway, or of market-data itself (``unix:…``)."""
    mesh_token: str
    """API key with which the trader reads market data of its project."""
    safety_mode: bool = False
    """Without strategies and data: for a flatten alone."""
    lease_s: float = 10.0
    margin_s: float = 2.0
    """The trader refuses to send this long before its lease ends by its own clock."""


class Refusal(msgspec.Struct, frozen=True):
    """Why an order is not sent: a reason of ``ErrorReason`` and what to do."""

    reason: str
    message: str


class Outside(Protocol):
    """The world of a trader's engine. Called on the engine's thread; never blocks on a store."""

    @property
    def fence(self) -> int:
        """The number of the lease."""

    def record(self, *facts: TraderFact) -> int:
        """Append facts to the journal (``write(2)``) in order; return the last one's number.

        The time (``ts``) is set when it is missing. When it returns, the death of the process
        does not lose them. Nobody sees a fact before that.
        """

    def refusal(
        self, *, venue: str, order_id_tag: str, reducing: bool, cancel: bool = False
    ) -> Refusal | None:
        """Return why nothing may be sent now, None when it may: lease, halts, in this order.

        Looked at right before every send. A cancel is always let through while the process may
        believe that it is the only one; a reducing order while a halt is ``reducing``, or the
        lease ended because the stores are away. An order of a flatten is ``reducing`` and passes
        ``order_id_tag`` SAFETY, which no halt refuses.
        """

    def commands(self) -> AsyncIterator[TraderCommand]:
        """Yield commands in order, each at least once over all lives of the trader; one is done
        when its ``CommandTaken`` is recorded, and is not given again after that.
        """

    def answer(self, kind: str, answerer: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer questions of a kind (``preview``): the request's bytes → the response's bytes."""

    async def secrets(self, credential_id: str) -> Mapping[str, str]:
        """Return the secrets of a venue, by config field. Raises ``SecretsRefused``."""

    def on_halt(self, callback: Callable[[Sequence["HaltNotice"]], None]) -> None:
        """Call back (engine's thread) with all halts in force for this trader when they change."""

    def on_standing(self, callback: Callable[["Standing"], None]) -> None:
        """Call back (engine's thread) with how lease and stores are: soon, and on each change."""

    async def restored(self) -> "Restored":
        """Return the snapshot and the facts after it, journal and database together."""

    def snapshot(self, body: bytes, number: int) -> None:
        """Keep a snapshot that holds everything up to fact ``number``."""


class HaltNotice(msgspec.Struct, frozen=True):
    """A halt in force."""

    halt_id: str
    scope: str
    """``all``, ``venue:X``, ``trader:T`` or ``strategy:T:tag``."""
    reducing: bool
    flatten_id: str
    """Not empty: flatten as well, once."""
    reason: str


class Standing(msgspec.Struct, frozen=True):
    """How the trader stands with its lease and the stores."""

    lease: str
    """HELD; AWAY: it has ended and the stores are out of reach; LOST: another process has it."""
    postgresql: bool
    """False while facts do not get through: they wait in the journal."""
    redis: bool
    """False while commands do not come and the latch is read from PostgreSQL."""


class Restored(msgspec.Struct, frozen=True):
    """What a trader knew when it last ran."""

    number: int
    """The last fact's number; 0 for a trader that never ran."""
    snapshot: bytes
    """Empty when there is none."""
    snapshot_number: int
    facts: Sequence[tuple[int, bytes]]
    """Facts after the snapshot: number and ``TraderFact``."""


class SecretsRefused(Exception):
    """The secrets of a venue are not given; ``reason`` is of ``ErrorReason``."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
