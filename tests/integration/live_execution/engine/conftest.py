"""A trader in this process: the real engine, a sandbox venue, and a market that tests move."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from integration.live_execution.engine.bench import Bench, spec_of, trading

Trading = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def run_trader(tmp_path: Path) -> Trading:
    """Return what runs a trader with other parts of its spec; runs of a test follow each other."""
    journal = tmp_path / "journal"
    return lambda made=lambda trader: None, market=True, **spec: trading(
        journal, spec_of(**spec), made, market=market
    )


@pytest.fixture
async def trader(tmp_path: Path) -> AsyncIterator[Bench]:
    """Run a trader with a margin account and a market of 50000 to 50001."""
    async with trading(tmp_path / "journal", spec_of()) as bench:
        yield bench
