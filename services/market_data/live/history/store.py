"""SQL of history jobs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.market_data.domain import Series
from services.market_data.live.history.domain import HistoryJob

_PLAIN = (
    "project, owner, feed_id, refresh, state, rows_received, rows_written, requests, reason,"
    " message, attempts, start_time, end_time, create_time, update_time"
)
_JOB = f"{_PLAIN}, history_job_id, kind, instrument_id, bar_type, start_ns, end_ns, position_ns"
_UNFINISHED = "state IN ('PENDING', 'RUNNING')"


class HistoryJobStore:
    """History jobs of all projects."""

    async def insert(self, tx: Any, job: HistoryJob) -> HistoryJob:
        """Store a new job."""
        row = await tx.fetchrow(
            "INSERT INTO history_jobs (history_job_id, project, owner, feed_id, kind,"
            " instrument_id, bar_type, start_ns, end_ns, refresh, position_ns)"
            f" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $8) RETURNING {_JOB}",
            UUID(job.history_job_id),
            job.project,
            job.owner,
            job.feed_id,
            job.series.kind,
            job.series.instrument_id,
            job.series.bar_type,
            job.start,
            job.end,
            job.refresh,
        )
        return _job(row)

    async def find(
        self, tx: Any, projects: Sequence[str], history_job_id: str
    ) -> HistoryJob | None:
        """Return a job of one of the projects, locked inside a transaction."""
        lock = " FOR UPDATE" if tx.is_in_transaction() else ""
        row = await tx.fetchrow(
            f"SELECT {_JOB} FROM history_jobs"
            f" WHERE history_job_id = $1 AND project = ANY($2){lock}",
            UUID(history_job_id),
            list(projects),
        )
        return _job(row) if row else None

    async def page(
        self, tx: Any, project: str, state: str, after: tuple[str, ...] | None, limit: int
    ) -> list[HistoryJob]:
        """Return jobs, the newest first, older than the key ``after`` (create time, id)."""
        rows = await tx.fetch(
            f"SELECT {_JOB} FROM history_jobs WHERE project = $1 AND ($2 = '' OR state = $2)"
            " AND ($3::timestamptz IS NULL OR (create_time, history_job_id) < ($3, $4::uuid))"
            " ORDER BY create_time DESC, history_job_id DESC LIMIT $5",
            project,
            state,
            datetime.fromisoformat(after[0]) if after else None,
            UUID(after[1]) if after else None,
            limit,
        )
        return [_job(row) for row in rows]

    async def unfinished(self, tx: Any) -> list[HistoryJob]:
        """Return the jobs to do, the oldest first."""
        rows = await tx.fetch(
            f"SELECT {_JOB} FROM history_jobs WHERE {_UNFINISHED} ORDER BY create_time"
        )
        return [_job(row) for row in rows]

    async def feed_of(self, tx: Any, history_job_id: str) -> str:
        """Return project and feed of a job; empty when it is gone."""
        found = await tx.fetchval(
            "SELECT project || '/' || feed_id FROM history_jobs WHERE history_job_id = $1",
            UUID(history_job_id),
        )
        return str(found or "")

    async def begin(self, tx: Any, history_job_id: str) -> HistoryJob | None:
        """Mark a job as being worked on; None when it has ended."""
        row = await tx.fetchrow(
            "UPDATE history_jobs SET state = 'RUNNING', attempts = attempts + 1,"
            " start_time = coalesce(start_time, now()), update_time = now()"
            f" WHERE history_job_id = $1 AND {_UNFINISHED} RETURNING {_JOB}",
            UUID(history_job_id),
        )
        return _job(row) if row else None

    async def advance(
        self, tx: Any, job: HistoryJob, position: int, received: int, written: int, requests: int
    ) -> HistoryJob | None:
        """Store how far a job is; None when it has ended or is not where ``job`` says."""
        row = await tx.fetchrow(
            "UPDATE history_jobs SET position_ns = $3, rows_received = rows_received + $4,"
            " rows_written = rows_written + $5, requests = requests + $6, update_time = now()"
            f" WHERE history_job_id = $1 AND position_ns = $2 AND {_UNFINISHED} RETURNING {_JOB}",
            UUID(job.history_job_id),
            job.position,
            position,
            received,
            written,
            requests,
        )
        return _job(row) if row else None

    async def finish(
        self, tx: Any, history_job_id: str, state: str, reason: str = "", message: str = ""
    ) -> HistoryJob | None:
        """Store the end of a job; None when it has ended already."""
        row = await tx.fetchrow(
            "UPDATE history_jobs SET state = $2, reason = $3, message = $4, end_time = now(),"
            " position_ns = CASE WHEN $2 = 'SUCCEEDED' THEN end_ns + 1 ELSE position_ns END,"
            f" update_time = now() WHERE history_job_id = $1 AND {_UNFINISHED} RETURNING {_JOB}",
            UUID(history_job_id),
            state,
            reason,
            message,
        )
        return _job(row) if row else None

    async def delete(self, tx: Any, history_job_id: str) -> None:
        """Remove a job."""
        await tx.execute("DELETE FROM history_jobs WHERE history_job_id = $1", UUID(history_job_id))


def _job(row: Any) -> HistoryJob:
    return HistoryJob(
        history_job_id=str(row["history_job_id"]),
        series=Series(row["kind"], row["instrument_id"], row["bar_type"]),
        start=row["start_ns"],
        end=row["end_ns"],
        position=row["position_ns"],
        **{name: row[name] for name in _PLAIN.split(", ")},
    )
