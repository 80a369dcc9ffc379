"""A process that records trades and dies of SIGKILL at a named place; it says what was seen."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from integration.market_data.recording.conftest import (
    PROJECT,
    Lab,
    ScriptedVenue,
    definition,
)
from integration.market_data.recording.rows import ID, batches_of, trade
from meshkit.database import Database
from services.market_data.catalog import Catalog
from services.market_data.file_store import FileStore
from services.market_data.live.domain import Channel
from services.market_data.live.recording.journal import Journal, Segment
from services.market_data.live.recording.recorder import CatalogRecorder, Limits
from services.market_data.live.recording.store import RecordingStore
from services.market_data.live.recording.taking import series_of

NEVER = Limits(interval=3_600.0)
WRITTEN, WAITING = 30, 40
"""Trades in the catalog, and trades in the journal, when it comes to the end."""


def _die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _tear(segment: Segment, record: bytes) -> int:
    os.write(segment.fd, record[: len(record) // 2])
    _die()
    return 0


async def _advance(*_: Any) -> bool:
    _die()
    return True


def _arm(where: str) -> None:
    """Put the end where it is wanted."""
    place: dict[str, tuple[Any, str, Any]] = {
        "torn": (Segment, "write", _tear),
        "staged": (FileStore, "replace", _die),
        "deciding": (RecordingStore, "advance", _advance),
        "decided": (Catalog, "apply", _die),
        "let go": (Journal, "done", _die),
    }
    if where in place:
        owner, name, end = place[where]
        setattr(owner, name, end)


def _see(lab: Lab, channel: Channel, seen: int, numbers: range) -> None:
    """Hand trades to the recorder one by one, each before it is seen."""
    for number in numbers:
        lab.take(channel, batches_of("TRADE_TICK", [trade(number)]))
        os.write(seen, f"{number}\n".encode())


async def _record(where: str, dsn: str, folder: Path) -> None:
    seen = os.open(folder / "seen", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    async with Database.open(dsn, schema="market_data") as database:
        lab = Lab(database, folder, ScriptedVenue({str(ID): definition()}), NEVER)
        async with lab.life() as recorder:
            channel = await lab.start("TRADE_TICK")
            _see(lab, channel, seen, range(WRITTEN))
            await _flush(recorder, channel)
            _see(lab, channel, seen, range(WRITTEN, WRITTEN + WAITING))
            _arm(where)
            if where == "torn":
                _see(lab, channel, seen, range(WRITTEN + WAITING, 1_000))
            if where != "taken":
                await _flush(recorder, channel)
            _die()


async def _flush(recorder: CatalogRecorder, channel: Channel) -> None:
    await recorder.flush(PROJECT, series_of(channel))


if __name__ == "__main__":
    asyncio.run(_record(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
