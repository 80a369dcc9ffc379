"""The first API key: ``python -m services.gateway.bootstrap [--out FILE] [--another]``.

Makes a key with every scope on project ``default``, straight in the auth service's database
(``MESH_DATABASE_URL``), unless there is a good key that can administer others. The key is printed
once, or written to a file of mode 0600. ``--another`` is for who has lost the first one.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from meshkit.config import ConfigError, Env
from meshkit.database import Database
from services.gateway.domain import ALL_SCOPES, ApiKey, Secret
from services.gateway.main import MIGRATIONS, SCHEMA
from services.gateway.store import KeyStore

PROJECT = "default"
SUBJECT = "admin"


async def first_key(dsn: str, *, another: bool = False) -> str | None:
    """Make the first key and return it whole; None when there is one already."""
    store = KeyStore()
    async with (
        Database.open(dsn, schema=SCHEMA, migrations=MIGRATIONS, max_size=1) as database,
        database.transaction() as tx,
    ):
        await store.lock_keys(tx)
        if not another and await store.good_admin_exists(tx, "auth.admin"):
            return None
        secret = Secret.new()
        await store.insert(tx, _admin(secret))
    return secret.text()


def _admin(secret: Secret) -> ApiKey:
    return ApiKey(
        api_key_id=secret.api_key_id,
        owner=SUBJECT,
        project=PROJECT,
        subject=SUBJECT,
        scopes=ALL_SCOPES,
        projects=(PROJECT,),
        secret_hash=secret.digest(),
        display_name="first key",
    )


def main() -> int:
    """Make the first key; the exit code is 0 also when there was one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="file to write the key to, mode 0600")
    parser.add_argument("--another", action="store_true", help="make a key in any case")
    arguments = parser.parse_args()
    env = Env(os.environ)
    dsn = env.text("MESH_DATABASE_URL")
    try:
        env.check()
        made = asyncio.run(first_key(dsn, another=arguments.another))
    except ConfigError as error:
        print("The first key cannot be made:", *error.faults, sep="\n  - ", file=sys.stderr)
        return 2
    if made is None:
        print("There is an admin key already; make more with CreateApiKey.", file=sys.stderr)
    elif arguments.out is None:
        print(made)
    else:
        _write(arguments.out, made)
    return 0


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
