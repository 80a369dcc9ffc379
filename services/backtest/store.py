"""SQL of runs: the API's side and the worker's side."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from services.backtest.domain import Json, Run

_RUN = (
    "backtest_id, project, owner, name, labels, spec, manifest, strategy_ids, state, progress,"
    " failure, result, attempts, cancel_requested, fence, start_time, end_time, create_time,"
    " update_time"
)
_JSON = ("labels", "spec", "manifest", "progress", "failure", "result")


class RunStore:
    """Runs in the service's own schema."""

    async def insert(self, tx: Any, run: Run, inputs: Json) -> Run:
        """Store a new run."""
        row = await tx.fetchrow(
            "INSERT INTO runs (backtest_id, project, owner, name, labels, spec, manifest, inputs,"
            f" strategy_ids) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING {_RUN}",
            UUID(run.backtest_id),
            run.project,
            run.owner,
            run.name,
            json.dumps(dict(run.labels)),
            json.dumps(run.spec),
            json.dumps(run.manifest),
            json.dumps(inputs),
            list(run.strategy_ids),
        )
        return _run(row)

    async def find(self, tx: Any, projects: Sequence[str], backtest_id: str) -> Run | None:
        """Return a run of one of the projects, locked inside a transaction."""
        lock = " FOR UPDATE" if tx.is_in_transaction() else ""
        row = await tx.fetchrow(
            f"SELECT {_RUN} FROM runs WHERE backtest_id = $1 AND project = ANY($2){lock}",
            UUID(backtest_id),
            list(projects),
        )
        return _run(row) if row else None

    async def page(
        self,
        tx: Any,
        projects: Sequence[str],
        states: Sequence[str],
        strategy_id: str,
        label: tuple[str, str] | None,
        after: tuple[str, ...] | None,
        limit: int,
    ) -> list[Run]:
        """Return runs, the newest first, older than the key ``after`` (create time, id)."""
        rows = await tx.fetch(
            f"SELECT {_RUN} FROM runs WHERE project = ANY($1)"
            " AND (cardinality($2::text[]) = 0 OR state = ANY($2))"
            " AND ($3 = '' OR $3 = ANY(strategy_ids)) AND ($4::jsonb IS NULL OR labels @> $4)"
            " AND ($5::timestamptz IS NULL OR (create_time, backtest_id) < ($5, $6::uuid))"
            " ORDER BY create_time DESC, backtest_id DESC LIMIT $7",
            list(projects),
            list(states),
            strategy_id,
            json.dumps({label[0]: label[1]}) if label else None,
            datetime.fromisoformat(after[0]) if after else None,
            UUID(after[1]) if after else None,
            limit,
        )
        return [_run(row) for row in rows]

    async def request_cancel(self, tx: Any, backtest_id: str) -> Run:
        """Mark a run to be cancelled; one that is not yet taken is cancelled at once."""
        row = await tx.fetchrow(
            "UPDATE runs SET cancel_requested = true, update_time = now(),"
            " state = CASE WHEN state = 'PENDING' THEN 'CANCELLED' ELSE state END,"
            " end_time = CASE WHEN state = 'PENDING' THEN now() ELSE end_time END"
            f" WHERE backtest_id = $1 RETURNING {_RUN}",
            UUID(backtest_id),
        )
        return _run(row)

    async def delete(self, tx: Any, backtest_id: str) -> None:
        """Remove a run."""
        await tx.execute("DELETE FROM runs WHERE backtest_id = $1", UUID(backtest_id))

    async def claim(
        self, tx: Any, backtest_id: str, worker: str, lease: float
    ) -> tuple[Run, Json] | None:
        """Take a run that nobody works on: RUNNING under a new fence. None when there is none."""
        row = await tx.fetchrow(
            "UPDATE runs SET state = 'RUNNING', worker = $2, fence = fence + 1,"
            " attempts = attempts + 1, lease_until = now() + make_interval(secs => $3),"
            " start_time = now(), progress = '{}', update_time = now()"
            " WHERE backtest_id = $1 AND state IN ('PENDING', 'RUNNING') AND lease_until < now()"
            f" RETURNING {_RUN}, inputs",
            UUID(backtest_id),
            worker,
            lease,
        )
        return (_run(row), json.loads(row["inputs"])) if row else None

    async def is_ended(self, tx: Any, backtest_id: str) -> bool:
        """Whether the run has ended or is gone."""
        state = await tx.fetchval(
            "SELECT state FROM runs WHERE backtest_id = $1", UUID(backtest_id)
        )
        return state not in {"PENDING", "RUNNING"}

    async def keep(
        self, tx: Any, backtest_id: str, fence: int, lease: float, progress: Json
    ) -> bool | None:
        """Renew the lease and store progress: whether to cancel; None when the run was lost."""
        cancel = await tx.fetchval(
            "UPDATE runs SET lease_until = now() + make_interval(secs => $3), progress = $4"
            " WHERE backtest_id = $1 AND fence = $2 AND state = 'RUNNING'"
            " RETURNING cancel_requested",
            UUID(backtest_id),
            fence,
            lease,
            json.dumps(progress),
        )
        return cancel if cancel is None else bool(cancel)

    async def finish(
        self,
        tx: Any,
        backtest_id: str,
        fence: int,
        state: str,
        progress: Json,
        failure: Json | None,
        result: Json | None,
    ) -> Run | None:
        """Store the end of a run; None when another worker has it."""
        row = await tx.fetchrow(
            "UPDATE runs SET state = $3, progress = $4, failure = $5, result = $6,"
            " end_time = now(), update_time = now(), lease_until = '-infinity'"
            f" WHERE backtest_id = $1 AND fence = $2 AND state = 'RUNNING' RETURNING {_RUN}",
            UUID(backtest_id),
            fence,
            state,
            json.dumps(progress),
            json.dumps(failure) if failure else None,
            json.dumps(result) if result else None,
        )
        return _run(row) if row else None

    async def release(self, tx: Any, backtest_id: str, fence: int) -> None:
        """Give a run back so that another worker may take it at once."""
        await tx.execute(
            "UPDATE runs SET lease_until = '-infinity', state = 'PENDING', update_time = now()"
            " WHERE backtest_id = $1 AND fence = $2 AND state = 'RUNNING'",
            UUID(backtest_id),
            fence,
        )


def _run(row: asyncpg.Record) -> Run:
    values = {key: value for key, value in row.items() if key != "inputs"}
    for key in _JSON:
        values[key] = json.loads(values[key]) if values[key] is not None else None
    values["backtest_id"] = str(values["backtest_id"])
    values["strategy_ids"] = tuple(values["strategy_ids"])
    return Run(**values)
