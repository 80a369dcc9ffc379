"""SQL of catalog files: which there are, and moves that must be done on disk."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.market_data.catalog import File
from services.market_data.domain import FIRST, LAST, Series

_FILE = "path, bytes, rows, first_ns AS first, last_ns AS last, sha256"


@dataclass(frozen=True)
class Covered:
    """What the catalog holds of one series, in sum."""

    series: Series
    first: int
    last: int
    rows: int
    files: int
    bytes: int
    gap_count: int
    hashes: list[str]
    update_time: datetime


class FileStore:
    """The files of all catalogs."""

    async def lock(self, tx: Any, project: str, series: Series) -> None:
        """Keep other writers of a series out until the transaction ends."""
        name = f"{project}/{series.kind}/{series.identifier}"
        await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", name)

    async def find(
        self, tx: Any, project: str, series: Series, start: int = FIRST, end: int = LAST
    ) -> list[File]:
        """Return the files with rows in the closed range, in the order of time."""
        rows = await tx.fetch(
            f"SELECT {_FILE} FROM catalog_files WHERE project = $1 AND kind = $2"
            " AND identifier = $3 AND last_ns >= $4 AND first_ns <= $5 ORDER BY first_ns",
            project,
            series.kind,
            series.identifier,
            start,
            end,
        )
        return [File(**dict(row)) for row in rows]

    async def before(
        self, tx: Any, project: str, series: Series, first: int, limit: int
    ) -> list[File]:
        """Return the last files that end before a time, the latest first."""
        rows = await tx.fetch(
            f"SELECT {_FILE} FROM catalog_files WHERE project = $1 AND kind = $2"
            " AND identifier = $3 AND last_ns < $4 ORDER BY first_ns DESC LIMIT $5",
            project,
            series.kind,
            series.identifier,
            first,
            limit,
        )
        return [File(**dict(row)) for row in rows]

    async def replace(
        self,
        tx: Any,
        project: str,
        owner: str,
        series: Series,
        adds: Sequence[tuple[str, File]],
        removes: Sequence[File],
    ) -> int:
        """Take files out and put staged ones in; returns the id of the move to do on disk."""
        await tx.execute(
            "DELETE FROM catalog_files WHERE project = $1 AND path = ANY($2)",
            project,
            [file.path for file in removes],
        )
        for _, file in adds:
            await tx.execute(
                "INSERT INTO catalog_files (project, path, kind, identifier, instrument_id,"
                " bar_type, owner, bytes, rows, first_ns, last_ns, sha256)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
                project,
                file.path,
                series.kind,
                series.identifier,
                series.instrument_id,
                series.bar_type,
                owner,
                file.bytes,
                file.rows,
                file.first,
                file.last,
                file.sha256,
            )
        return int(
            await tx.fetchval(
                "INSERT INTO catalog_moves (owner, project, adds, removes)"
                " VALUES ($1, $2, $3, $4) RETURNING id",
                owner,
                project,
                json.dumps([(staged, file.path) for staged, file in adds]),
                json.dumps([file.path for file in removes]),
            )
        )

    async def set_gaps(self, tx: Any, project: str, owner: str, series: Series, gaps: int) -> None:
        """Store how many gaps a series has now."""
        await tx.execute(
            "INSERT INTO series (project, kind, identifier, owner, gap_count)"
            " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (project, kind, identifier)"
            " DO UPDATE SET gap_count = $5, update_time = now()",
            project,
            series.kind,
            series.identifier,
            owner,
            gaps,
        )

    async def moves(self, tx: Any) -> list[tuple[int, str, list[tuple[str, str]], list[str]]]:
        """Return the moves that may not have been done, the oldest first."""
        rows = await tx.fetch("SELECT id, project, adds, removes FROM catalog_moves ORDER BY id")
        return [
            (
                r["id"],
                r["project"],
                [(a, b) for a, b in json.loads(r["adds"])],
                json.loads(r["removes"]),
            )
            for r in rows
        ]

    async def has_move(self, tx: Any, move: int) -> bool:
        """Return whether a move is to be done: it was committed, and not forgotten."""
        return bool(await tx.fetchval("SELECT true FROM catalog_moves WHERE id = $1", move))

    async def moved(self, tx: Any, move: int) -> None:
        """Forget a move that was done."""
        await tx.execute("DELETE FROM catalog_moves WHERE id = $1", move)

    async def projects(self, tx: Any) -> list[str]:
        """Return the projects that have instruments."""
        rows = await tx.fetch("SELECT DISTINCT project FROM instruments")
        return [row["project"] for row in rows]

    async def coverage(
        self,
        tx: Any,
        project: str,
        kind: str,
        instrument_id: str,
        after: tuple[str, ...] | None,
        limit: int,
    ) -> list[Covered]:
        """Return what there is, by kind and identifier above ``after``; empty filters are any."""
        rows = await tx.fetch(
            "SELECT f.kind, f.identifier, f.instrument_id, f.bar_type, min(first_ns) AS first,"
            " max(last_ns) AS last, sum(rows)::bigint AS rows, count(*) AS files,"
            " sum(bytes)::bigint AS bytes, array_agg(sha256 ORDER BY first_ns) AS hashes,"
            " s.gap_count, s.update_time"
            " FROM catalog_files f JOIN series s USING (project, kind, identifier)"
            " WHERE project = $1 AND ($2 = '' OR kind = $2) AND ($3 = '' OR instrument_id = $3)"
            " AND ($4::text IS NULL OR (kind, identifier) > ($4, $5))"
            " GROUP BY kind, identifier, instrument_id, bar_type, gap_count, update_time"
            " ORDER BY kind, identifier LIMIT $6",
            project,
            kind,
            instrument_id,
            after[0] if after else None,
            after[1] if after else None,
            limit,
        )
        return [
            Covered(
                Series(r["kind"], r["instrument_id"], r["bar_type"]),
                r["first"],
                r["last"],
                r["rows"],
                r["files"],
                r["bytes"],
                r["gap_count"],
                list(r["hashes"]),
                r["update_time"],
            )
            for r in rows
        ]
