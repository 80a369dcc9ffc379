"""The first API key by hand: ``python -m services.gateway.bootstrap [--out FILE] [--another]``.

Makes a key with every scope on project ``default``, straight in the auth service's database
(``MESH_DATABASE_URL``), unless there is a good key that can administer others. The key is printed
once, or written to a file of mode 0600. ``--another`` is for who has lost the first one.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

from meshkit.config import ConfigError, Env
from meshkit.database import Database
from services.gateway.first_key import into_file, make_first_key
from services.gateway.main import MIGRATIONS, SCHEMA


def main() -> int:
    """Make the first key; the exit code is 0 also when there was one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="file to write the key to, mode 0600")
    parser.add_argument("--another", action="store_true", help="make a key in any case")
    arguments = parser.parse_args()
    hand_over = into_file(arguments.out) if arguments.out else print
    env = Env(os.environ)
    dsn = env.text("MESH_DATABASE_URL")
    try:
        env.check()
        made = asyncio.run(_make(dsn, hand_over, another=arguments.another))
    except ConfigError as error:
        print("The first key cannot be made:", *error.faults, sep="\n  - ", file=sys.stderr)
        return 2
    if not made:
        print("There is an admin key already; make more with CreateApiKey.", file=sys.stderr)
    return 0


async def _make(dsn: str, hand_over: Callable[[str], None], *, another: bool) -> bool:
    async with Database.open(dsn, schema=SCHEMA, migrations=MIGRATIONS, max_size=1) as database:
        return await make_first_key(database, hand_over, another=another)


if __name__ == "__main__":
    sys.exit(main())
