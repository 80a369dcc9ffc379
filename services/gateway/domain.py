"""API keys: what they are, how they are proved, and what may be done with them."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from meshkit.errors import ProjectForbidden, ScopeMissing
from services.gateway.errors import ApiKeyExpired, ApiKeyInvalid, ApiKeyNotFound, ApiKeyRevoked

EVERY_PROJECT = "*"
"""Stands among the projects of a service's own key; no caller can make one."""

SERVICES_PROJECT = "mesh"
"""Where the keys of services are administered; no caller's project."""

ALL_SCOPES = (
    "auth.admin",
    "backtest.read",
    "backtest.run",
    "credential.read",
    "credential.write",
    "data.read",
    "data.write",
    "order.read",
    "order.write",
    "safety.halt",
    "safety.reset",
    "strategy.read",
    "strategy.write",
    "trader.deploy",
    "trader.read",
    "trader.write",
)
"""What the first key holds: everything there is (a test compares with the contracts)."""

_ID_BYTES = 8
_SECRET_BYTES = 32
_KEY = re.compile(r"nm_([0-9a-f]{16})_([0-9a-f]{64})")


@dataclass(frozen=True)
class Secret:
    """A whole API key, ``nm_<id>_<secret>``; it is shown once and never kept.

    Of the secret the database has the SHA-256. A slow hash such as Argon2 makes guessing of
    passwords expensive; there is nothing to guess in 256 random bits, and a slow hash at the one
    public method would only help who wants to keep it busy.
    """

    api_key_id: str
    secret: str = field(repr=False)

    @classmethod
    def new(cls) -> "Secret":
        """Return a new random key."""
        return cls(secrets.token_hex(_ID_BYTES), secrets.token_hex(_SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> "Secret":
        """Return the parts of a key; raises ``ApiKeyInvalid``."""
        found = _KEY.fullmatch(text)
        if found is None:
            raise invalid()
        return cls(found[1], found[2])

    def text(self) -> str:
        """Return the key as it is shown."""
        return f"nm_{self.api_key_id}_{self.secret}"

    def digest(self) -> bytes:
        """Return what is kept of the secret."""
        return hashlib.sha256(self.secret.encode()).digest()


@dataclass(frozen=True)
class ApiKey:
    """An API key as it is kept."""

    api_key_id: str
    owner: str
    project: str
    subject: str
    scopes: tuple[str, ...]
    projects: tuple[str, ...]
    secret_hash: bytes = field(repr=False)
    display_name: str = ""
    expire_time: datetime | None = None
    revoke_time: datetime | None = None
    last_use_time: datetime | None = None
    create_time: datetime | None = None
    update_time: datetime | None = None

    def check(self, now: datetime) -> None:
        """Raise when the key may not be used any more."""
        if self.revoke_time is not None:
            raise ApiKeyRevoked(
                "The API key was revoked. Ask for a new one.",
                metadata={"api_key_id": self.api_key_id},
            )
        if self.expire_time is not None and self.expire_time <= now:
            raise ApiKeyExpired(
                "The API key has expired. Ask for a new one.",
                metadata={
                    "api_key_id": self.api_key_id,
                    "expire_time": self.expire_time.isoformat(),
                },
            )

    def narrowed(self, scopes: Collection[str], project: str = "") -> "ApiKey":
        """Return the key with these of its scopes, for this one of its projects; none means all.

        Raises ``ProjectForbidden``; a service's own key (``EVERY_PROJECT``) must name one.
        """
        refuse_unheld(scopes, self.scopes)
        every = EVERY_PROJECT in self.projects
        if (every and not project) or (project and not every and project not in self.projects):
            raise ProjectForbidden(
                f"The key is for no project '{project}'.", metadata={"project": project}
            )
        return replace(
            self,
            scopes=tuple(sorted(scopes)) or self.scopes,
            projects=(project,) if project else self.projects,
        )


def invalid() -> ApiKeyInvalid:
    """Return the one answer to every key that is not known."""
    return ApiKeyInvalid("This is not an API key of this mesh. Check it for missing letters.")


def refuse_unheld(wanted: Collection[str], held: Collection[str]) -> None:
    """Raise ``ScopeMissing`` for the first scope that is wanted and not held."""
    for scope in sorted(set(wanted) - set(held)):
        raise ScopeMissing(
            f"The scope '{scope}' is not held, so it cannot be passed on.",
            metadata={"scope": scope},
        )


class Store(Protocol):
    """What the use cases need of the store; ``tx`` is a transaction or connection of it."""

    async def insert(self, tx: Any, key: ApiKey) -> ApiKey:
        """Store a key."""

    async def find(self, tx: Any, api_key_id: str) -> ApiKey | None:
        """Return a key."""

    async def revoke(self, tx: Any, api_key_id: str) -> ApiKey:
        """Revoke a key that is not revoked yet; return it as it is now."""

    async def touch(self, tx: Any, api_key_id: str) -> None:
        """Note that a key was used, at most once a minute."""


class ApiKeys:
    """The use cases. Each runs inside the caller's transaction or connection."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def prove(self, tx: Any, text: str, now: datetime) -> ApiKey:
        """Return the key that ``text`` is; raises when it is none, expired or revoked.

        Whether a key has expired or was revoked is told only to who knows its secret.
        """
        shown = Secret.parse(text)
        found = await self._store.find(tx, shown.api_key_id)
        kept = found.secret_hash if found else bytes(32)
        if not hmac.compare_digest(kept, shown.digest()) or found is None:
            raise invalid()
        found.check(now)
        await self._store.touch(tx, found.api_key_id)
        return found

    async def create(
        self, tx: Any, draft: ApiKey, secret: Secret, held: Collection[str], may: Collection[str]
    ) -> ApiKey:
        """Create a key of no more than its maker's scopes (``held``) and projects (``may``)."""
        refuse_unheld(draft.scopes, held)
        for project in sorted(set(draft.projects) - set(may)):
            raise ProjectForbidden(
                f"The token may not use project '{project}', so it cannot be passed on.",
                metadata={"project": project},
            )
        return await self._store.insert(tx, replace(draft, secret_hash=secret.digest()))

    async def get(self, tx: Any, api_key_id: str, projects: Collection[str]) -> ApiKey:
        """Return a key of one of the projects or raise ``ApiKeyNotFound``."""
        found = await self._store.find(tx, api_key_id)
        if found is None or found.project not in projects:
            raise ApiKeyNotFound(
                f"There is no API key '{api_key_id}' in your projects. See ListApiKeys.",
                metadata={"api_key_id": api_key_id},
            )
        return found

    async def revoke(self, tx: Any, api_key_id: str, projects: Collection[str]) -> ApiKey:
        """Revoke a key; one that is revoked already stays as it is."""
        found = await self.get(tx, api_key_id, projects)
        return found if found.revoke_time else await self._store.revoke(tx, api_key_id)
