"""Import jobs: taken in order, prepared in a process each, committed with their data, resumed
after a restart.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from mesh.marketdata.v1.marketdata_pb2 import ImportSpec, OverlapPolicy
from meshkit import enums
from meshkit.database import Database
from meshkit.errors import Unavailable
from services.market_data import convert, events
from services.market_data.child import ChildDied, in_child
from services.market_data.domain import FAILED, SUCCEEDED, Job, Json, Series, StoredInstrument
from services.market_data.errors import ImportFault
from services.market_data.file_store import FileStore
from services.market_data.merging import Counts, Lines
from services.market_data.parsing.columns import Precision
from services.market_data.preparing import Task, prepare, read
from services.market_data.ranges import RangeStore
from services.market_data.store import InstrumentStore, JobStore
from services.market_data.uploads import Uploads
from services.market_data.writing import Write, Writer

log = logging.getLogger("market_data.importing")

ATTEMPTS = 3
RETRY_SECONDS = 1.0


class Importing:
    """Does import jobs; ``async with`` resumes what was not done."""

    def __init__(
        self,
        database: Database,
        jobs: JobStore,
        instruments: InstrumentStore,
        files: FileStore,
        writer: Writer,
        uploads: Uploads,
        at_once: int,
        ranges: RangeStore,
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._instruments = instruments
        self._files = files
        self._writer = writer
        self._uploads = uploads
        self._ranges = ranges
        self._slots = asyncio.Semaphore(at_once)
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Resume jobs of an earlier life; on leaving, stop: what is not done is resumed later."""
        async with self._database.connection() as tx:
            unfinished = await self._jobs.unfinished(tx)
        await asyncio.to_thread(self._uploads.sweep, unfinished)
        for import_id in unfinished:
            self.start(import_id)
        try:
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def start(self, import_id: str) -> None:
        """Do a job as soon as a slot is free."""
        task = asyncio.create_task(self._do(import_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, import_id: str) -> None:
        async with self._slots:
            while True:
                try:
                    if await self._attempt(import_id):
                        break
                except Unavailable:  # the store is away: the job stays and is tried again
                    await asyncio.sleep(RETRY_SECONDS)
        self._uploads.remove(import_id)

    async def _attempt(self, import_id: str) -> bool:
        """Work on a job; False when its process died and it is to be tried again."""
        async with self._database.transaction() as tx:
            job = await self._jobs.begin(tx, import_id)
            if job is None:
                return True
            await events.tell_job(tx, job)
        try:
            if job.attempts > ATTEMPTS:
                raise ImportFault(
                    "IMPORT_CRASHED", "The process that read the file died over it. Split the file."
                )
            await self._import(job)
        except ChildDied:
            return False
        except ImportFault as fault:
            report = {"faults": fault.faults, "fault_count": fault.count}
            await self._fail(job, report, fault.reason, fault.message)
        except Unavailable:
            raise
        except Exception:  # a fault of ours must end the job, or it would be PENDING for ever
            log.exception("import failed", extra={"import_id": import_id})
            text = "A fault of the mesh; it is in the log of the market-data service."
            await self._fail(job, {}, "INTERNAL", text)
        return True

    async def _import(self, job: Job) -> None:
        spec = ImportSpec.FromString(job.spec)
        kind = convert.kind_name(spec.kind)
        series = Series.of("spec", kind, spec.instrument_id, spec.bar_type)
        async with self._database.connection() as tx:
            instrument = await self._instrument(tx, job, series)
        scratch = self._uploads.scratch(job.import_id)
        task = Task(
            upload=self._uploads.path(job.import_id),
            scratch=scratch,
            spec=spec,
            series=series,
            precision=Precision(instrument.price_precision, instrument.size_precision),
        )
        try:
            counts = await in_child(prepare, task)
            await self._commit(job, series, await asyncio.to_thread(read, scratch), counts)
        finally:
            scratch.unlink(missing_ok=True)

    async def _instrument(self, tx: Any, job: Job, series: Series) -> StoredInstrument:
        found = await self._instruments.find(tx, job.project, series.instrument_id)
        if found is None:
            text = f"The instrument {series.instrument_id} was deleted."
            raise ImportFault("INSTRUMENT_NOT_FOUND", text)
        return found

    async def _commit(self, job: Job, series: Series, given: Lines, counts: Counts) -> None:
        async def also(tx: Any) -> bool:
            await self._instrument(tx, job, series)
            report = _report(counts, given.rows)
            done = await self._jobs.finish(tx, job.import_id, SUCCEEDED, report, "", "")
            if done is None:
                return False  # cancelled meanwhile
            await events.tell_job(tx, done)
            if not series.step:  # bars show their holes themselves
                times = given.rows["ts_init"]
                known = times[0].as_py(), times[-1].as_py()
                await self._ranges.add(tx, job.project, job.owner, series, known)
            await events.tell_data(tx, self._files, job.project, job.owner, series)
            return True

        overlap = ImportSpec.FromString(job.spec).overlap
        policy = enums.bare(OverlapPolicy, overlap) or "MERGE"
        await self._writer.write(Write(job.project, job.owner, series, given, policy), counts, also)

    async def _fail(self, job: Job, report: Json, reason: str, message: str) -> None:
        async with self._database.transaction() as tx:
            done = await self._jobs.finish(tx, job.import_id, FAILED, report, reason, message)
            if done is not None:
                await events.tell_job(tx, done)


def _report(counts: Counts, rows: pa.Table | None) -> dict[str, Any]:
    report = asdict(counts)
    if rows is not None and rows.num_rows:
        times = rows["ts_init"]
        report |= {"first_time": times[0].as_py(), "last_time": times[-1].as_py()}
    return report
