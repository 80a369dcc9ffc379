"""The kill switch put together: what ``main`` opens and closes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from meshkit.database import Database
from services.live_execution.safety.flatten_store import FlattenStore
from services.live_execution.safety.flattening import Flattening
from services.live_execution.safety.flattens import Settings
from services.live_execution.safety.halting import Halting
from services.live_execution.safety.keeper import Keeper
from services.live_execution.safety.latch import Latch
from services.live_execution.safety.limiting import Limiting, LimitStore
from services.live_execution.safety.store import HaltStore


@dataclass(frozen=True)
class Safety:
    """Its parts, while its keeper is at work."""

    latch: Latch
    halts: HaltStore
    flattens: FlattenStore
    flattening: Flattening
    halting: Halting
    limiting: Limiting


@asynccontextmanager
async def open_safety(
    database: Database, latch_url: str, settings: Settings
) -> AsyncIterator[Safety]:
    """Give the kill switch until the block ends; what was at work before goes on."""
    async with Latch.open(latch_url) as latch:
        halts, flattens = HaltStore(), FlattenStore()
        flattening = Flattening(flattens, settings)
        halting = Halting(database, latch, halts, flattens, flattening)
        limiting = Limiting(database, LimitStore(), halting)
        keeper = Keeper(database, latch, halts, flattens, flattening, halting, limiting, settings)
        async with keeper:
            yield Safety(latch, halts, flattens, flattening, halting, limiting)
