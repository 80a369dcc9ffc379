"""Records live data: into a journal at once, from there into the catalog."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import msgspec
from prometheus_client import Counter, Gauge

from meshkit.errors import MeshError, StoreUnavailable, Unavailable
from meshkit.link import ERRORS
from services.market_data.domain import Series
from services.market_data.live.domain import BARS, Channel
from services.market_data.live.errors import VenueAnswer
from services.market_data.live.frames import Batch, Gap
from services.market_data.live.recording.definitions import (
    Definitions,
    NotAtVenue,
    OtherInstrument,
)
from services.market_data.live.recording.flushing import Flusher
from services.market_data.live.recording.journal import HOLE, ROWS, Journal, Place, Record
from services.market_data.live.recording.store import Recording
from services.market_data.live.recording.taking import Taking, series_of

log = logging.getLogger("market_data.recording")

ROWS_TAKEN = Counter("mesh_recorded_rows_total", "Live rows taken into the journal.", ["feed"])
ROWS_LOST = Counter("mesh_recording_lost_rows_total", "Live rows not recorded: no room.", ["feed"])
JOURNAL = Gauge("mesh_recording_journal_bytes", "Bytes that wait to be written to the catalog.")


@dataclass(frozen=True)
class Limits:
    """``interval`` seconds pass between two writings of a series, if ``rows`` have not come
    before. The journal holds at most ``journal`` bytes, memory ``memory`` when the disk takes
    nothing. ``patience``: seconds that a reader waits for an instrument to be known.
    """

    interval: float = 2.0
    rows: int = 50_000
    journal: int = 2 * 2**30
    memory: int = 64 * 2**20
    patience: float = 10.0
    retry: float = 1.0


class CatalogRecorder:
    """The ``Recorder`` of the live half; ``async with running()`` around all of its use."""

    def __init__(
        self, flusher: Flusher, definitions: Definitions, limits: Limits | None = None
    ) -> None:
        self._flusher = flusher
        self._journal: Journal = flusher.journal
        self._limits = limits or Limits()
        self._definitions = definitions
        self._takings: dict[tuple[str, Series], Taking] = {}
        self._channels: dict[tuple[str, str, Channel], Taking] = {}
        self._preparing: dict[tuple[str, Series], asyncio.Task[None]] = {}
        self._held: deque[tuple[Taking, Record]] = deque()
        self._held_bytes = 0
        self._held_since = 0.0
        self._rows = 0
        self._closing = False
        self._wake = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write what an earlier life left, then write now and then; on leaving, write all."""
        await self._recover()
        work = asyncio.create_task(self._work())
        try:
            yield
        finally:
            self._closing = True
            self._wake.set()
            preparing = list(self._preparing.values())
            for task in preparing:
                task.cancel()
            await asyncio.gather(work, *preparing, return_exceptions=True)
            await self._flush_all()
            self._journal.close()

    # ---- the port ------------------------------------------------------------------------------

    async def start(self, project: str, feed_id: str, channel: Channel, owner: str) -> None:
        """Begin to record a channel, or go on after a restart of the service."""
        taking = self._taking(project, feed_id, channel)
        if taking.row.feed_id != feed_id and taking.row.active:
            self._channels[project, feed_id, channel] = _refused(
                taking, f"Feed '{taking.row.feed_id}' records it already. Stop that first."
            )
            return
        was_active = taking.row.active
        taking.begin(Recording(project, series_of(channel), feed_id, owner, active=True))
        if channel.kind == BARS and not channel.bar_type.endswith("-EXTERNAL"):
            taking.refused = "Internal bars are made of ticks. Record the ticks instead."
            return
        if was_active:
            text = "The service was restarted."
            self._write(taking, _record(taking, HOLE, cause="FEED_RESTARTED", message=text))
        with suppress(*ERRORS):  # what cannot be stored now is stored when that is possible
            await self._note(taking)
        self._prepare(taking)

    async def _note(self, taking: Taking) -> None:
        """Store that a series is recorded."""
        if not taking.noted:
            async with self._flusher.database.transaction() as tx:
                await self._flusher.store.set_active(tx, taking.row)
            taking.noted = True

    async def stop(self, project: str, feed_id: str, channel: Channel) -> None:
        """End: all that was taken is in the catalog when this returns."""
        taking = self._channels.pop((project, feed_id, channel), None)
        if taking is None or self._takings.get(taking.key) is not taking:
            return
        self._retry_held()
        await self._await_prepared(taking)
        task = self._preparing.pop(taking.key, None)
        if task is not None:
            task.cancel()
        await self._flusher.end(taking)

    def take(self, project: str, feed_id: str, channel: Channel, epoch: str, batch: Batch) -> None:
        """Take a batch of a channel being recorded. Returns at once and never raises."""
        taking = self._taking(project, feed_id, channel)
        if taking.refused or not batch.rows:
            return
        if taking.lost and self._room(len(batch.payload)):
            taking.lost = False
            text = "There was no room to record what came."
            self._write(taking, _record(taking, HOLE, cause="RECORDING_STALLED", message=text))
        self._write(taking, _record(taking, ROWS, rows=batch.rows, payload=batch.payload))
        ROWS_TAKEN.labels(feed_id).inc(batch.rows)
        self._rows += batch.rows
        if self._rows >= self._limits.rows:
            self._wake.set()

    def gap(self, project: str, feed_id: str, channel: Channel, gap: Gap) -> None:
        """Take a gap in a channel being recorded. Returns at once and never raises."""
        taking = self._taking(project, feed_id, channel)
        if not taking.refused:
            self._write(taking, _record(taking, HOLE, cause=gap.cause, message=gap.message))

    def problem(self, project: str, feed_id: str, channel: Channel) -> tuple[str, str]:
        """Return the reason and message of what is wrong with a recording; empty when well."""
        taking = self._channels.get((project, feed_id, channel))
        return taking.problem if taking is not None else ("", "")

    async def flush(self, project: str, series: Series) -> None:
        """Write all that was received of a series: what is read afterwards includes it.

        Raises ``StoreUnavailable``.
        """
        taking = self._takings.get((project, series))
        if taking is None or not (taking.waiting or self._held):
            return
        self._retry_held()
        await self._await_prepared(taking)
        if taking.precision is None:
            return
        try:
            await self._flusher.flush(taking)
        except OSError as error:
            raise StoreUnavailable(
                f"What is being recorded cannot be written: {error.strerror or error}. Try again.",
                metadata={"store": "catalog"},
                retry_after=1.0,
            ) from error

    # ---- into the journal ----------------------------------------------------------------------

    def _taking(self, project: str, feed_id: str, channel: Channel) -> Taking:
        """Return what is known of a channel; batches may come before ``start``."""
        key = project, feed_id, channel
        found = self._channels.get(key)
        if found is None:
            series = series_of(channel)
            found = self._takings.get((project, series))
            if found is None:
                found = Taking(Recording(project, series, feed_id, "", active=False))
                self._takings[found.key] = found
            self._channels[key] = found
        return found

    def _room(self, size: int) -> bool:
        return self._journal.bytes + self._held_bytes + size <= self._limits.journal

    def _write(self, taking: Taking, record: Record) -> None:
        if not self._room(len(record.payload)):
            self._lose(taking, record)
        elif self._held or not self._append(taking, record):
            self._hold(taking, record)

    def _append(self, taking: Taking, record: Record) -> bool:
        try:
            taking.waiting.append(self._journal.append(record))
        except OSError as error:
            if not self._held:
                log.error("the journal is not written", extra={"error": str(error)})
            taking.stalled = f"The journal cannot be written: {error.strerror or error}."
            return False
        return True

    def _hold(self, taking: Taking, record: Record) -> None:
        """Keep a record in memory until the disk takes it."""
        if self._held_bytes + len(record.payload) > self._limits.memory:
            self._lose(taking, record)
            return
        self._held.append((taking, record))
        self._held_bytes += len(record.payload)
        if time.monotonic() - self._held_since > self._limits.retry:
            self._retry_held()

    def _retry_held(self) -> None:
        self._held_since = time.monotonic()
        while self._held:
            taking, record = self._held[0]
            if not self._append(taking, record):
                return
            self._held.popleft()
            self._held_bytes -= len(record.payload)

    def _lose(self, taking: Taking, record: Record) -> None:
        if not taking.lost:
            log.error("a recording has no room", extra={"series": taking.row.series.identifier})
        taking.lost = True
        taking.stalled = "There is no room to record what comes; it will be a gap."
        ROWS_LOST.labels(taking.row.feed_id).inc(record.rows)

    # ---- into the catalog ----------------------------------------------------------------------

    async def _work(self) -> None:
        pause = self._limits.interval
        while not self._closing:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)
            began = time.monotonic()
            self._wake.clear()
            self._rows = 0
            self._retry_held()
            await self._flush_all()
            JOURNAL.set(self._journal.bytes)
            # At most half of the time is spent on it, however many series there are.
            pause = max(self._limits.interval, time.monotonic() - began)

    async def _flush_all(self) -> None:
        for taking in list(self._takings.values()):
            if taking.precision is None or not taking.waiting:
                continue
            try:
                await self._flusher.flush(taking)
                taking.stalled = ""
            except Unavailable as error:
                taking.stalled = error.message
            except OSError as error:
                taking.stalled = f"The catalog cannot be written: {error.strerror or error}."
            except Exception:  # one series must not stop the others
                log.exception("not recorded", extra={"series": taking.row.series.identifier})
                taking.stalled = "A fault of the mesh; it is in the log of market-data."

    async def _recover(self) -> None:
        """Take up what is recorded and what an earlier life left in the journal."""
        flusher = self._flusher
        async with flusher.database.connection() as tx:
            rows = await flusher.store.all(tx)
        for row in rows:
            self._takings[row.project, row.series] = Taking(row)
        left = await asyncio.to_thread(self._left)
        for record, place in left:
            self._taken_up(record).waiting.append(place)
        self._journal.next = max([self._journal.next, *(row.position + 1 for row in rows)])
        for taking in self._takings.values():
            await flusher.reload(taking)
        await self._write_left()

    def _left(self) -> list[tuple[Record, Place]]:
        """Return what is in the journal, without the payloads: they may be gigabytes."""
        return [
            (msgspec.structs.replace(record, payload=b""), place)
            for record, place in self._journal.recover()
        ]

    def _taken_up(self, record: Record) -> Taking:
        series = Series(record.kind, record.instrument_id, record.bar_type)
        key = record.project, series
        if key not in self._takings:
            row = Recording(record.project, series, record.feed_id, record.owner, active=True)
            self._takings[key] = Taking(row)
        return self._takings[key]

    async def _write_left(self) -> None:
        """Write what was left of series whose instrument the project has."""
        for taking in self._takings.values():
            if taking.waiting:
                project, series = taking.key
                taking.precision = await self._definitions.known(project, series.instrument_id)
        await self._flush_all()

    # ---- instruments ---------------------------------------------------------------------------

    def _prepare(self, taking: Taking) -> None:
        """Have the instrument known, in the background."""
        task = self._preparing.get(taking.key)
        if task is None or task.done():
            self._preparing[taking.key] = asyncio.create_task(self._ensure(taking))

    async def _ensure(self, taking: Taking) -> None:
        row, pause = taking.row, self._limits.retry
        about = row.project, row.feed_id, row.owner, row.series.instrument_id
        while True:
            try:
                await self._note(taking)
                taking.precision = await self._definitions.ensure(*about)
            except (OtherInstrument, NotAtVenue) as error:
                taking.refused = str(error)
            except (VenueAnswer, Unavailable) as error:
                taking.stalled = error.message
            except ERRORS as error:
                log.warning("an instrument is not to be had now", extra={"error": repr(error)})
                taking.stalled = "The stores cannot be written; it is tried again."
            except MeshError as error:
                taking.refused = f"The venue's instrument is not taken: {error.message}"
            else:
                taking.stalled = ""
            if taking.refused:
                self._drop(taking)
            if taking.refused or taking.precision is not None:
                return
            await asyncio.sleep(pause)
            pause = min(30.0, pause * 2)

    def _drop(self, taking: Taking) -> None:
        """Let go what was taken of a series that cannot be recorded."""
        self._journal.done(list(taking.waiting))
        taking.waiting.clear()

    async def _await_prepared(self, taking: Taking) -> None:
        task = self._preparing.get(taking.key)
        if task is not None and taking.precision is None:
            await asyncio.wait([task], timeout=self._limits.patience)


def _refused(taking: Taking, why: str) -> Taking:
    return Taking(taking.row, refused=why)


def _record(
    taking: Taking,
    what: str,
    *,
    rows: int = 0,
    payload: bytes = b"",
    cause: str = "",
    message: str = "",
) -> Record:
    row = taking.row
    series = row.series
    return Record(
        what=what,
        project=row.project,
        feed_id=row.feed_id,
        owner=row.owner,
        kind=series.kind,
        instrument_id=series.instrument_id,
        bar_type=series.bar_type,
        rows=rows,
        payload=payload,
        cause=cause,
        message=message,
    )
