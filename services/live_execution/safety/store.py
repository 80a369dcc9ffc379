"""SQL of halts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.live_execution.names import TraderKey
from services.live_execution.safety.halts import Halt

_HALT = (
    "halt_id, project, owner, scope, reducing, reason, source, flatten_id, set_time, active,"
    " reset_by, reset_time, heeded, update_time"
)
_UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_KEEPER = 0x6B656570  # "keep": one keeper at a time


class HaltStore:
    """Halts in the service's own schema."""

    async def insert(self, tx: Any, halt: Halt) -> Halt:
        """Store a halt. One that was found in Redis before its caller's answer becomes his."""
        row = await tx.fetchrow(
            "INSERT INTO halts (halt_id, project, owner, scope, reducing, reason, source, set_time,"
            " flatten_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
            " ON CONFLICT (halt_id) DO UPDATE SET owner = $3, reason = $6, source = $7,"
            f" flatten_id = coalesce(halts.flatten_id, $9) RETURNING {_HALT}",
            UUID(halt.halt_id),
            halt.project,
            halt.owner,
            halt.scope,
            halt.reducing,
            halt.reason,
            halt.source,
            halt.set_time,
            UUID(halt.flatten_id) if halt.flatten_id else None,
        )
        return _halt(row)

    async def find(self, tx: Any, projects: Sequence[str], halt_id: str) -> Halt | None:
        """Return a halt of one of the projects, or of all, locked inside a transaction."""
        lock = " FOR UPDATE" if tx.is_in_transaction() else ""
        row = await tx.fetchrow(
            f"SELECT {_HALT} FROM halts WHERE halt_id = $1 AND project = ANY($2){lock}",
            UUID(halt_id),
            [*projects, "*"],
        )
        return _halt(row) if row else None

    async def page(
        self,
        tx: Any,
        projects: Sequence[str],
        active: bool | None,
        after: tuple[str, ...] | None,
        limit: int,
    ) -> list[Halt]:
        """Return halts of projects and of all, the newest first, after the key (time, id)."""
        rows = await tx.fetch(
            f"SELECT {_HALT} FROM halts WHERE project = ANY($1)"
            " AND ($2::bool IS NULL OR active = $2)"
            " AND ($3::timestamptz IS NULL OR (set_time, halt_id) < ($3, $4::uuid))"
            " ORDER BY set_time DESC, halt_id DESC LIMIT $5",
            [*projects, "*"],
            active,
            datetime.fromisoformat(after[0]) if after else None,
            UUID(after[1]) if after else None,
            limit,
        )
        return [_halt(row) for row in rows]

    async def reset(self, tx: Any, halt_id: str, by: str) -> Halt:
        """End a halt."""
        row = await tx.fetchrow(
            "UPDATE halts SET active = false, reset_by = $2, reset_time = now(),"
            f" update_time = now() WHERE halt_id = $1 RETURNING {_HALT}",
            UUID(halt_id),
            by,
        )
        return _halt(row)

    async def lock_scope(self, tx: Any, key: str) -> None:
        """Wait for others who change what stands in Redis for a scope."""
        await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", key)

    async def try_keeper(self, tx: Any) -> bool:
        """Whether this transaction is the one that keeps; of several services one is."""
        return bool(await tx.fetchval("SELECT pg_try_advisory_xact_lock($1)", _KEEPER))

    async def known(self, tx: Any, halt_id: str) -> Halt | None:
        """Return a halt of whatever project, active or not."""
        row = await tx.fetchrow(f"SELECT {_HALT} FROM halts WHERE halt_id = $1", UUID(halt_id))
        return _halt(row) if row else None

    async def active(self, tx: Any, project: str = "", scope: str = "") -> list[Halt]:
        """Return the halts in force, of one scope if it is named."""
        rows = await tx.fetch(
            f"SELECT {_HALT} FROM halts WHERE active"
            " AND ($1 = '' OR (project = $1 AND scope = $2))",
            project,
            scope,
        )
        return [_halt(row) for row in rows]

    async def limited(self, tx: Any, project: str, scope: str, reducing: bool) -> bool:
        """Whether a broken limit halts a scope already, at least as strictly."""
        found = await tx.fetchval(
            "SELECT true FROM halts WHERE active AND project = $1 AND scope = $2"
            " AND source = 'LIMIT' AND (NOT reducing OR $3) LIMIT 1",
            project,
            scope,
            reducing,
        )
        return bool(found)

    async def heed(self, tx: Any) -> list[Halt]:
        """Put on record which traders say that they heed a halt; return those that changed."""
        rows = await tx.fetch(
            "WITH news AS (SELECT h.halt_id AS id, array_agg(t.trader_id ORDER BY t.trader_id)"
            "  AS traders FROM halts h JOIN traders t ON h.project IN (t.project, '*')"
            "  AND h.halt_id::text = ANY(t.halt_ids) AND NOT t.trader_id = ANY(h.heeded)"
            "  WHERE h.active GROUP BY h.halt_id)"
            " UPDATE halts SET heeded = heeded || news.traders, update_time = now()"
            f" FROM news WHERE halt_id = news.id RETURNING {_HALT}"
        )
        return [_halt(row) for row in rows]

    async def strange(self, tx: Any) -> list[tuple[str, TraderKey]]:
        """Return the halts that traders have heeded for a while and that are not on record."""
        rows = await tx.fetch(
            "SELECT DISTINCT ON (id) id, t.project, t.trader_id"
            " FROM traders t, unnest(t.halt_ids) id"
            " WHERE t.state = 'HALTED' AND t.state_time < now() - interval '10 seconds'"
            f" AND id ~ '{_UUID}' AND NOT EXISTS (SELECT FROM halts h WHERE h.halt_id::text = id)"
        )
        return [(row["id"], TraderKey(row["project"], row["trader_id"])) for row in rows]

    async def projects(self, tx: Any) -> list[str]:
        """Return the projects that have traders."""
        rows = await tx.fetch("SELECT DISTINCT project FROM traders ORDER BY project")
        return [row["project"] for row in rows]

    async def tags(self, tx: Any) -> list[tuple[str, str, list[str], list[str]]]:
        """Return project, trader, venues and order id tags of every trader."""
        rows = await tx.fetch(
            "SELECT project, trader_id, venues, ARRAY(SELECT c ->> 'order_id_tag' FROM"
            " jsonb_array_elements(coalesce(inputs -> 'components', '[]')) c) AS tags FROM traders"
        )
        return [tuple(row) for row in rows]


def _halt(row: Any) -> Halt:
    values = dict(row)
    values["halt_id"] = str(values["halt_id"])
    values["flatten_id"] = str(values["flatten_id"] or "")
    values["heeded"] = tuple(values["heeded"])
    return Halt(**values)
