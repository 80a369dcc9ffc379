"""SQL of the keeping of processes."""

from typing import Any

import asyncpg

from services.live_execution.domain import Trader
from services.live_execution.launching.domain import Kept, Verdict
from services.live_execution.names import TraderKey
from services.live_execution.store import COLUMNS, trader_of

LOST_HOST = "15 s"
"""How long the lease of another host's trader must be over before it is taken."""

_KEPT = (
    ", extract(epoch FROM greatest(t.lease_until, '1970-01-01') - now())::float8 AS lease_left"
    ", extract(epoch FROM now() - coalesce(t.process_time, now()))::float8 AS age"
    ", ARRAY(SELECT extract(epoch FROM now() - d)::float8 FROM unnest(t.deaths) d ORDER BY d)"
    " AS deaths, t.settling"
    ", coalesce(extract(epoch FROM t.settle_until - now())::float8, 0) AS settle_left"
    ", NOT EXISTS (SELECT 1 FROM commands c"
    "  WHERE c.command_id = ANY(t.settling) AND c.state = 'ACCEPTED')"
    " AND (NOT EXISTS (SELECT 1 FROM commands c"
    "   WHERE c.command_id = ANY(t.settling) AND c.kind = 'CANCEL_ALL')"
    "  OR NOT EXISTS (SELECT 1 FROM orders o"
    "   WHERE o.project = t.project AND o.trader_id = t.trader_id AND o.open))"
    " AND (NOT EXISTS (SELECT 1 FROM commands c"
    "   WHERE c.command_id = ANY(t.settling) AND c.kind = 'CLOSE_ALL')"
    "  OR NOT EXISTS (SELECT 1 FROM positions p"
    "   WHERE p.project = t.project AND p.trader_id = t.trader_id AND p.open)) AS settled"
    ", t.api_key_id"
)
_OTHER = tuple(field for field in Kept.__dataclass_fields__ if field != "trader")


class KeepingStore:
    """Processes of traders in the service's own schema."""

    async def lead(self, tx: Any, host: str, pid: int, started: int, seconds: float) -> bool:
        """Take or renew the right to keep the processes of a host; whether it was given."""
        return bool(
            await tx.fetchval(
                "INSERT INTO keepers AS k (host, pid, pid_start, until)"
                " VALUES ($1, $2, $3, now() + make_interval(secs => $4))"
                " ON CONFLICT (host) DO UPDATE SET pid = $2, pid_start = $3,"
                " until = now() + make_interval(secs => $4)"
                " WHERE k.until < now() OR (k.pid = $2 AND k.pid_start = $3) RETURNING true",
                host,
                pid,
                started,
                seconds,
            )
        )

    async def leader(self, tx: Any, host: str) -> tuple[int, int]:
        """Return pid and start of the process that keeps a host's traders."""
        row = await tx.fetchrow("SELECT pid, pid_start FROM keepers WHERE host = $1", host)
        return (row["pid"], row["pid_start"]) if row else (0, 0)

    async def resign(self, tx: Any, host: str, pid: int, started: int) -> None:
        """Give the right up, or take it from a process that is dead."""
        await tx.execute(
            "DELETE FROM keepers WHERE host = $1 AND pid = $2 AND pid_start = $3",
            host,
            pid,
            started,
        )

    async def kept(self, tx: Any, host: str) -> list[Kept]:
        """Return the traders whose processes are this host's to keep."""
        rows = await tx.fetch(
            f"SELECT {COLUMNS}{_KEPT} FROM traders t"
            " WHERE (t.wanted OR t.safety_mode OR t.pid <> 0) AND (t.host IN ('', $1) OR ("
            f"  t.lease_until + interval '{LOST_HOST}' < now() AND NOT EXISTS ("
            "   SELECT 1 FROM keepers k WHERE k.host = t.host AND k.until > now())))",
            host,
        )
        return [_kept(row) for row in rows]

    async def running(self, tx: Any) -> list[TraderKey]:
        """Return the traders that have a process, on whatever host."""
        rows = await tx.fetch("SELECT project, trader_id FROM traders WHERE pid <> 0")
        return [TraderKey(*row) for row in rows]

    async def claim(
        self, tx: Any, key: TraderKey, host: str, pid: int, started: int
    ) -> Trader | None:
        """Note a new process of a trader that has none and is to run; None when that is over."""
        row = await tx.fetchrow(
            "UPDATE traders t SET host = $3, pid = $4, pid_start = $5, process_time = now(),"
            " process_safety = safety_mode WHERE project = $1 AND trader_id = $2 AND pid = 0"
            f" AND (wanted OR safety_mode) RETURNING {COLUMNS}",
            *key,
            host,
            pid,
            started,
        )
        return trader_of(row) if row else None

    async def set_api_key(self, tx: Any, key: TraderKey, api_key_id: str) -> None:
        """Note the key with which a trader's process reads market data."""
        await tx.execute(
            "UPDATE traders SET api_key_id = $3 WHERE project = $1 AND trader_id = $2",
            *key,
            api_key_id,
        )

    async def forget_api_key(self, tx: Any, key: TraderKey, api_key_id: str) -> None:
        """Note that a key is no longer good."""
        await tx.execute(
            "UPDATE traders SET api_key_id = ''"
            " WHERE project = $1 AND trader_id = $2 AND api_key_id = $3",
            *key,
            api_key_id,
        )

    async def bury(self, tx: Any, dead: Trader, verdict: Verdict) -> Trader | None:
        """Note that a process is dead, and what follows; None when it is not the trader's."""
        row = await tx.fetchrow(
            "UPDATE traders t SET pid = 0, pid_start = 0, lease_until = '-infinity',"
            " process_safety = false, unresponsive_time = NULL, restrictions = '{}',"
            " settling = '{}', settle_until = NULL,"
            " wanted = wanted AND $5, restarts = restarts + CASE WHEN $6 THEN 1 ELSE 0 END,"
            " deaths = CASE WHEN $6 THEN (deaths || now())[greatest(cardinality(deaths) - 30, 1):]"
            "  ELSE deaths END,"
            " state = $7, state_time = CASE WHEN state = $7 THEN state_time ELSE now() END,"
            " reason = CASE WHEN state = 'FAILED' AND $7 = 'FAILED' AND $8 = '' THEN reason"
            "  ELSE $8 END,"
            " message = CASE WHEN state = 'FAILED' AND $7 = 'FAILED' AND $8 = '' THEN message"
            "  ELSE $9 END"
            " WHERE project = $1 AND trader_id = $2 AND pid = $3 AND pid_start = $4"
            f" RETURNING {COLUMNS}",
            *dead.key,
            dead.pid,
            dead.pid_start,
            verdict.wanted,
            verdict.died,
            verdict.state,
            verdict.reason,
            verdict.message,
        )
        return trader_of(row) if row else None

    async def say(self, tx: Any, waiting: Trader, reason: str, message: str) -> Trader | None:
        """Note why a trader without a process waits; None when nothing has changed."""
        row = await tx.fetchrow(
            "UPDATE traders t SET state = 'PENDING', reason = $3, message = $4,"
            " state_time = CASE WHEN state = 'PENDING' THEN state_time ELSE now() END"
            " WHERE project = $1 AND trader_id = $2 AND pid = 0 AND (wanted OR safety_mode)"
            " AND (state, reason, message) <> ('PENDING', $3, $4)"
            f" RETURNING {COLUMNS}",
            *waiting.key,
            reason,
            message,
        )
        return trader_of(row) if row else None

    async def mark(self, tx: Any, found: Trader, *, unresponsive: bool) -> Trader | None:
        """Note that a living process does not answer, or does again; None when that is known."""
        row = await tx.fetchrow(
            "UPDATE traders t SET unresponsive_time = CASE WHEN $4 THEN now() END"
            " WHERE project = $1 AND trader_id = $2 AND pid = $3"
            " AND (unresponsive_time IS NULL) = $4"
            f" RETURNING {COLUMNS}",
            *found.key,
            found.pid,
            unresponsive,
        )
        return trader_of(row) if row else None


def _kept(row: asyncpg.Record) -> Kept:
    other = {field: row[field] for field in _OTHER}
    other["deaths"], other["settling"] = tuple(other["deaths"]), tuple(other["settling"])
    return Kept(trader=trader_of(row), **other)
