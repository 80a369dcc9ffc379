"""Fixtures of the tests of a trader's outside."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from integration.live_execution.outside import kit


@pytest.fixture
async def world(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[kit.World]:
    """Give a trader's row in a database of its own."""
    async with kit.world(database_url, redis_url, tmp_path) as found:
        yield found
