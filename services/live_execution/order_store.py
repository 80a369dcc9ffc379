"""SQL of orders, positions, accounts and commands."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from mesh.execution.v1 import events_pb2 as events
from mesh.execution.v1 import order_pb2 as pb
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from meshkit.bell import QUEUED
from meshkit.outbox import Row
from services.live_execution.marking import Price
from services.live_execution.names import TraderKey
from services.live_execution.order_convert import CommandRow, Submission, order

_COMMAND = (
    "c.command_id, c.project, c.trader_id, c.kind, c.submitter, c.state, c.reason, c.message,"
    " c.client_order_ids, c.create_time, c.expire_time"
)
_NAMES = tuple(name.strip().removeprefix("c.") for name in _COMMAND.split(","))
_SUBMITTER = (
    "(SELECT c.submitter FROM order_keys k JOIN commands c USING (command_id)"
    " WHERE (k.project, k.trader_id, k.key) = (o.project, o.trader_id, o.client_order_id)"
    " AND o.source = 'MANUAL') AS submitter"
)
BEHIND = 32
"""Entries of a trader's stream that Redis may lack before new ones are left to the publisher."""


@dataclass(frozen=True)
class Ground:
    """What a submission, or any command, is checked against, read at one moment."""

    wanted: bool
    safety_mode: bool
    state: str
    venues: frozenset[str]
    halt_id: str
    """Of a halt that forbids it, not only increases; empty when there is none."""
    keys: Mapping[str, tuple[bytes, str]]
    """Hash and command id of those keys that are used."""
    made: frozenset[str]
    """Those of the client order ids that the trader has orders of."""
    instruments: Mapping[str, InstrumentDefinition]

    def halted(self, halt_id: str) -> "Ground":
        """Return it with a halt that was found elsewhere, if any."""
        return replace(self, halt_id=halt_id) if halt_id else self

    @property
    def takes_commands(self) -> bool:
        """Whether the trader runs, or will as soon as it can: its process may just be replaced."""
        return self.wanted and not self.safety_mode and self.state != "FAILED"


class OrderStore:
    """What the facts of traders add up to, and the commands of callers."""

    async def ground(
        self, tx: Any, key: TraderKey, scopes: Iterable[str], submission: Submission | None = None
    ) -> Ground | None:
        """Return what commands to a trader are checked against; None when there is no such one."""
        row = await tx.fetchrow(
            "SELECT t.wanted, t.safety_mode, t.state, t.venues,"
            " (SELECT halt_id::text FROM halts WHERE active AND NOT reducing AND"
            "  (project = $1 AND scope = ANY($3) OR project = '*') LIMIT 1) AS halt_id,"
            " ARRAY(SELECT key FROM order_keys WHERE project = $1 AND trader_id = $2"
            "  AND key = ANY($4) ORDER BY key) AS keys,"
            " ARRAY(SELECT body_hash FROM order_keys WHERE project = $1 AND trader_id = $2"
            "  AND key = ANY($4) ORDER BY key) AS hashes,"
            " ARRAY(SELECT command_id::text FROM order_keys WHERE project = $1 AND trader_id = $2"
            "  AND key = ANY($4) ORDER BY key) AS command_ids,"
            " ARRAY(SELECT client_order_id FROM orders WHERE project = $1 AND trader_id = $2"
            "  AND client_order_id = ANY($4)) AS made,"
            " ARRAY(SELECT body FROM instruments WHERE project = $1 AND trader_id = $2"
            "  AND instrument_id = ANY($5)) AS instruments"
            " FROM traders t WHERE t.project = $1 AND t.trader_id = $2",
            *key,
            list(scopes),
            list(submission.keys) if submission else [],
            submission.instrument_ids if submission else [],
        )
        return _ground(row) if row else None

    async def submit(
        self, tx: Any, key: TraderKey, submission: Submission, row: CommandRow, body: bytes
    ) -> list[Row] | None:
        """Store a submission, its keys and its entry in the outbox, in one statement.

        Returns what Redis lacks of the trader's stream, the entry last, more than ``BEHIND`` when
        the publisher is late. None when one of the keys was used: of several keys the others are
        stored then, and the caller rolls back.
        """
        rows = await tx.fetch(
            "WITH keys AS (INSERT INTO order_keys (project, trader_id, key, body_hash, command_id)"
            "  SELECT $1, $2, k.key, k.hash, $5 FROM unnest($3::text[], $4::bytea[])"
            "  AS k(key, hash) ORDER BY k.key ON CONFLICT DO NOTHING RETURNING key),"
            " whole AS (SELECT count(*) = cardinality($3) AS new FROM keys),"
            " command AS (INSERT INTO commands (command_id, project, trader_id, kind, submitter,"
            "  client_order_ids, body, create_time, expire_time)"
            "  SELECT $5, $1, $2, $6, $7, $8, $9, $10, $11 FROM whole WHERE new),"
            " entry AS (INSERT INTO outbox (stream, key, payload)"
            "  SELECT $12, $5::text, $9 FROM whole WHERE new RETURNING seq, stream, key, payload),"
            " older AS (SELECT seq, stream, key, payload FROM outbox WHERE NOT done AND epoch = ''"
            f"  AND stream = $12 ORDER BY seq LIMIT {BEHIND})"
            " SELECT *, '' FROM older UNION ALL"
            f" SELECT *, pg_notify('mesh_' || current_schema(), '{QUEUED}')::text FROM entry"
            " ORDER BY seq",
            *key,
            list(submission.keys),
            list(submission.keys.values()),
            UUID(row.command_id),
            row.kind,
            row.submitter,
            submission.client_order_ids,
            body,
            row.create_time,
            row.expire_time,
            key.commands,
        )
        if not rows or rows[-1]["key"] != row.command_id:
            return None
        return [Row(*tuple(each)[:4]) for each in rows]

    async def unpublished(self, tx: Any, key: TraderKey) -> list[Row]:
        """Return what Redis lacks of a trader's stream, more than ``BEHIND`` when it is much."""
        rows = await tx.fetch(
            "SELECT seq, stream, key, payload FROM outbox WHERE NOT done AND epoch = ''"
            f" AND stream = $1 ORDER BY seq LIMIT {BEHIND + 1}",
            key.commands,
        )
        return [Row(*each) for each in rows]

    async def command(self, tx: Any, projects: Sequence[str], command_id: str) -> CommandRow | None:
        """Return a command of one of the projects."""
        row = await tx.fetchrow(
            f"SELECT {_COMMAND} FROM commands c WHERE command_id = $1 AND project = ANY($2)",
            UUID(command_id),
            list(projects),
        )
        return command_row(row) if row else None

    async def awaited(
        self, tx: Any, command_ids: Sequence[str]
    ) -> dict[str, tuple[CommandRow, dict[str, pb.Order]]]:
        """Return commands by id, each with those of its orders that are there."""
        rows = await tx.fetch(
            f"SELECT {_COMMAND}, o.body FROM commands c LEFT JOIN orders o"
            " ON o.project = c.project AND o.trader_id = c.trader_id"
            " AND o.client_order_id = ANY(c.client_order_ids) WHERE c.command_id = ANY($1)",
            [UUID(each) for each in command_ids],
        )
        found: dict[str, tuple[CommandRow, dict[str, pb.Order]]] = {}
        for row in rows:
            command = command_row(row)
            _, orders = found.setdefault(command.command_id, (command, {}))
            if row["body"] is not None:
                made = order(row["body"], command.submitter)
                orders[made.client_order_id] = made
        return found

    async def orders(
        self, tx: Any, key: TraderKey, client_order_ids: Sequence[str]
    ) -> dict[str, pb.Order]:
        """Return those of a trader's orders that are there, by id."""
        rows = await tx.fetch(
            f"SELECT o.body, {_SUBMITTER} FROM orders o WHERE project = $1 AND trader_id = $2"
            " AND client_order_id = ANY($3)",
            *key,
            list(client_order_ids),
        )
        found = [order(row["body"], row["submitter"]) for row in rows]
        return {each.client_order_id: each for each in found}

    async def on_the_way(
        self, tx: Any, key: TraderKey, client_order_ids: Sequence[str]
    ) -> set[str]:
        """Return which ids were submitted by commands that the trader has not taken yet."""
        rows = await tx.fetch(
            "SELECT k.key FROM order_keys k JOIN commands c USING (command_id)"
            " WHERE k.project = $1 AND k.trader_id = $2 AND k.key = ANY($3)"
            " AND c.state = 'ACCEPTED'",
            *key,
            list(client_order_ids),
        )
        return {row["key"] for row in rows}

    async def open_position(self, tx: Any, key: TraderKey, position_id: str) -> str | None:
        """Return the instrument of a trader's open position, None when it has none of this id."""
        found = await tx.fetchval(
            "SELECT instrument_id FROM positions WHERE project = $1 AND trader_id = $2"
            " AND position_id = $3 AND open",
            *key,
            position_id,
        )
        return None if found is None else str(found)

    async def missing(self, tx: Any, project: str, trader_ids: Sequence[str]) -> str:
        """Return the first of the ids that is no trader of the project; empty when all are."""
        found = await tx.fetchval(
            "SELECT w FROM unnest($2::text[]) w WHERE NOT EXISTS (SELECT 1 FROM traders"
            " WHERE project = $1 AND trader_id = w) LIMIT 1",
            project,
            list(trader_ids),
        )
        return str(found or "")

    async def prices(self, tx: Any, wanted: Iterable[tuple[str, str, str]]) -> dict[Any, Price]:
        """Return the last price and the definition by (project, trader id, instrument id)."""
        keys = list(wanted)
        rows = await tx.fetch(
            "SELECT m.project, m.trader_id, m.instrument_id, m.body AS mark, i.body AS definition"
            " FROM marks m JOIN instruments i USING (project, trader_id, instrument_id)"
            " JOIN unnest($1::text[], $2::text[], $3::text[]) AS w(p, t, i)"
            " ON (m.project, m.trader_id, m.instrument_id) = (w.p, w.t, w.i)",
            *([key[at] for key in keys] for at in range(3)),
        )
        return {
            (row["project"], row["trader_id"], row["instrument_id"]): Price(
                events.Mark.FromString(row["mark"]),
                InstrumentDefinition.FromString(row["definition"]),
            )
            for row in rows
        }

    async def page_of_orders(
        self,
        tx: Any,
        projects: Sequence[str],
        wanted: Any,
        statuses: Sequence[str],
        source: str,
        after: tuple[str, ...] | None,
        limit: int,
    ) -> list[tuple[tuple[str, ...], pb.Order]]:
        """Return orders that fit a ``ListOrdersRequest``, each after its key, the newest first."""
        rows = await tx.fetch(
            f"SELECT o.ts_init, o.project, o.trader_id, o.client_order_id, o.body, {_SUBMITTER}"
            " FROM orders o WHERE project = ANY($1) AND ($2 = '' OR trader_id = $2)"
            " AND ($3 = '' OR instrument_id = $3) AND ($4 = '' OR strategy_id = $4)"
            " AND (cardinality($5::text[]) = 0 OR status = ANY($5)) AND (NOT $6 OR open)"
            " AND ($7 = '' OR source = $7) AND ($8::timestamptz IS NULL OR"
            "  (ts_init, project, trader_id, client_order_id) < ($8, $9, $10, $11))"
            " ORDER BY ts_init DESC, project DESC, trader_id DESC, client_order_id DESC LIMIT $12",
            list(projects),
            wanted.trader_id,
            wanted.instrument_id,
            wanted.strategy_id,
            list(statuses),
            wanted.open_only,
            source,
            *_after(after, 4),
            limit,
        )
        return [(_key(row, 4), order(row["body"], row["submitter"])) for row in rows]

    async def page_of_positions(
        self,
        tx: Any,
        projects: Sequence[str],
        wanted: Any,
        after: tuple[str, ...] | None,
        limit: int,
    ) -> list[tuple[tuple[str, ...], events.Position]]:
        """Return positions that fit a ``ListPositionsRequest``, the newest first."""
        rows = await tx.fetch(
            "SELECT ts_opened, project, trader_id, position_id, body FROM positions"
            " WHERE project = ANY($1) AND ($2 = '' OR trader_id = $2)"
            " AND ($3 = '' OR instrument_id = $3) AND (NOT $4 OR open)"
            " AND ($5::timestamptz IS NULL OR"
            "  (ts_opened, project, trader_id, position_id) < ($5, $6, $7, $8))"
            " ORDER BY ts_opened DESC, project DESC, trader_id DESC, position_id DESC LIMIT $9",
            list(projects),
            wanted.trader_id,
            wanted.instrument_id,
            wanted.open_only,
            *_after(after, 4),
            limit,
        )
        return [(_key(row, 4), events.Position.FromString(row["body"])) for row in rows]

    async def page_of_accounts(
        self,
        tx: Any,
        projects: Sequence[str],
        trader_id: str,
        after: tuple[str, ...] | None,
        limit: int,
    ) -> list[tuple[tuple[str, ...], events.AccountState]]:
        """Return accounts by project, trader and id."""
        rows = await tx.fetch(
            "SELECT project, trader_id, account_id, body FROM accounts"
            " WHERE project = ANY($1) AND ($2 = '' OR trader_id = $2)"
            " AND ($3::text IS NULL OR (project, trader_id, account_id) > ($3, $4, $5))"
            " ORDER BY project, trader_id, account_id LIMIT $6",
            list(projects),
            trader_id,
            *(after or (None, None, None)),
            limit,
        )
        return [
            (
                (row["project"], row["trader_id"], row["account_id"]),
                events.AccountState.FromString(row["body"]),
            )
            for row in rows
        ]


def command_row(row: Any) -> CommandRow:
    """Return a row of ``commands``."""
    values = {name: row[name] for name in _NAMES}
    values["command_id"] = str(values["command_id"])
    values["client_order_ids"] = tuple(values["client_order_ids"])
    return CommandRow(**values)


def _ground(row: Any) -> Ground:
    used = zip(row["hashes"], row["command_ids"], strict=True)
    known = [InstrumentDefinition.FromString(body) for body in row["instruments"]]
    return Ground(
        wanted=row["wanted"],
        safety_mode=row["safety_mode"],
        state=row["state"],
        venues=frozenset(row["venues"]),
        halt_id=row["halt_id"] or "",
        keys=dict(zip(row["keys"], used, strict=True)),
        made=frozenset(row["made"]),
        instruments={each.instrument_id: each for each in known},
    )


def _after(after: tuple[str, ...] | None, count: int) -> tuple[Any, ...]:
    if after is None or len(after) != count:  # a token of this filter always has them
        return (None,) * count
    return (datetime.fromisoformat(after[0]), *after[1:])


def _key(row: Any, count: int) -> tuple[str, ...]:
    first, *rest = list(row.values())[:count]
    return (first.isoformat(), *rest)
