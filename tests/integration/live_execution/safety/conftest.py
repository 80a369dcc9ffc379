"""Fixtures of the tests of the kill switch."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from integration.live_execution.orders import kit


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[kit.Api]:
    """Give the API on stores of its own."""
    async with kit.opened_api(database_url, redis_url, tmp_path) as opened:
        yield opened
