"""SQL of instruments and import jobs."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from services.market_data.domain import Job, Json, StoredInstrument

_INSTRUMENT = (
    "project, instrument_id, owner, definition, price_precision, size_precision, create_time,"
    " update_time"
)
_JOB = (
    "import_id, project, owner, spec, file_name, upload_bytes, upload_sha256, state, report,"
    " reason, message, attempts, start_time, end_time, create_time, update_time"
)


class InstrumentStore:
    """Instruments of all projects."""

    async def insert(self, tx: Any, item: StoredInstrument) -> StoredInstrument | None:
        """Store an instrument; None when the id is taken, or another one by its folder.

        A catalog leaves slashes out of folder names, so ``A/B.X`` and ``AB.X`` have one folder.
        """
        row = await tx.fetchrow(
            "INSERT INTO instruments (project, instrument_id, owner, definition, price_precision,"
            " size_precision) SELECT $1, $2, $3, $4, $5, $6 WHERE NOT EXISTS ("
            "SELECT FROM instruments WHERE project = $1"
            " AND replace(instrument_id, '/', '') = replace($2, '/', ''))"
            f" ON CONFLICT DO NOTHING RETURNING {_INSTRUMENT}",
            item.project,
            item.instrument_id,
            item.owner,
            item.definition,
            item.price_precision,
            item.size_precision,
        )
        return StoredInstrument(**dict(row)) if row else None

    async def find(self, tx: Any, project: str, instrument_id: str) -> StoredInstrument | None:
        """Return an instrument, locked inside a transaction: none is deleted under an import."""
        lock = " FOR UPDATE" if tx.is_in_transaction() else ""
        row = await tx.fetchrow(
            f"SELECT {_INSTRUMENT} FROM instruments"
            f" WHERE project = $1 AND instrument_id = $2{lock}",
            project,
            instrument_id,
        )
        return StoredInstrument(**dict(row)) if row else None

    async def page(
        self, tx: Any, project: str, venue: str, after: str, limit: int
    ) -> list[StoredInstrument]:
        """Return instruments with ids above ``after``, by id; an empty venue is any."""
        rows = await tx.fetch(
            f"SELECT {_INSTRUMENT} FROM instruments WHERE project = $1 AND instrument_id > $2"
            " AND ($3 = '' OR right(instrument_id, length($3) + 1) = '.' || $3)"
            " ORDER BY instrument_id LIMIT $4",
            project,
            after,
            venue,
            limit,
        )
        return [StoredInstrument(**dict(row)) for row in rows]

    async def rows_of(self, tx: Any, project: str, instrument_id: str) -> int:
        """Return how many rows of data there are of an instrument."""
        return int(
            await tx.fetchval(
                "SELECT coalesce(sum(rows), 0) FROM catalog_files"
                " WHERE project = $1 AND instrument_id = $2",
                project,
                instrument_id,
            )
        )

    async def delete(self, tx: Any, project: str, instrument_id: str) -> None:
        """Remove an instrument."""
        await tx.execute(
            "DELETE FROM instruments WHERE project = $1 AND instrument_id = $2",
            project,
            instrument_id,
        )


class JobStore:
    """Import jobs."""

    async def insert(self, tx: Any, job: Job) -> Job:
        """Store a new job."""
        row = await tx.fetchrow(
            "INSERT INTO import_jobs (import_id, project, owner, spec, file_name, upload_bytes,"
            f" upload_sha256) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING {_JOB}",
            UUID(job.import_id),
            job.project,
            job.owner,
            job.spec,
            job.file_name,
            job.upload_bytes,
            job.upload_sha256,
        )
        return _job(row)

    async def find(self, tx: Any, projects: Sequence[str], import_id: str) -> Job | None:
        """Return a job of one of the projects, locked inside a transaction."""
        lock = " FOR UPDATE" if tx.is_in_transaction() else ""
        row = await tx.fetchrow(
            f"SELECT {_JOB} FROM import_jobs WHERE import_id = $1 AND project = ANY($2){lock}",
            UUID(import_id),
            list(projects),
        )
        return _job(row) if row else None

    async def page(
        self, tx: Any, project: str, state: str, after: tuple[str, ...] | None, limit: int
    ) -> list[Job]:
        """Return jobs, the newest first, older than the key ``after`` (create time, id)."""
        rows = await tx.fetch(
            f"SELECT {_JOB} FROM import_jobs WHERE project = $1 AND ($2 = '' OR state = $2)"
            " AND ($3::timestamptz IS NULL OR (create_time, import_id) < ($3, $4::uuid))"
            " ORDER BY create_time DESC, import_id DESC LIMIT $5",
            project,
            state,
            datetime.fromisoformat(after[0]) if after else None,
            UUID(after[1]) if after else None,
            limit,
        )
        return [_job(row) for row in rows]

    async def unfinished(self, tx: Any) -> list[str]:
        """Return the ids of jobs to do, the oldest first."""
        rows = await tx.fetch(
            "SELECT import_id FROM import_jobs WHERE state IN ('PENDING', 'RUNNING')"
            " ORDER BY create_time"
        )
        return [str(row["import_id"]) for row in rows]

    async def begin(self, tx: Any, import_id: str) -> Job | None:
        """Mark a job as being worked on; None when it has ended."""
        row = await tx.fetchrow(
            "UPDATE import_jobs SET state = 'RUNNING', attempts = attempts + 1,"
            " start_time = now(), update_time = now()"
            f" WHERE import_id = $1 AND state IN ('PENDING', 'RUNNING') RETURNING {_JOB}",
            UUID(import_id),
        )
        return _job(row) if row else None

    async def finish(
        self, tx: Any, import_id: str, state: str, report: Json, reason: str, message: str
    ) -> Job | None:
        """Store the end of a job; None when it has ended already."""
        row = await tx.fetchrow(
            "UPDATE import_jobs SET state = $2, report = $3, reason = $4, message = $5,"
            " end_time = now(), update_time = now()"
            f" WHERE import_id = $1 AND state IN ('PENDING', 'RUNNING') RETURNING {_JOB}",
            UUID(import_id),
            state,
            json.dumps(report),
            reason,
            message,
        )
        return _job(row) if row else None

    async def delete(self, tx: Any, import_id: str) -> None:
        """Remove a job."""
        await tx.execute("DELETE FROM import_jobs WHERE import_id = $1", UUID(import_id))


def _job(row: asyncpg.Record) -> Job:
    values = dict(row)
    return Job(
        **{
            **values,
            "import_id": str(values["import_id"]),
            "report": json.loads(values["report"]),
        }
    )
