"""``python -m services.live_execution.credentials rotate``: a new key for all credentials.

Reads MESH_DATABASE_URL and MESH_CREDENTIAL_KEY_FILE as the service does, which may run meanwhile.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from meshkit.config import ConfigError, Env
from meshkit.database import Database
from services.live_execution.credentials import KeySource, Vault

SCHEMA = "live_execution"
MIGRATIONS = Path(__file__).parents[1] / "migrations"


async def rotate(values: Mapping[str, str]) -> str:
    """Rotate the key of the database that the environment names, and return what was done."""
    env = Env(values)
    url, source = env.text("MESH_DATABASE_URL"), KeySource.read(env)
    env.check()
    async with Database.open(url, schema=SCHEMA, migrations=MIGRATIONS) as database:
        vault = Vault(database, source)
        await vault.verify()  # what cannot be opened must be known before there are more keys
        keys, count = await vault.rotate()
    old = ", ".join(keys.ids[1:])
    return f"{count} credentials are sealed with the new key {keys.active}; kept as well: {old}"


def main() -> None:
    """Run the command."""
    if sys.argv[1:] != ["rotate"]:
        sys.exit("usage: python -m services.live_execution.credentials rotate")
    try:
        print(asyncio.run(rotate(os.environ)))
    except ConfigError as error:
        sys.exit("\n".join(error.faults))


if __name__ == "__main__":
    main()
