"""The first API key, without which nobody could make one; and the own key of a service."""

import os
from collections.abc import Callable
from pathlib import Path

from meshkit.config import ConfigError
from meshkit.database import Connection, Database
from services.gateway.domain import (
    ALL_SCOPES,
    EVERY_PROJECT,
    SERVICES_PROJECT,
    ApiKey,
    Secret,
)
from services.gateway.errors import ApiKeyInvalid
from services.gateway.store import KeyStore

PROJECT = "default"
SUBJECT = "admin"
NAME = "first key"
SERVICE = "live-execution"
SERVICE_SCOPES = ("auth.admin", "data.read", "data.write")
"""What live-execution needs: to make a key for each trader, of no more than the last two."""


async def make_first_key(
    database: Database, hand_over: Callable[[str], None], *, another: bool = False
) -> bool:
    """Make a key with every scope on project ``default`` unless there is a good admin key.

    ``hand_over(key)`` is called before the key is committed, so that no key exists whose secret
    nobody has. Returns whether one was made; ``another`` makes one in any case.
    """
    store = KeyStore()
    async with database.transaction() as tx:
        await store.lock_keys(tx)
        await store.widen(tx, PROJECT, NAME, ALL_SCOPES)
        if not another and await store.good_admin_exists(tx, "auth.admin"):
            return False
        secret = Secret.new()
        await store.insert(tx, _admin(secret))
        hand_over(secret.text())
    return True


async def make_service_key(database: Database, path: Path) -> None:
    """Write live-execution's own key to a file, unless the file holds a good one.

    Of keys that were made before, none is good any more.
    """
    store = KeyStore()
    async with database.transaction() as tx:
        await store.lock_keys(tx)
        if await _is_good(store, tx, path):
            return
        await store.revoke_all(tx, SERVICE, SERVICES_PROJECT)
        secret = Secret.new()
        await store.insert(tx, _service(secret))
        into_file(path)(secret.text())


async def _is_good(store: KeyStore, tx: Connection, path: Path) -> bool:
    try:
        shown = Secret.parse(path.read_text().strip())
    except (OSError, ApiKeyInvalid):
        return False
    found = await store.find(tx, shown.api_key_id)
    return found is not None and not found.revoke_time and found.secret_hash == shown.digest()


def into_file(path: Path) -> Callable[[str], None]:
    """Return a ``hand_over`` that writes the key to a file that only its owner can read."""

    def write(key: str) -> None:
        try:
            path.unlink(missing_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(key + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ConfigError(
                [f"the first API key cannot be written to {path}: {error.strerror}"]
            ) from None

    return write


def _admin(secret: Secret) -> ApiKey:
    return ApiKey(
        api_key_id=secret.api_key_id,
        owner=SUBJECT,
        project=PROJECT,
        subject=SUBJECT,
        scopes=ALL_SCOPES,
        projects=(PROJECT,),
        secret_hash=secret.digest(),
        display_name=NAME,
    )


def _service(secret: Secret) -> ApiKey:
    return ApiKey(
        api_key_id=secret.api_key_id,
        owner=SERVICE,
        project=SERVICES_PROJECT,
        subject=SERVICE,
        scopes=SERVICE_SCOPES,
        projects=(EVERY_PROJECT,),
        secret_hash=secret.digest(),
        display_name="own key of live-execution",
    )
