"""SQL of recordings and of what they missed."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.market_data.domain import FIRST, LAST, Series

_SERIES = "project = $1 AND kind = $2 AND identifier = $3"


@dataclass(frozen=True)
class Recording:
    """A recording as kept; ``position`` is the last journal record that is in the catalog."""

    project: str
    series: Series
    feed_id: str
    owner: str
    active: bool
    position: int = 0
    last_init: int = 0
    last_event: int = 0


@dataclass(frozen=True)
class RecordedGap:
    """A hole in a recording; ``to_init`` is None while it goes on.

    Times are ``ts_init``; ``first_event`` to ``last_event`` is what to fill, in the venue's time.
    """

    feed_id: str
    cause: str
    message: str
    from_init: int
    first_event: int
    to_init: int | None = None
    last_event: int | None = None
    filled: bool = False
    history_job_id: str | None = None
    id: int = 0


class RecordingStore:
    """Recordings and their gaps."""

    async def all(self, tx: Any) -> list[Recording]:
        """Return all recordings."""
        rows = await tx.fetch(
            "SELECT project, kind, instrument_id, bar_type, feed_id, owner, active, position,"
            " last_init, last_event FROM recordings"
        )
        return [_recording(row) for row in rows]

    async def find(self, tx: Any, project: str, series: Series) -> Recording | None:
        """Return a recording."""
        row = await tx.fetchrow(
            "SELECT project, kind, instrument_id, bar_type, feed_id, owner, active, position,"
            f" last_init, last_event FROM recordings WHERE {_SERIES}",
            *_key(project, series),
        )
        return _recording(row) if row else None

    async def set_active(self, tx: Any, item: Recording) -> None:
        """Store that a series is recorded, by whom, or not any more."""
        await tx.execute(
            "INSERT INTO recordings (project, kind, identifier, instrument_id, bar_type, feed_id,"
            " owner, active) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
            " ON CONFLICT (project, kind, identifier)"
            " DO UPDATE SET feed_id = $6, owner = $7, active = $8, update_time = now()",
            *_key(item.project, item.series),
            item.series.instrument_id,
            item.series.bar_type,
            item.feed_id,
            item.owner,
            item.active,
        )

    async def advance(self, tx: Any, item: Recording, after: int, rows: int) -> bool:
        """Move a recording from the position ``after`` to that of ``item``; False when it is not
        there.
        """
        moved = await tx.fetchval(
            "INSERT INTO recordings (project, kind, identifier, instrument_id, bar_type, feed_id,"
            " owner, active, position, rows, last_init, last_event)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
            " ON CONFLICT (project, kind, identifier) DO UPDATE SET position = $9,"
            " rows = recordings.rows + $10, last_init = $11, last_event = $12,"
            " update_time = now() WHERE recordings.position = $13 RETURNING true",
            *_key(item.project, item.series),
            item.series.instrument_id,
            item.series.bar_type,
            item.feed_id,
            item.owner,
            item.active,
            item.position,
            rows,
            item.last_init,
            item.last_event,
            after,
        )
        return bool(moved)

    async def open_gap(
        self, tx: Any, project: str, owner: str, series: Series, gap: RecordedGap
    ) -> int:
        """Store a gap; returns its id."""
        return int(
            await tx.fetchval(
                "INSERT INTO recorded_gaps (project, kind, identifier, owner, feed_id, cause,"
                " message, from_init, first_event)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
                *_key(project, series),
                owner,
                gap.feed_id,
                gap.cause,
                gap.message,
                gap.from_init,
                gap.first_event,
            )
        )

    async def close_gap(self, tx: Any, gap: RecordedGap) -> None:
        """Store the end of a gap, and what fills it."""
        await tx.execute(
            "UPDATE recorded_gaps SET to_init = $2, last_event = $3, filled = $4,"
            " history_job_id = $5 WHERE id = $1",
            gap.id,
            gap.to_init,
            gap.last_event,
            gap.filled,
            UUID(gap.history_job_id) if gap.history_job_id else None,
        )

    async def gap_going_on(self, tx: Any, project: str, series: Series) -> RecordedGap | None:
        """Return the gap without an end."""
        row = await tx.fetchrow(
            f"SELECT {_GAP} FROM recorded_gaps WHERE {_SERIES} AND to_init IS NULL"
            " ORDER BY id DESC LIMIT 1",
            *_key(project, series),
        )
        return _gap(row) if row else None

    async def gaps(self, tx: Any, project: str, series: Series, limit: int) -> list[RecordedGap]:
        """Return the last gaps, in the order of time."""
        rows = await tx.fetch(
            f"SELECT {_GAP} FROM recorded_gaps WHERE {_SERIES} ORDER BY from_init DESC, id DESC"
            " LIMIT $4",
            *_key(project, series),
            limit,
        )
        return [_gap(row) for row in reversed(rows)]

    async def fill(
        self, tx: Any, project: str, series: Series, start: int = FIRST, end: int = LAST
    ) -> None:
        """Mark the gaps that lie in a range of the venue's time as filled."""
        await tx.execute(
            f"UPDATE recorded_gaps SET filled = true WHERE {_SERIES}"
            " AND first_event >= $4 AND last_event <= $5",
            *_key(project, series),
            start,
            end,
        )


_GAP = (
    "id, feed_id, cause, message, from_init, first_event, to_init, last_event, filled,"
    " history_job_id"
)


def _key(project: str, series: Series) -> tuple[str, str, str]:
    return project, series.kind, series.identifier


def _recording(row: Any) -> Recording:
    return Recording(
        row["project"],
        Series(row["kind"], row["instrument_id"], row["bar_type"]),
        row["feed_id"],
        row["owner"],
        row["active"],
        row["position"],
        row["last_init"],
        row["last_event"],
    )


def _gap(row: Any) -> RecordedGap:
    values = dict(row)
    job = values["history_job_id"]
    return RecordedGap(**{**values, "history_job_id": str(job) if job else None})
