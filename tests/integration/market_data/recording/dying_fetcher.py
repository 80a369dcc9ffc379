"""A process that fetches history and dies of SIGKILL at a named place of its third piece."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from integration.market_data.recording.conftest import Lab, ScriptedVenue, definition
from integration.market_data.recording.rows import ID, SECOND, START, trade
from meshkit.database import Database
from services.market_data.catalog import Catalog
from services.market_data.live.history.jobs import Limits
from services.market_data.live.history.store import HistoryJobStore

EACH = Limits(together=0.0)


def _die_at(owner: Any, name: str, third: int) -> None:
    """End the process at the so-manieth call."""
    real: Callable[..., Any] = getattr(owner, name)
    calls = iter(range(third))

    def call(*args: Any, **more: Any) -> Any:
        if next(calls, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **more)

    setattr(owner, name, call)


async def _fetch(where: str, dsn: str, folder: Path) -> None:
    places = {
        "asking": (ScriptedVenue, "history", 3),
        "deciding": (HistoryJobStore, "advance", 2),
        "decided": (Catalog, "apply", 2),
    }
    _die_at(*places[where])
    async with Database.open(dsn, schema="market_data") as database:
        rows = [trade(n, lag=0) for n in range(5_000)]
        venue = ScriptedVenue({str(ID): definition()}, rows)
        lab = Lab(database, folder, venue, job_limits=EACH)
        async with lab.life():
            await lab.ask("TRADE_TICK", START, START + 5_000 * SECOND)


if __name__ == "__main__":
    asyncio.run(_fetch(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
