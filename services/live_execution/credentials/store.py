"""SQL of credentials, and of the leases of those who may have them."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from services.live_execution.credentials.domain import Credential

_ROW = (
    "project, credential_id, owner, adapter, fields, key_id, sealed, expire_time, rotated_time,"
    " create_time, update_time"
)


class CredentialStore:
    """Credentials in the service's own schema; only sealed secrets come here."""

    async def insert(self, tx: Any, new: Credential) -> Credential | None:
        """Store a new credential; None when the id is taken."""
        row = await tx.fetchrow(
            "INSERT INTO credentials (project, credential_id, owner, adapter, fields, key_id,"
            " sealed, expire_time) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
            f" ON CONFLICT DO NOTHING RETURNING {_ROW}",
            new.project,
            new.credential_id,
            new.owner,
            new.adapter,
            list(new.fields),
            new.key_id,
            new.sealed,
            new.expire_time,
        )
        return _credential(row) if row else None

    async def update(self, tx: Any, changed: Credential) -> Credential:
        """Replace secrets and expiry."""
        row = await tx.fetchrow(
            "UPDATE credentials SET fields = $3, key_id = $4, sealed = $5, expire_time = $6,"
            " rotated_time = clock_timestamp(), update_time = clock_timestamp()"
            f" WHERE project = $1 AND credential_id = $2 RETURNING {_ROW}",
            changed.project,
            changed.credential_id,
            list(changed.fields),
            changed.key_id,
            changed.sealed,
            changed.expire_time,
        )
        return _credential(row)

    async def find(
        self, tx: Any, project: str, credential_id: str, *, lock: str = ""
    ) -> Credential | None:
        """Return a credential; ``lock`` is ``SHARE`` or ``UPDATE``, within a transaction."""
        row = await tx.fetchrow(
            f"SELECT {_ROW} FROM credentials WHERE project = $1 AND credential_id = $2"
            + (f" FOR {lock}" if lock else ""),
            project,
            credential_id,
        )
        return _credential(row) if row else None

    async def page(
        self, tx: Any, projects: Sequence[str], after: tuple[str, ...] | None, limit: int
    ) -> list[Credential]:
        """Return credentials by id and project, after the key ``after``."""
        rows = await tx.fetch(
            f"SELECT {_ROW} FROM credentials WHERE project = ANY($1)"
            " AND ($2::text IS NULL OR (credential_id, project) > ($2, $3))"
            " ORDER BY credential_id, project LIMIT $4",
            list(projects),
            after[0] if after else None,
            after[1] if after else None,
            limit,
        )
        return [_credential(row) for row in rows]

    async def delete(self, tx: Any, project: str, credential_id: str) -> None:
        """Remove a credential."""
        await tx.execute(
            "DELETE FROM credentials WHERE project = $1 AND credential_id = $2",
            project,
            credential_id,
        )

    async def any(self, tx: Any) -> bool:
        """Whether there is a credential at all."""
        return bool(await tx.fetchval("SELECT EXISTS (SELECT FROM credentials)"))

    async def all(self, tx: Any) -> list[Credential]:
        """Return all credentials of all projects, locked: nobody seals a new one meanwhile."""
        await tx.execute("LOCK TABLE credentials IN SHARE ROW EXCLUSIVE MODE")
        rows = await tx.fetch(f"SELECT {_ROW} FROM credentials ORDER BY project, credential_id")
        return [_credential(row) for row in rows]

    async def reseal(self, tx: Any, row: Credential) -> None:
        """Keep the same secrets under another key; nothing else about it changes."""
        await tx.execute(
            "UPDATE credentials SET key_id = $3, sealed = $4"
            " WHERE project = $1 AND credential_id = $2",
            row.project,
            row.credential_id,
            row.key_id,
            row.sealed,
        )

    async def specs(self, tx: Any, project: str) -> list[tuple[str, bytes]]:
        """Return the id and ``TraderSpec`` of each trader of a project."""
        rows = await tx.fetch(
            "SELECT trader_id, spec FROM traders WHERE project = $1 ORDER BY trader_id", project
        )
        return [(row["trader_id"], row["spec"]) for row in rows]

    async def leased_spec(self, tx: Any, project: str, trader_id: str, fence: int) -> bytes | None:
        """Return the ``TraderSpec`` of a trader whose lease is this one and has not ended."""
        spec: bytes | None = await tx.fetchval(
            "SELECT spec FROM traders WHERE project = $1 AND trader_id = $2 AND fence = $3"
            " AND lease_until > clock_timestamp()",
            project,
            trader_id,
            fence,
        )
        return spec


def _credential(row: asyncpg.Record) -> Credential:
    values = dict(row)
    values["fields"] = tuple(values["fields"])
    return Credential(**values)
