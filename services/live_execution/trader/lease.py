"""The right to be a trader: a row in PostgreSQL with a fence and an end.

The holder renews every third of the lease. It reckons the end on a clock that nobody sets, from
before the renewing query was sent, less a margin; a taker waits out lease and margin by the
database's clock. So two never both believe in it, however long one of them was stopped.
"""

import hashlib
import os
import socket
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from meshkit.database import Connection
from services.live_execution.names import TraderKey
from services.live_execution.trader.errors import LeaseHeld, StaleFence, TraderGone

_CLAIM = """
UPDATE traders SET
    fence = greatest(fence, $3, (SELECT fence FROM stream_heads WHERE stream = $9)) + 1,
    lease_until = clock_timestamp() + $4,
    host = $6, pid = $7, pid_start = $8, process_time = now()
WHERE project = $1 AND trader_id = $2 AND lease_until + $5 < clock_timestamp()
RETURNING fence, owner
"""

_END_FORMER = """
SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a
WHERE a.application_name = $4 AND a.usename = current_user AND a.datname = current_database()
AND a.pid <> pg_backend_pid() AND EXISTS (SELECT FROM traders
    WHERE project = $1 AND trader_id = $2 AND lease_until + $3 < clock_timestamp())
"""

_TAKE_STREAM = """
INSERT INTO stream_heads AS h (stream, number, fence) VALUES ($1, 0, $2)
ON CONFLICT (stream) DO UPDATE SET fence = greatest(h.fence, $2) RETURNING fence
"""

_RENEW = """
UPDATE traders SET lease_until = clock_timestamp() + $4
WHERE project = $1 AND trader_id = $2 AND fence = $3 RETURNING true
"""

_RELEASE = """
UPDATE traders SET lease_until = '-infinity'
WHERE project = $1 AND trader_id = $2 AND fence = $3
"""


@dataclass(frozen=True)
class Terms:
    """How long a lease is, and how long before its end the holder stops. Seconds."""

    lease: float
    margin: float

    @property
    def renew(self) -> float:
        """Seconds between renewals."""
        return self.lease / 3


class Lease:
    """A lease that was claimed. The store thread renews; the engine's thread asks."""

    def __init__(self, key: TraderKey, terms: Terms, fence: int, owner: str, sent: float) -> None:
        self.key, self.terms, self.fence, self.owner = key, terms, fence, owner
        self._deadline = sent + terms.lease - terms.margin
        self._failed = float("-inf")
        self._in_time = False
        self._lost = False

    @property
    def held(self) -> bool:
        """Whether it is certain that no other process has it."""
        return not self._lost and boot_time() < self._deadline

    @property
    def lost(self) -> bool:
        """Whether another process has it: for good."""
        return self._lost

    @property
    def away(self) -> bool:
        """Whether it has ended while this process tried to renew it and found the store away.

        Not so when the process itself was stopped, and asks when the lease has ended already: then
        a successor may be what keeps it from the store.
        """
        tried = boot_time() - self._failed < 2 * self.terms.renew + self.terms.margin
        return tried and self._in_time and not self._lost and not self.held

    def lose(self) -> None:
        """Say that another process has it."""
        self._lost = True

    def failed(self) -> None:
        """Say that the store was out of reach just now."""
        self._in_time = self._in_time or self.held
        self._failed = boot_time()

    async def renew(self, connection: Connection) -> None:
        """Renew. Raises ``StaleFence`` when another process has it, or the trader is gone."""
        sent = boot_time()
        found = await connection.fetchval(
            _RENEW, *self.key, self.fence, timedelta(seconds=self.terms.lease)
        )
        if not found:
            self.lose()
            raise stale(self.key, self.fence)
        self._deadline = sent + self.terms.lease - self.terms.margin
        self._in_time = False


async def claim(connection: Connection, key: TraderKey, terms: Terms, above: int = 0) -> Lease:
    """Claim the lease with a fence higher than any before, and than ``above``.

    Earlier holders can append no fact from then on, and their sessions are ended: one that was
    stopped in a transaction must not keep what it has locked.

    Raises ``LeaseHeld`` and ``TraderGone``.
    """
    margin = timedelta(seconds=terms.margin)
    await connection.execute(_END_FORMER, *key, margin, session(key))
    sent = boot_time()
    async with connection.transaction():
        row = await connection.fetchrow(
            _CLAIM,
            *key,
            above,
            timedelta(seconds=terms.lease),
            margin,
            socket.gethostname(),
            os.getpid(),
            start_ticks(os.getpid()),
            key.facts,
        )
        if row is None:
            raise await _refusal(connection, key, terms)
        await connection.fetchval(_TAKE_STREAM, key.facts, row["fence"])
    return Lease(key, terms, row["fence"], row["owner"], sent)


async def release(connection: Connection, key: TraderKey, fence: int) -> None:
    """End a lease at once, when its holder has ended, or is proven dead."""
    await connection.execute(_RELEASE, *key, fence)


async def _refusal(connection: Connection, key: TraderKey, terms: Terms) -> Exception:
    left = await connection.fetchval(
        "SELECT extract(epoch FROM lease_until + $3 - clock_timestamp())::float8 FROM traders"
        " WHERE project = $1 AND trader_id = $2",
        *key,
        timedelta(seconds=terms.margin),
    )
    if left is None:
        return TraderGone("The trader was deleted.", metadata={"trader_id": key.trader_id})
    return LeaseHeld(
        f"Another process runs {key.trader_id}, or did moments ago. Try again when its lease"
        " has run out.",
        metadata={"trader_id": key.trader_id},
        retry_after=max(left, 0.1),
    )


def stale(key: TraderKey, fence: int) -> StaleFence:
    """Return the error of a process whose lease another one has."""
    return StaleFence(
        f"Another process has taken over {key.trader_id}; this one may do nothing any more.",
        metadata={"trader_id": key.trader_id, "fence": str(fence)},
    )


def session(key: TraderKey) -> str:
    """Return the name of a trader's sessions in PostgreSQL, of at most 63 bytes."""
    digest = hashlib.blake2s("/".join(key).encode(), digest_size=6).hexdigest()
    return f"{key.trader_id[:50]}:{digest}"


def boot_time() -> float:
    """Return seconds of a clock that nobody sets and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def start_ticks(pid: int) -> int:
    """Return when a process began, in clock ticks since boot: tells it from a later one."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[19])
