"""SQL of API keys and signing keys."""

from datetime import datetime
from typing import Any

import asyncpg

from services.gateway.domain import SERVICES_PROJECT, ApiKey

_KEY = (
    "api_key_id, owner, project, display_name, subject, scopes, projects, secret_hash, expire_time,"
    " revoke_time, last_use_time, create_time, update_time"
)


class KeyStore:
    """API keys in the service's own schema."""

    async def insert(self, tx: Any, key: ApiKey) -> ApiKey:
        """Store a key."""
        row = await tx.fetchrow(
            "INSERT INTO api_keys (api_key_id, owner, project, display_name, subject, scopes,"
            " projects, secret_hash, expire_time) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
            f" RETURNING {_KEY}",
            key.api_key_id,
            key.owner,
            key.project,
            key.display_name,
            key.subject,
            list(key.scopes),
            list(key.projects),
            key.secret_hash,
            key.expire_time,
        )
        return _api_key(row)

    async def find(self, tx: Any, api_key_id: str) -> ApiKey | None:
        """Return a key."""
        row = await tx.fetchrow(f"SELECT {_KEY} FROM api_keys WHERE api_key_id = $1", api_key_id)
        return _api_key(row) if row else None

    async def page(
        self, tx: Any, project: str, after: tuple[datetime, str] | None, limit: int
    ) -> list[ApiKey]:
        """Return the keys of a project after a key's (create time, id), the oldest first."""
        rows = await tx.fetch(
            f"SELECT {_KEY} FROM api_keys WHERE project = $1 AND ($2::timestamptz IS NULL"
            " OR (create_time, api_key_id) > ($2, $3)) ORDER BY create_time, api_key_id LIMIT $4",
            project,
            after[0] if after else None,
            after[1] if after else "",
            limit,
        )
        return [_api_key(row) for row in rows]

    async def revoke(self, tx: Any, api_key_id: str) -> ApiKey:
        """Revoke a key that is not revoked yet; return it as it is now."""
        row = await tx.fetchrow(
            "UPDATE api_keys SET revoke_time = coalesce(revoke_time, now()), update_time = now()"
            f" WHERE api_key_id = $1 RETURNING {_KEY}",
            api_key_id,
        )
        return _api_key(row)

    async def touch(self, tx: Any, api_key_id: str) -> None:
        """Note that a key was used, at most once a minute: an exchange is no reason to write."""
        await tx.execute(
            "UPDATE api_keys SET last_use_time = now() WHERE api_key_id = $1 AND"
            " (last_use_time IS NULL OR last_use_time < now() - interval '1 minute')",
            api_key_id,
        )

    async def good_admin_exists(self, tx: Any, scope: str) -> bool:
        """Whether a key that can administer keys is neither revoked nor expired."""
        found = await tx.fetchval(
            "SELECT EXISTS (SELECT 1 FROM api_keys WHERE $1 = ANY(scopes) AND revoke_time IS NULL"
            " AND (expire_time IS NULL OR expire_time > now()) AND project <> $2)",
            scope,
            SERVICES_PROJECT,
        )
        return bool(found)

    async def widen(self, tx: Any, project: str, name: str, scopes: tuple[str, ...]) -> None:
        """Give the keys of a name all these scopes: those of a newer mesh are new to them."""
        await tx.execute(
            "UPDATE api_keys SET scopes = $3, update_time = now() WHERE project = $1"
            " AND display_name = $2 AND revoke_time IS NULL AND NOT scopes @> $3",
            project,
            name,
            list(scopes),
        )

    async def revoke_all(self, tx: Any, subject: str, project: str) -> None:
        """Revoke every key of a subject in a project."""
        await tx.execute(
            "UPDATE api_keys SET revoke_time = now(), update_time = now()"
            " WHERE subject = $1 AND project = $2 AND revoke_time IS NULL",
            subject,
            project,
        )

    async def lock_keys(self, tx: Any) -> None:
        """Let nobody else make the first key in this transaction."""
        await tx.execute("LOCK TABLE api_keys IN SHARE ROW EXCLUSIVE MODE")


class SigningStore:
    """Sealed signing keys in the service's own schema."""

    async def lock(self, tx: Any) -> None:
        """Let nobody else rotate in this transaction."""
        await tx.execute("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE")

    async def list(self, tx: Any) -> list[tuple[str, bytes, datetime]]:
        """Return (kid, sealed, active from) of every key, the oldest first."""
        rows = await tx.fetch(
            "SELECT kid, sealed, active_from FROM signing_keys ORDER BY active_from, kid"
        )
        return [(row["kid"], bytes(row["sealed"]), row["active_from"]) for row in rows]

    async def insert(self, tx: Any, kid: str, sealed: bytes, active_from: datetime) -> None:
        """Store a key."""
        await tx.execute(
            "INSERT INTO signing_keys (kid, sealed, active_from) VALUES ($1, $2, $3)",
            kid,
            sealed,
            active_from,
        )

    async def delete(self, tx: Any, kid: str) -> None:
        """Remove a key that no token can be signed with any more."""
        await tx.execute("DELETE FROM signing_keys WHERE kid = $1", kid)


def _api_key(row: asyncpg.Record) -> ApiKey:
    fields = dict(row)
    fields["scopes"], fields["projects"] = tuple(row["scopes"]), tuple(row["projects"])
    return ApiKey(**{**fields, "secret_hash": bytes(row["secret_hash"])})
