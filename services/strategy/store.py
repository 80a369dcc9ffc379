"""SQL of strategies and versions."""

import json
from typing import Any

import asyncpg

from services.strategy.domain import Classes, Source, Strategy, Version

_STRATEGY = (
    "project, strategy_id, owner, kind, display_name, description, labels, latest_version,"
    " version_count, revision, create_time, update_time"
)
_VERSION = (
    "project, strategy_id, version, number, owner, kind, source, class_name, config_class_name,"
    " config_schema, create_time"
)
_NO_SOURCE = _VERSION.replace(
    "source", """'{"files": [], "importable_path": "", "class_name": ""}' AS source""", 1
)


class StrategyStore:
    """Strategies and versions in the service's own schema."""

    async def insert(self, tx: Any, strategy: Strategy) -> Strategy | None:
        """Store a strategy; None when the id is taken."""
        row = await tx.fetchrow(
            "INSERT INTO strategies (project, strategy_id, owner, kind, display_name, description,"
            " labels) VALUES ($1, $2, $3, $4, $5, $6, $7)"
            f" ON CONFLICT DO NOTHING RETURNING {_STRATEGY}",
            strategy.project,
            strategy.strategy_id,
            strategy.owner,
            strategy.kind,
            strategy.display_name,
            strategy.description,
            json.dumps(dict(strategy.labels)),
        )
        return _strategy(row) if row else None

    async def find(self, tx: Any, project: str, strategy_id: str) -> Strategy | None:
        """Return a strategy, locked against changes inside a transaction."""
        lock = " FOR UPDATE" if tx.is_in_transaction() else ""
        row = await tx.fetchrow(
            f"SELECT {_STRATEGY} FROM strategies WHERE project = $1 AND strategy_id = $2{lock}",
            project,
            strategy_id,
        )
        return _strategy(row) if row else None

    async def page(
        self,
        tx: Any,
        project: str,
        kind: str,
        label: tuple[str, str] | None,
        after: str,
        limit: int,
    ) -> list[Strategy]:
        """Return strategies with ids above ``after``, by id; an empty kind is any."""
        rows = await tx.fetch(
            f"SELECT {_STRATEGY} FROM strategies WHERE project = $1 AND strategy_id > $2"
            " AND ($3 = '' OR kind = $3) AND ($4::jsonb IS NULL OR labels @> $4)"
            " ORDER BY strategy_id LIMIT $5",
            project,
            after,
            kind,
            json.dumps({label[0]: label[1]}) if label else None,
            limit,
        )
        return [_strategy(row) for row in rows]

    async def update(self, tx: Any, strategy: Strategy) -> Strategy:
        """Store what changed and count the revision."""
        row = await tx.fetchrow(
            "UPDATE strategies SET display_name = $3, description = $4, labels = $5,"
            " latest_version = $6, version_count = $7, revision = revision + 1,"
            " update_time = now()"
            f" WHERE project = $1 AND strategy_id = $2 RETURNING {_STRATEGY}",
            strategy.project,
            strategy.strategy_id,
            strategy.display_name,
            strategy.description,
            json.dumps(dict(strategy.labels)),
            strategy.latest_version,
            strategy.version_count,
        )
        return _strategy(row)

    async def delete(self, tx: Any, strategy: Strategy) -> None:
        """Remove a strategy with its versions."""
        await tx.execute(
            "DELETE FROM strategies WHERE project = $1 AND strategy_id = $2",
            strategy.project,
            strategy.strategy_id,
        )

    async def insert_version(self, tx: Any, version: Version) -> Version | None:
        """Store a version; None when it is there already. The strategy's row is locked."""
        row = await tx.fetchrow(
            "INSERT INTO strategy_versions (project, strategy_id, version, number, owner, kind,"
            " source, class_name, config_class_name, config_schema)"
            " SELECT $1, $2, $3, coalesce(max(number), 0) + 1, $4, $5, $6, $7, $8, $9"
            " FROM strategy_versions WHERE project = $1 AND strategy_id = $2"
            f" ON CONFLICT (project, strategy_id, version) DO NOTHING RETURNING {_VERSION}",
            version.project,
            version.strategy_id,
            version.version,
            version.owner,
            version.kind,
            json.dumps(
                {
                    "files": version.source.files,
                    "importable_path": version.source.importable_path,
                    "class_name": version.source.class_name,
                }
            ),
            version.classes.class_name,
            version.classes.config_class_name,
            json.dumps(version.classes.config_schema),
        )
        return _version(row) if row else None

    async def find_versions(
        self, tx: Any, project: str, strategy_id: str, prefix: str
    ) -> list[Version]:
        """Return the versions whose hash begins with ``prefix``, at most two."""
        rows = await tx.fetch(
            f"SELECT {_VERSION} FROM strategy_versions WHERE project = $1 AND strategy_id = $2"
            " AND starts_with(version, $3) LIMIT 2",
            project,
            strategy_id,
            prefix,
        )
        return [_version(row) for row in rows]

    async def list_versions(
        self, tx: Any, project: str, strategy_id: str, before: int | None, limit: int
    ) -> list[tuple[int, Version]]:
        """Return versions without their code, with their running numbers, the newest first, below
        number ``before``.
        """
        rows = await tx.fetch(
            f"SELECT {_NO_SOURCE} FROM strategy_versions WHERE project = $1 AND strategy_id = $2"
            " AND ($3::int IS NULL OR number < $3) ORDER BY number DESC LIMIT $4",
            project,
            strategy_id,
            before,
            limit,
        )
        return [(row["number"], _version(row)) for row in rows]


def _strategy(row: asyncpg.Record) -> Strategy:
    values = dict(row)
    return Strategy(**{**values, "labels": json.loads(values["labels"])})


def _version(row: asyncpg.Record) -> Version:
    source = json.loads(row["source"])
    return Version(
        strategy_id=row["strategy_id"],
        project=row["project"],
        version=row["version"],
        kind=row["kind"],
        owner=row["owner"],
        source=Source(
            files=tuple((path, text) for path, text in source["files"]),
            importable_path=source["importable_path"],
            class_name=source["class_name"],
        ),
        classes=Classes(
            row["class_name"], row["config_class_name"], json.loads(row["config_schema"])
        ),
        create_time=row["create_time"],
    )
