"""Fixtures of the tests of a trader's outside."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from integration.live_execution.outside import kit


@pytest.fixture(scope="session")
def live_database(postgres_url: str) -> str:
    """Give the DSN of a database with the schema; it goes with its server."""
    name = f"t_{secrets.token_hex(6)}"
    asyncio.run(kit.make_database(postgres_url, name))
    return postgres_url.replace("/postgres?", f"/{name}?")


@pytest.fixture
async def world(live_database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[kit.World]:
    """Give a trader's row in a database that is empty otherwise."""
    async with kit.world(live_database, redis_url, tmp_path) as found:
        yield found
