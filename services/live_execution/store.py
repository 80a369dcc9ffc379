"""SQL of traders."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from services.live_execution.domain import Plan, Trader
from services.live_execution.names import AREA, TraderKey

_STATE = "CASE WHEN t.state = 'STOPPED' AND t.pid <> 0 THEN 'DRAINING' ELSE t.state END"
"""Its process says that it stops; it has when the process is gone."""

COLUMNS = (
    "t.project, t.trader_id, t.owner, t.labels, t.spec, t.real, t.wanted, t.safety_mode,"
    f" {_STATE} AS state,"
    " t.state_time, t.reason, t.message, t.restrictions, t.strategies, t.halt_ids, t.data_time,"
    " t.replay_ended, t.fence, nullif(t.lease_until, '-infinity') AS lease_until, t.host, t.pid,"
    " t.pid_start, t.process_time, t.process_safety, t.restarts, t.revision, t.unresponsive_time,"
    " t.folder, t.create_time, t.update_time,"
    " ARRAY(SELECT ARRAY[h.halt_id::text, h.scope] FROM halts h WHERE h.project IN (t.project, '*')"
    "  AND h.active AND (h.scope IN ('all', 'trader:' || t.trader_id)"
    "  OR starts_with(h.scope, 'strategy:' || t.trader_id || ':')"
    "  OR h.scope IN (SELECT 'venue:' || v FROM unnest(t.venues) v)) ORDER BY h.set_time) AS halts,"
    f" coalesce((SELECT s.number FROM stream_heads s WHERE s.stream = '{AREA}:' || t.project"
    "  || ':' || t.trader_id), 0) AS number"
)
_HISTORY = (
    "orders",
    "positions",
    "accounts",
    "instruments",
    "marks",
    "reports",
    "snapshots",
    "commands",
    "order_keys",
)


class TraderStore:
    """Traders in the service's own schema. What changes one returns it as it is then."""

    async def insert(
        self,
        tx: Any,
        key: TraderKey,
        owner: str,
        labels: Mapping[str, str],
        plan: Plan,
        folder: str,
    ) -> Trader | None:
        """Store a new trader; None when the id is taken.

        Its facts and its fence go on from those of a deleted one that had the id.
        """
        made = await tx.fetchval(
            "INSERT INTO traders (project, trader_id, owner, labels, spec, inputs, real, venues,"
            " credential_ids, folder) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
            " ON CONFLICT DO NOTHING RETURNING true",
            *key,
            owner,
            json.dumps(dict(labels)),
            *_planned(plan),
            folder,
        )
        if not made:
            return None
        await self._follow_former(tx, key)
        return await self.get(tx, key)

    async def _follow_former(self, tx: Any, key: TraderKey) -> None:
        former = await tx.fetchrow(
            "DELETE FROM former_traders WHERE project = $1 AND trader_id = $2"
            " RETURNING fence, number",
            *key,
        )
        if former is None:
            return
        await tx.execute(
            "UPDATE traders SET fence = $3 WHERE project = $1 AND trader_id = $2",
            *key,
            former["fence"],
        )
        await tx.execute(
            "INSERT INTO stream_heads (stream, number, fence, kept_from)"
            " VALUES ($1, $2::bigint, $3, $2::bigint + 1)",
            key.facts,
            former["number"],
            former["fence"],
        )

    async def find(self, tx: Any, key: TraderKey) -> Trader | None:
        """Return a trader, locked inside a transaction."""
        lock = " FOR UPDATE OF t" if tx.is_in_transaction() else ""
        row = await tx.fetchrow(
            f"SELECT {COLUMNS} FROM traders t WHERE project = $1 AND trader_id = $2{lock}", *key
        )
        return trader_of(row) if row else None

    async def get(self, tx: Any, key: TraderKey) -> Trader:
        """Return a trader that is there."""
        found = await self.find(tx, key)
        assert found is not None  # this transaction holds its lock
        return found

    async def page(
        self,
        tx: Any,
        projects: Sequence[str],
        states: Sequence[str],
        label: tuple[str, str] | None,
        after: tuple[str, ...] | None,
        limit: int,
    ) -> list[Trader]:
        """Return traders by project and id after the key ``after`` (project, id)."""
        rows = await tx.fetch(
            f"SELECT {COLUMNS} FROM traders t WHERE project = ANY($1)"
            " AND (cardinality($2::text[]) = 0 OR"
            f"  CASE WHEN unresponsive_time IS NULL THEN {_STATE} ELSE 'DEGRADED' END = ANY($2))"
            " AND ($3::jsonb IS NULL OR labels @> $3)"
            " AND ($4::text IS NULL OR (project, trader_id) > ($4, $5))"
            " ORDER BY project, trader_id LIMIT $6",
            list(projects),
            list(states),
            json.dumps({label[0]: label[1]}) if label else None,
            after[0] if after else None,
            after[1] if after else None,
            limit,
        )
        return [trader_of(row) for row in rows]

    async def change(
        self, tx: Any, key: TraderKey, plan: Plan, labels: Mapping[str, str] | None = None
    ) -> Trader:
        """Replace spec and what follows from it, and the labels unless None."""
        await tx.execute(
            "UPDATE traders SET spec = $3, inputs = $4, real = $5, venues = $6,"
            " credential_ids = $7, labels = coalesce($8::jsonb, labels),"
            " revision = revision + 1, update_time = now()"
            " WHERE project = $1 AND trader_id = $2",
            *key,
            *_planned(plan),
            None if labels is None else json.dumps(dict(labels)),
        )
        return await self.get(tx, key)

    async def want(self, tx: Any, key: TraderKey) -> Trader:
        """Want a trader to run, with nothing of earlier deaths or stops."""
        await tx.execute(
            "UPDATE traders SET wanted = true, restarts = 0, deaths = '{}', settling = '{}',"
            " settle_until = NULL, update_time = now(),"
            " state = CASE WHEN pid = 0 THEN 'PENDING' ELSE state END,"
            " state_time = CASE WHEN pid = 0 THEN now() ELSE state_time END,"
            " reason = CASE WHEN pid = 0 THEN '' ELSE reason END,"
            " message = CASE WHEN pid = 0 THEN '' ELSE message END"
            " WHERE project = $1 AND trader_id = $2",
            *key,
        )
        return await self.get(tx, key)

    async def want_not(
        self, tx: Any, key: TraderKey, settling: Sequence[str] = (), seconds: float = 0.0
    ) -> Trader:
        """Want a trader not to run; its process is left alone for so long until the commands
        ``settling`` are done and nothing of theirs is open.
        """
        await tx.execute(
            "UPDATE traders SET wanted = false, update_time = now(), settling = $3,"
            " settle_until = now() + make_interval(secs => $4)"
            " WHERE project = $1 AND trader_id = $2",
            *key,
            [UUID(each) for each in settling],
            seconds,
        )
        await tx.execute(
            "UPDATE traders SET state = 'STOPPED', state_time = now(), reason = '', message = ''"
            " WHERE project = $1 AND trader_id = $2 AND pid = 0 AND NOT safety_mode",
            *key,
        )
        return await self.get(tx, key)

    async def components(self, tx: Any, key: TraderKey) -> list[dict[str, Any]]:
        """Return what a trader's process needs of each strategy."""
        text = await tx.fetchval(
            "SELECT inputs FROM traders WHERE project = $1 AND trader_id = $2", *key
        )
        found: list[dict[str, Any]] = json.loads(text)["components"]
        return found

    async def is_open(self, tx: Any, key: TraderKey) -> bool:
        """Whether an order or a position is open, as far as is known."""
        return bool(
            await tx.fetchval(
                "SELECT EXISTS (SELECT 1 FROM orders"
                "  WHERE project = $1 AND trader_id = $2 AND open)"
                " OR EXISTS (SELECT 1 FROM positions"
                "  WHERE project = $1 AND trader_id = $2 AND open)",
                *key,
            )
        )

    async def delete(self, tx: Any, key: TraderKey) -> None:
        """Remove a trader with its history."""
        await tx.execute(
            "INSERT INTO former_traders (project, trader_id, fence, number)"
            " SELECT t.project, t.trader_id, greatest(t.fence, coalesce(h.fence, 0)),"
            " coalesce(h.number, 0) FROM traders t LEFT JOIN stream_heads h ON h.stream = $3"
            " WHERE t.project = $1 AND t.trader_id = $2",
            *key,
            key.facts,
        )
        await tx.execute("DELETE FROM traders WHERE project = $1 AND trader_id = $2", *key)
        for table in _HISTORY:
            await tx.execute(f"DELETE FROM {table} WHERE project = $1 AND trader_id = $2", *key)
        await tx.execute("DELETE FROM facts WHERE stream = $1", key.facts)
        await tx.execute("DELETE FROM stream_heads WHERE stream = $1", key.facts)
        await tx.execute("UPDATE outbox SET done = true WHERE stream = $1", key.commands)


def _planned(plan: Plan) -> tuple[Any, ...]:
    return (
        plan.spec,
        json.dumps({"components": list(plan.components)}),
        plan.real,
        list(plan.venues),
        list(plan.credential_ids),
    )


def trader_of(row: asyncpg.Record) -> Trader:
    """Return a trader from a row of ``COLUMNS`` and perhaps more."""
    values = {name: row[name] for name in Trader.__dataclass_fields__}
    values["labels"] = json.loads(values["labels"])
    for name in ("restrictions", "strategies", "halt_ids"):
        values[name] = tuple(values[name])
    values["halts"] = tuple((halt_id, scope) for halt_id, scope in values["halts"])
    return Trader(**values)
