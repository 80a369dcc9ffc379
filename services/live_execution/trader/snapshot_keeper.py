"""Keeps snapshots in both places, and lets go of what they make needless."""

import asyncio
import logging
from pathlib import Path

from meshkit.link import ERRORS, Link
from services.live_execution.trader import snapshots
from services.live_execution.trader.journal import Journal
from services.live_execution.trader.lease import Lease
from services.live_execution.trader.line import Line
from services.live_execution.trader.shipper import Shipper
from services.live_execution.trader.snapshots import Snapshot

log = logging.getLogger("live_execution.trader.snapshots")


class SnapshotKeeper:
    """Runs on the store thread."""

    def __init__(
        self, folder: Path, line: Line, lease: Lease, journal: Journal, shipper: Shipper
    ) -> None:
        self.line = line
        self._folder = folder
        self._lease = lease
        self._journal = journal
        self._shipper = shipper
        self._link = Link(f"snapshots:{lease.key.project}:{lease.key.trader_id}")
        self._newest: Snapshot | None = None
        self._news = asyncio.Event()

    def keep(self, body: bytes, number: int) -> None:
        """Write a snapshot to the folder now and to PostgreSQL when its facts are there."""
        snapshot = Snapshot(number, body)
        try:
            snapshots.write(self._folder, self._lease.fence, snapshot)
        except OSError:
            log.exception("a snapshot cannot be written")
        self._newest = snapshot
        self._news.set()

    async def run(self) -> None:
        """Store until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self._store_newest()

    async def _store_newest(self) -> None:
        while (snapshot := self._newest) is not None and not self._lease.lost:
            if not await self._shipper.until(snapshot.number, 1.0):
                continue
            try:
                connection = await self.line.get()
                await snapshots.store(connection, self._lease.key, self._lease.fence, snapshot)
                self._link.up()
            except ERRORS as error:
                self.line.drop()
                await asyncio.sleep(self._link.down(error))
                continue
            for gone in snapshots.forget(
                self._folder, snapshot.number, self._lease.fence, list(self._journal.segments)
            ):
                self._journal.segments.remove(gone)
            if self._newest is snapshot:
                self._newest = None
