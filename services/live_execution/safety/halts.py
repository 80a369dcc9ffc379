"""Halts: what they reach, and what stands in Redis for them. Pure."""

import json
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from services.live_execution.names import EVERYTHING, latch

MESH = "*"
"""Project of the halt over all of them, which stands in Redis as ``EVERYTHING``."""

CALLER, LIMIT, LATCH = "CALLER", "LIMIT", "LATCH"

_NAMESPACE = uuid.UUID("0d3c6f0e-6f6e-4b57-9d0a-3a8f3c1f7f10")  # any, once


@dataclass(frozen=True)
class Halt:
    """A halt. ``scope`` is ``all``, ``venue:X``, ``trader:T`` or ``strategy:T:tag``."""

    halt_id: str
    project: str
    owner: str
    scope: str
    reducing: bool
    reason: str
    source: str
    flatten_id: str
    set_time: datetime
    active: bool = True
    reset_by: str = ""
    reset_time: datetime | None = None
    heeded: tuple[str, ...] = ()
    update_time: datetime | None = None

    @property
    def key(self) -> str:
        """The key that stands for its scope in Redis."""
        return key_of(self.project, self.scope)


@dataclass(frozen=True)
class Latched:
    """What a key in Redis says."""

    halt_id: str
    reason: str
    by: str
    time: datetime
    flatten_id: str
    reducing: bool

    @classmethod
    def read(cls, key: str, raw: bytes) -> "Latched":
        """Return what was written; a text that cannot be read is a halt all the same."""
        try:
            said = json.loads(raw)
            return cls(
                halt_id=str(uuid.UUID(said["halt_id"])),
                reason=str(said.get("reason", ""))[:500],
                by=str(said.get("by", ""))[:200],
                time=_time(said.get("time")),
                flatten_id=str(uuid.UUID(said["flatten_id"])) if said.get("flatten_id") else "",
                reducing=said.get("reducing") is True,
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            made = derived(key, raw.hex())
            reason = "The latch was set in Redis without a readable reason."
            return cls(made, reason, "", datetime.now(UTC), "", reducing=False)

    def write(self) -> bytes:
        """Return the text for Redis."""
        said = {
            "halt_id": self.halt_id,
            "reason": self.reason,
            "by": self.by,
            "time": self.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "flatten_id": self.flatten_id,
            "reducing": self.reducing,
        }
        return json.dumps(said, sort_keys=True).encode()

    @classmethod
    def of(cls, halts: Sequence[Halt], running: Collection[str]) -> "Latched | None":
        """Return what stands for the active halts of one scope: the strictest of them.

        ``running`` are the flattens that are at work; the newest of them is done by traders that
        hear of it by the key alone. None without halts.
        """
        if not halts:
            return None
        first = min(halts, key=lambda halt: (halt.reducing, halt.set_time, halt.halt_id))
        wanted = [halt for halt in halts if halt.flatten_id in running]
        newest = max(wanted, key=lambda halt: halt.set_time, default=None)
        return cls(
            first.halt_id,
            first.reason,
            first.owner,
            first.set_time,
            newest.flatten_id if newest else "",
            first.reducing,
        )

    def under(self, old: "Latched") -> "Latched":
        """Return both in one, for a key that is there and a database that is not."""
        strict = old if not old.reducing or self.reducing else self
        flatten_id = old.flatten_id or self.flatten_id
        return Latched(
            strict.halt_id, strict.reason, strict.by, strict.time, flatten_id, strict.reducing
        )


def key_of(project: str, scope: str) -> str:
    """Return the key of a scope in Redis."""
    return EVERYTHING if project == MESH else latch(project, scope)


def derived(*parts: str) -> str:
    """Return an id that the same parts always have."""
    return str(uuid.uuid5(_NAMESPACE, "\0".join(parts)))


def _time(text: object) -> datetime:
    found = datetime.fromisoformat(str(text)) if text else datetime.now(UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
