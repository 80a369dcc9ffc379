"""Limits across the traders of a project: looked at as long as there are any, and acted on."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from mesh.execution.v1.events_pb2 import AccountState, LimitBroken, Mark, Position
from mesh.execution.v1.safety_service_pb2 import ProjectLimits
from mesh.execution.v1.trader_pb2 import (
    LIMIT_ACTION_HALTED,
    LIMIT_ACTION_REDUCING,
    TraderSpec,
)
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from meshkit.database import Database
from services.live_execution.marking import Price
from services.live_execution.safety import events
from services.live_execution.safety.halting import Halting
from services.live_execution.safety.limits import Book, Broken, Figures, broken, count

log = logging.getLogger("live_execution.limiting")

ZERO = Decimal(0)


@dataclass(frozen=True)
class Used:
    """How far the limits of a project are used."""

    limits: ProjectLimits
    figures: Figures
    pnl: Decimal | None
    """Of the day, in the currency of its limit."""


class LimitStore:
    """Limits, and what they are compared with, in the service's own schema."""

    async def get(self, tx: Any, project: str) -> ProjectLimits:
        """Return a project's limits, empty ones where none are set."""
        body = await tx.fetchval("SELECT body FROM project_limits WHERE project = $1", project)
        return ProjectLimits.FromString(body or b"")

    async def put(self, tx: Any, project: str, limits: ProjectLimits) -> None:
        """Replace a project's limits."""
        await tx.execute(
            "INSERT INTO project_limits (project, body) VALUES ($1, $2)"
            " ON CONFLICT (project) DO UPDATE SET body = $2, update_time = now()",
            project,
            limits.SerializeToString(),
        )

    async def all(self, tx: Any) -> dict[str, ProjectLimits]:
        """Return the limits of every project that has some."""
        rows = await tx.fetch("SELECT project, body FROM project_limits ORDER BY project")
        return {row["project"]: ProjectLimits.FromString(row["body"]) for row in rows}

    async def book(self, tx: Any, project: str) -> Book:
        """Return what the traders of a project hold."""

        async def bodies(query: str, *more: Any) -> list[Any]:
            found: list[Any] = await tx.fetch(query, project, *more)
            return found

        positions = await bodies(
            "SELECT trader_id, body FROM positions WHERE project = $1 AND open"
        )
        accounts = await bodies("SELECT trader_id, body FROM accounts WHERE project = $1")
        specs = await bodies("SELECT trader_id, spec AS body FROM traders WHERE project = $1")
        return Book(
            specs={row["trader_id"]: TraderSpec.FromString(row["body"]) for row in specs},
            positions=[(row["trader_id"], Position.FromString(row["body"])) for row in positions],
            accounts=[(row["trader_id"], AccountState.FromString(row["body"])) for row in accounts],
            prices=_newest(
                await bodies(
                    "SELECT m.instrument_id, m.body AS mark, i.body AS definition FROM marks m"
                    " JOIN instruments i USING (project, trader_id, instrument_id)"
                    " WHERE m.project = $1"
                )
            ),
        )

    async def day_began(
        self, tx: Any, project: str, day: date, currency: str, values: Mapping[str, Decimal]
    ) -> dict[str, Decimal]:
        """Return what accounts were worth when the day began, or when they were first seen on it.

        A value in another currency than the limit's is forgotten: the day begins anew for it.
        """
        await tx.execute(
            "INSERT INTO day_values AS d (project, day, account, currency, value)"
            " SELECT $1, $2, v.account, $3, v.value FROM unnest($4::text[], $5::numeric[])"
            " AS v(account, value) ON CONFLICT (project, day, account) DO UPDATE"
            " SET currency = excluded.currency, value = excluded.value"
            " WHERE d.currency <> excluded.currency",
            project,
            day,
            currency,
            list(values),
            list(values.values()),
        )
        await tx.execute("DELETE FROM day_values WHERE project = $1 AND day < $2", project, day)
        rows = await tx.fetch(
            "SELECT account, value FROM day_values WHERE project = $1 AND day = $2", project, day
        )
        return {row["account"]: row["value"] for row in rows}


class Limiting:
    """Looks at the limits of every project, and halts those that break one."""

    def __init__(self, database: Database, store: LimitStore, halting: Halting) -> None:
        self._database = database
        self._store = store
        self._halting = halting
        self._gaps: dict[str, int] = {}

    async def look(self) -> None:
        """Compare all limits with what the traders hold now."""
        async with self._database.connection() as tx:
            projects = await self._store.all(tx)
        for project in projects:
            used = await self.used(project)
            self._tell_gaps(project, used)
            for each in broken(used.limits, used.figures, used.pnl):
                await self._halt(project, used.limits, each)

    async def used(self, project: str) -> Used:
        """Return how far the limits of a project are used now."""
        async with self._database.transaction() as tx:
            limits = await self._store.get(tx, project)
            figures = count(limits, await self._store.book(tx, project))
            pnl = await self._pnl(tx, project, limits, figures)
        return Used(limits, figures, pnl)

    async def _pnl(
        self, tx: Any, project: str, limits: ProjectLimits, figures: Figures
    ) -> Decimal | None:
        if figures.values is None:
            return None
        currency, today = limits.max_daily_loss.currency, datetime.now(UTC).date()
        began = await self._store.day_began(tx, project, today, currency, figures.values)
        return sum((now - began[key] for key, now in figures.values.items()), ZERO)

    async def _halt(self, project: str, limits: ProjectLimits, each: Broken) -> None:
        action = LIMIT_ACTION_HALTED if limits.halted else LIMIT_ACTION_REDUCING
        told = LimitBroken(limit=each.limit, bound=each.bound, value=each.value, action=action)
        was_set = await self._halting.limit(
            project,
            "all",
            f"{each.limit} of the project is {each.bound} and was {each.value}",
            reducing=not limits.halted,
            tell=lambda tx: events.tell_limit(tx, project, told),
        )
        if was_set:
            log.warning("a limit is broken", extra={"project": project, "limit": each.limit})

    def _tell_gaps(self, project: str, used: Used) -> None:
        gaps = len(used.figures.gaps)
        if gaps and not self._gaps.get(project):
            log.warning(
                "a limit cannot be watched",
                extra={"project": project, "gap": used.figures.gaps[0].message},
            )
        self._gaps[project] = gaps


def _newest(rows: list[Any]) -> dict[str, Price]:
    found: dict[str, Price] = {}
    for row in rows:
        mark = Mark.FromString(row["mark"])
        known = found.get(row["instrument_id"])
        if known is None or known.mark.ts.ToNanoseconds() < mark.ts.ToNanoseconds():
            definition = InstrumentDefinition.FromString(row["definition"])
            found[row["instrument_id"]] = Price(mark, definition)
    return found
