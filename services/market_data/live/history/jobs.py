"""History jobs: resumed after a restart, each piece committed with its position."""

import asyncio
import logging
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from meshkit.database import Database
from meshkit.errors import MeshError, StoreUnavailable
from services.market_data import events
from services.market_data.adding import FILL, REFRESH, Adder, Addition
from services.market_data.domain import CANCELLED, FAILED, SUCCEEDED, Series
from services.market_data.file_store import FileStore
from services.market_data.live.errors import FeedUnavailable, VenueAnswer
from services.market_data.live.history.domain import FILLED, HistoryJob
from services.market_data.live.history.fetching import MANY, Fetcher, Piece
from services.market_data.live.history.store import HistoryJobStore
from services.market_data.live.history.telling import tell
from services.market_data.live.ports import Asked
from services.market_data.live.recording.columns import TooPrecise
from services.market_data.live.recording.definitions import (
    Definitions,
    NotAtVenue,
    OtherInstrument,
)
from services.market_data.live.recording.store import RecordingStore
from services.market_data.ranges import RangeStore, missing, stretches

log = logging.getLogger("market_data.history")

FINAL_ANSWERS = frozenset(
    {"VENUE_REFUSED", "INSTRUMENT_NOT_AT_VENUE", "HISTORY_UNSUPPORTED", "KIND_UNSUPPORTED"}
)
"""Reasons with which asking again is of no use."""

LIMITED = "VENUE_RATE_LIMITED"


@dataclass(frozen=True)
class Limits:
    """``at_once`` jobs of a feed are worked on. A feed that cannot answer is asked again after
    ``back_off`` seconds, doubled up to ``longest``, for at most ``patience``. ``together``: rows
    are written when this many seconds have passed.
    """

    at_once: int = 2
    back_off: float = 1.0
    longest: float = 30.0
    patience: float = 3_600.0
    together: float = 2.0
    told: float = 1.0


class _Ended(Exception):
    """The job was cancelled or deleted meanwhile."""


class _Failed(Exception):
    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class HistoryJobs:
    """Does jobs; ``async with running()`` resumes what was not done. A ``Filler``."""

    def __init__(
        self,
        database: Database,
        store: HistoryJobStore,
        recordings: RecordingStore,
        ranges: RangeStore,
        files: FileStore,
        adder: Adder,
        feeds: Asked,
        definitions: Definitions,
        limits: Limits | None = None,
    ) -> None:
        self._database = database
        self._store = store
        self._recordings = recordings
        self._ranges = ranges
        self._files = files
        self._adder = adder
        self._limits = limits or Limits()
        self._feeds = feeds
        self._definitions = definitions
        self._slots: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(self._limits.at_once)
        )
        self._flush: Callable[[str, Series], Awaitable[None]] | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._told: dict[str, float] = {}
        self._open = False

    def use(self, flush: Callable[[str, Series], Awaitable[None]]) -> None:
        """Have a recorder write what it has received before rows of a venue are merged."""
        self._flush = flush

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Resume jobs of an earlier life; on leaving, stop: what is not done is resumed later."""
        self._open = True
        async with self._database.connection() as tx:
            unfinished = await self._store.unfinished(tx)
        for job in unfinished:
            self.start(job.history_job_id)
        try:
            yield
        finally:
            self._open = False
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # ---- for servicer and recorder -------------------------------------------------------------

    def fills(self, series: Series) -> bool:
        """Say whether venues keep the history of a series."""
        return series.kind in FILLED

    async def create(
        self, tx: Any, project: str, owner: str, feed_id: str, series: Series, start: int, end: int
    ) -> str:
        """Store a job for a closed range of the venue's time; returns its id."""
        job = await self.store(
            tx,
            HistoryJob(
                str(uuid.uuid4()), project, owner, feed_id, series, start, end, False, start
            ),
        )
        return job.history_job_id

    async def store(self, tx: Any, job: HistoryJob) -> HistoryJob:
        """Store a job and tell of it."""
        made = await self._store.insert(tx, job)
        await tell(tx, made)
        return made

    def start(self, job_id: str) -> None:
        """Work on a job that was stored, as soon as its feed has a slot."""
        if not self._open or job_id in self._tasks:
            return
        task = asyncio.create_task(self._do(job_id))
        self._tasks[job_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job_id, None))

    async def cancel(self, tx: Any, job: HistoryJob) -> HistoryJob:
        """Store that a job is cancelled."""
        done = await self._store.finish(tx, job.history_job_id, CANCELLED)
        if done is not None:
            await tell(tx, done)
        return done or job

    def stop(self, job_id: str) -> None:
        """Stop the work on a job that was cancelled."""
        if (task := self._tasks.get(job_id)) is not None:
            task.cancel()

    # ---- the work ------------------------------------------------------------------------------

    async def _do(self, job_id: str) -> None:
        pause = self._limits.back_off
        while not await self._in_turn(job_id):
            await asyncio.sleep(pause)  # the store is away: the job stays and is tried again
            pause = min(self._limits.longest, pause * 2)
        self._told.pop(job_id, None)

    async def _in_turn(self, job_id: str) -> bool:
        """Work on a job when its feed has a slot; False when it is to be tried again."""
        try:
            async with self._database.connection() as tx:
                feed = await self._store.feed_of(tx, job_id)
            async with self._slots[feed]:
                return await self._attempt(job_id)
        except StoreUnavailable:
            return False

    async def _attempt(self, job_id: str) -> bool:
        async with self._database.transaction() as tx:
            job = await self._store.begin(tx, job_id)
            if job is None:
                return True
            await tell(tx, job)
        try:
            await self._end_as(job)
        except _Ended:
            log.info("history job ended meanwhile", extra={"history_job_id": job_id})
        return True

    async def _end_as(self, job: HistoryJob) -> None:
        """Work on a job to its end, and store how it ended."""
        try:
            await self._work(job)
        except (_Ended, StoreUnavailable):
            raise
        except _Failed as failed:
            await self._finish(job, FAILED, failed.reason, failed.message)
        except MeshError as error:
            await self._finish(job, FAILED, error.reason, error.message)
        except Exception:  # a fault of ours must end the job, or it would run for ever
            log.exception("history job failed", extra={"history_job_id": job.history_job_id})
            text = "A fault of the mesh; it is in the log of the market-data service."
            await self._finish(job, FAILED, "INTERNAL", text)
        else:
            await self._finish(job, SUCCEEDED)

    async def _work(self, job: HistoryJob) -> None:
        definitions, about = self._definitions, (job.project, job.feed_id, job.owner)
        try:
            precision = await self._patiently(
                lambda: definitions.ensure(*about, job.series.instrument_id)
            )
        except OtherInstrument as error:
            raise _Failed("INSTRUMENT_EXISTS", str(error)) from None
        except NotAtVenue as error:
            raise _Failed("INSTRUMENT_NOT_AT_VENUE", str(error)) from None
        fetcher = Fetcher(self._feeds, job.project, job.feed_id, job.series, precision)
        for start, end in await self._holes(job):
            while start <= end:
                piece = await self._pieces(fetcher, start, end)
                job = await self._commit(job, start, piece)
                start = piece.next

    async def _holes(self, job: HistoryJob) -> list[tuple[int, int]]:
        """Return what is to be asked for."""
        wanted = max(job.start, job.position), job.end
        if job.refresh or wanted[0] > wanted[1]:
            return [wanted] if wanted[0] <= wanted[1] else []
        async with self._database.connection() as tx:
            known = await self._ranges.find(tx, job.project, job.series, *wanted)
            files = await self._files.find(tx, job.project, job.series) if job.series.step else []
        catalog = self._adder.catalog(job.project)
        stored = await asyncio.to_thread(stretches, catalog, files, job.series.step)
        return missing(wanted, [*known, *stored])

    async def _pieces(self, fetcher: Fetcher, start: int, end: int) -> Piece:
        """Return pieces that are worth writing together."""
        together, began = Piece(start), time.monotonic()
        while together.next <= end:
            at = together.next
            try:
                piece = await self._patiently(lambda at=at: fetcher.piece(at, end))  # type: ignore[misc]  # a default binds the loop's value
            except TooPrecise as error:
                text = f"The project's instrument does not fit the venue's data: {error}."
                raise _Failed("INSTRUMENT_EXISTS", text) from None
            together.next = piece.next
            together.rows += piece.rows
            together.requests += piece.requests
            if together.count >= MANY or time.monotonic() - began > self._limits.together:
                break
        return together

    async def _patiently[Answer](self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask until there is an answer; raises ``_Failed`` when there will be none."""
        pause, since = self._limits.back_off, time.monotonic()
        while True:
            wait = pause
            try:
                return await ask()
            except VenueAnswer as answer:
                reason, message = answer.reason, answer.message
                if reason in FINAL_ANSWERS:
                    raise _Failed(reason, message) from None
                if reason == LIMITED:
                    since = time.monotonic()  # it answers: that is no outage
                    wait = max(answer.retry_after, pause)
            except FeedUnavailable as error:
                reason, message = error.reason, error.message
            if time.monotonic() - since > self._limits.patience:
                raise _Failed(reason, message)
            await asyncio.sleep(wait)
            pause = min(self._limits.longest, pause * 2)

    async def _commit(self, job: HistoryJob, start: int, piece: Piece) -> HistoryJob:
        """Write rows, and with them how far the job is."""
        moved: list[HistoryJob] = []
        until = min(piece.next, job.end + 1)

        async def also(tx: Any, written: int) -> None:
            moved.clear()
            found = await self._store.advance(tx, job, until, piece.count, written, piece.requests)
            if found is None:
                raise _Ended
            moved.append(found)
            await self._ranges.add(tx, job.project, job.owner, job.series, (start, until - 1))
            if time.monotonic() - self._told.get(job.history_job_id, 0.0) > self._limits.told:
                self._told[job.history_job_id] = time.monotonic()
                await tell(tx, found)

        if piece.rows:
            if self._flush is not None:
                await self._flush(job.project, job.series)  # what came live is not replaced
            rows = pa.concat_tables(piece.rows)
            policy = REFRESH if job.refresh else FILL
            await self._adder.add(Addition(job.project, job.owner, job.series, rows, policy), also)
        else:
            async with self._database.transaction() as tx:
                await also(tx, 0)
        return moved[0]

    async def _finish(
        self, job: HistoryJob, state: str, reason: str = "", message: str = ""
    ) -> None:
        async with self._database.transaction() as tx:
            done = await self._store.finish(tx, job.history_job_id, state, reason, message)
            if done is None:
                return
            await tell(tx, done)
            await events.tell_data(tx, self._files, job.project, job.owner, job.series)
            if state == SUCCEEDED:
                await self._recordings.fill(tx, job.project, job.series, job.start, job.end)
