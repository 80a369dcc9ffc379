"""SQL of flattens, and of what they have to know of traders."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from mesh.execution.v1.events_pb2 import FlattenResult, Position, TraderFact
from mesh.execution.v1.safety_pb2 import FLATTEN_STATE_RUNNING, TraderFlatten
from services.live_execution.names import TraderKey
from services.live_execution.safety.flattens import Flatten, Part, View

_FLATTEN = (
    "flatten_id, project, owner, scope, reason, state, create_time, deadline, update_time, end_time"
)
_VIEW = (
    "t.project, t.trader_id, t.owner, t.state, t.reason, t.wanted, t.safety_mode,"
    " t.lease_until > now() AS alive, t.real, t.fence,"
    " EXISTS (SELECT 1 FROM orders o WHERE o.project = t.project AND o.trader_id = t.trader_id"
    "  AND o.open) OR EXISTS (SELECT 1 FROM positions p WHERE p.project = t.project"
    "  AND p.trader_id = t.trader_id AND p.open) AS open"
)


class FlattenStore:
    """Flattens in the service's own schema."""

    async def insert(self, tx: Any, flatten: Flatten) -> bool:
        """Store a flatten with its traders; False when there is one of its id."""
        made = await tx.fetchval(
            "INSERT INTO flattens (flatten_id, project, owner, scope, reason, state, create_time,"
            " deadline, update_time, end_time) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
            " ON CONFLICT DO NOTHING RETURNING true",
            UUID(flatten.flatten_id),
            flatten.project,
            flatten.owner,
            flatten.scope,
            flatten.reason,
            flatten.state,
            flatten.create_time,
            flatten.deadline,
            flatten.update_time,
            flatten.end_time,
        )
        if made:
            for part in flatten.parts:
                await self.put(tx, flatten.flatten_id, part)
        return bool(made)

    async def put(self, tx: Any, flatten_id: str, part: Part) -> None:
        """Store how a flatten does in one trader."""
        await tx.execute(
            "INSERT INTO flatten_traders (flatten_id, trader_id, attempts, fence, sent_time, body)"
            " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (flatten_id, trader_id) DO UPDATE"
            " SET attempts = $3, fence = $4, sent_time = $5, body = $6",
            UUID(flatten_id),
            part.body.trader_id,
            part.attempts,
            part.fence,
            part.sent_time,
            part.body.SerializeToString(),
        )

    async def end(self, tx: Any, flatten: Flatten) -> Flatten:
        """Store the state that a flatten has come to."""
        row = await tx.fetchrow(
            "UPDATE flattens SET state = $2, update_time = now(),"
            " end_time = CASE WHEN $2 <> 'RUNNING' THEN now() END"
            f" WHERE flatten_id = $1 RETURNING {_FLATTEN}",
            UUID(flatten.flatten_id),
            flatten.outcome,
        )
        return _flatten(row, flatten.parts)

    async def find(self, tx: Any, projects: Sequence[str], flatten_id: str) -> Flatten | None:
        """Return a flatten of one of the projects, locked inside a transaction."""
        lock = " FOR UPDATE" if tx.is_in_transaction() else ""
        row = await tx.fetchrow(
            f"SELECT {_FLATTEN} FROM flattens WHERE flatten_id = $1 AND project = ANY($2){lock}",
            UUID(flatten_id),
            list(projects),
        )
        return await self._whole(tx, row) if row else None

    async def running(self, tx: Any) -> list[Flatten]:
        """Return the flattens that are at work, the oldest first."""
        rows = await tx.fetch(
            f"SELECT {_FLATTEN} FROM flattens WHERE state = 'RUNNING' ORDER BY create_time"
            " FOR UPDATE"
        )
        return [await self._whole(tx, row) for row in rows]

    async def running_ids(self, tx: Any) -> set[str]:
        """Return the ids of the flattens that are at work."""
        rows = await tx.fetch("SELECT flatten_id::text FROM flattens WHERE state = 'RUNNING'")
        return {row["flatten_id"] for row in rows}

    async def _whole(self, tx: Any, row: Any) -> Flatten:
        parts = await tx.fetch(
            "SELECT body, attempts, fence, sent_time FROM flatten_traders WHERE flatten_id = $1"
            " ORDER BY trader_id",
            row["flatten_id"],
        )
        return _flatten(row, [_part(part) for part in parts])

    async def in_scope(self, tx: Any, project: str, scope: str) -> list[View]:
        """Return the traders of a project that a scope reaches."""
        kind, _, name = scope.partition(":")
        trader_id = name if kind == "trader" else name.rpartition(":")[0]
        rows = await tx.fetch(
            f"SELECT {_VIEW} FROM traders t WHERE project = $1 AND"
            " ($2 = 'all' OR ($2 = 'venue' AND $3 = ANY(venues)) OR trader_id = $4)"
            " ORDER BY trader_id",
            project,
            kind,
            name,
            trader_id if kind in {"trader", "strategy"} else "",
        )
        return [_view(row) for row in rows]

    async def view(self, tx: Any, key: TraderKey) -> View | None:
        """Return one trader, locked, None when it is gone."""
        row = await tx.fetchrow(
            f"SELECT {_VIEW} FROM traders t WHERE project = $1 AND trader_id = $2 FOR UPDATE", *key
        )
        return _view(row) if row else None

    async def tags(self, tx: Any, key: TraderKey) -> set[str] | None:
        """Return the order id tags of a trader's strategies, None when there is no trader."""
        found = await tx.fetchval(
            "SELECT ARRAY(SELECT c ->> 'order_id_tag' FROM jsonb_array_elements("
            "coalesce(inputs -> 'components', '[]')) c) FROM traders"
            " WHERE project = $1 AND trader_id = $2",
            *key,
        )
        return None if found is None else set(found)

    async def is_taken(self, tx: Any, command_id: str) -> bool:
        """Whether a trader has taken a command."""
        state = await tx.fetchval(
            "SELECT state FROM commands WHERE command_id = $1", UUID(command_id)
        )
        return state not in {None, "ACCEPTED"}

    async def wake(self, tx: Any, key: TraderKey) -> None:
        """Want a trader's process in safety mode."""
        await tx.execute(
            "UPDATE traders SET safety_mode = true, update_time = now()"
            " WHERE project = $1 AND trader_id = $2 AND NOT safety_mode",
            *key,
        )

    async def let_go(self, tx: Any, key: TraderKey) -> None:
        """Want it no more, unless another flatten needs it."""
        parts = await tx.fetch(
            "SELECT p.body FROM flatten_traders p JOIN flattens f USING (flatten_id)"
            " WHERE f.project = $1 AND p.trader_id = $2 AND f.state = 'RUNNING'",
            *key,
        )
        bodies = [TraderFlatten.FromString(row["body"]) for row in parts]
        if any(body.safety_mode and body.state == FLATTEN_STATE_RUNNING for body in bodies):
            return
        await tx.execute(
            "UPDATE traders SET safety_mode = false, update_time = now()"
            " WHERE project = $1 AND trader_id = $2 AND safety_mode",
            *key,
        )

    async def left(
        self, tx: Any, key: TraderKey, venue: str, order_id_tag: str
    ) -> list[FlattenResult]:
        """Return what is open in a trader by instrument, as far as is known."""
        mine = "($3 = '' OR right(strategy_id, length($3) + 1) = '-' || $3)"
        rows = await tx.fetch(
            "SELECT instrument_id, count(*) AS orders, NULL::bytea AS body FROM orders"
            f" WHERE project = $1 AND trader_id = $2 AND open AND {mine}"
            " GROUP BY instrument_id UNION ALL SELECT instrument_id, 0, body FROM positions"
            f" WHERE project = $1 AND trader_id = $2 AND open AND {mine}",
            *key,
            order_id_tag,
        )
        return summed(rows, venue)

    async def reports(self, tx: Any) -> list[tuple[TraderKey, int, TraderFact]]:
        """Return what traders have reported and nobody has acted on, locked."""
        rows = await tx.fetch(
            "SELECT project, trader_id, fact_number, body FROM reports"
            " ORDER BY project, trader_id, fact_number LIMIT 500 FOR UPDATE"
        )
        return [
            (
                TraderKey(row["project"], row["trader_id"]),
                row["fact_number"],
                TraderFact.FromString(row["body"]),
            )
            for row in rows
        ]

    async def acted_on(self, tx: Any, key: TraderKey, number: int) -> None:
        """Take a report out."""
        await tx.execute(
            "DELETE FROM reports WHERE project = $1 AND trader_id = $2 AND fact_number = $3",
            *key,
            number,
        )


def summed(rows: Sequence[Any], venue: str = "") -> list[FlattenResult]:
    """Return open orders and net quantities by instrument."""
    orders: dict[str, int] = {}
    quantities: dict[str, Decimal] = {}
    for row in rows:
        name = row["instrument_id"]
        if venue in {"", name.rpartition(".")[2]}:
            orders[name] = orders.get(name, 0) + row["orders"]
            signed = Position.FromString(row["body"] or b"").signed_qty or "0"
            quantities[name] = quantities.get(name, Decimal(0)) + Decimal(signed)
    return [
        FlattenResult(
            venue=name.rpartition(".")[2],
            instrument_id=name,
            orders_left=orders[name],
            left_qty=f"{quantities[name]:f}",
        )
        for name in sorted(orders)
    ]


def _flatten(row: Any, parts: Sequence[Part]) -> Flatten:
    values = {**dict(row), "flatten_id": str(row["flatten_id"])}
    return replace(Flatten(**values), parts=tuple(parts))


def _part(row: Any) -> Part:
    sent: datetime = row["sent_time"]
    return Part(TraderFlatten.FromString(row["body"]), row["attempts"], row["fence"], sent)


def _view(row: Any) -> View:
    values = dict(row)
    key = TraderKey(values.pop("project"), values.pop("trader_id"))
    return View(key=key, **values)
