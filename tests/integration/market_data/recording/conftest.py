"""A recorder and history jobs of the tests' own, with real stores and a scripted venue."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from integration.market_data.recording.rows import ID, batches_of, channel_of
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from mesh.marketdata.v1.live_pb2 import MarketDataBatch
from meshkit.database import Database
from services.market_data import sample
from services.market_data.domain import FINAL, Series
from services.market_data.file_store import FileStore
from services.market_data.live.domain import Channel, Feed
from services.market_data.live.errors import VenueAnswer, no_feed
from services.market_data.live.frames import Batch, HistoryRows
from services.market_data.live.history.domain import HistoryJob
from services.market_data.live.history.jobs import HistoryJobs
from services.market_data.live.history.jobs import Limits as JobLimits
from services.market_data.live.history.store import HistoryJobStore
from services.market_data.live.recording.recorder import CatalogRecorder, Limits
from services.market_data.live.recording.serving import Kept, kept
from services.market_data.live.recording.store import RecordingStore
from services.market_data.live.recording.taking import series_of
from services.market_data.main import MIGRATIONS
from services.market_data.store import InstrumentStore
from services.market_data.writing import Writer

PROJECT, FEED, OWNER = "default", "binance", "tester"
PATIENT = JobLimits(back_off=0.05, longest=0.1, patience=0.5)
QUICK = Limits(interval=0.05, retry=0.05, patience=5.0)


async def until(condition: Callable[[], Awaitable[Any] | Any]) -> Any:
    """Wait until a condition holds, and return what it gave."""
    async with asyncio.timeout(30):
        while True:
            found = condition()
            found = await found if asyncio.iscoroutine(found) else found
            if found:
                return found
            await asyncio.sleep(0.01)


def definition(**more: Any) -> InstrumentDefinition:
    """Return the tests' instrument as its venue defines it."""
    made = InstrumentDefinition()
    made.CopyFrom(sample.instruments()[0])
    made.instrument_id = str(ID)
    made.raw_symbol = ID.symbol.value
    for name, value in more.items():
        setattr(made, name, value)
    return made


@dataclass
class ScriptedVenue:
    """What is asked of feeds: ``rows`` are objects by ``ts_event``, answered ``page`` at once.

    ``troubles`` are raised one after another before there is an answer.
    """

    instruments: dict[str, InstrumentDefinition] = field(default_factory=dict)
    rows: list[Any] = field(default_factory=list)
    page: int = 1_000
    newest_first: bool = False
    troubles: list[Exception] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)
    feeds: set[str] = field(default_factory=lambda: {FEED, "replay"})

    def find(self, project: str, feed_id: str) -> Feed:
        """Return the feed; ``replay`` is a replay."""
        if feed_id not in self.feeds:
            raise no_feed(project, feed_id)
        return Feed(project, feed_id, OWNER, "REPLAY" if feed_id == "replay" else "SIM", "{}", 0)

    async def instrument(
        self, project: str, feed_id: str, instrument_id: str
    ) -> InstrumentDefinition | None:
        """Return the definition."""
        return self.instruments.get(instrument_id)

    async def history(
        self, project: str, feed_id: str, channel: Channel, start: int, end: int, limit: int = 0
    ) -> AsyncIterator[HistoryRows]:
        """Yield a page of the range, as a feed's process does."""
        if self.troubles:
            raise self.troubles.pop(0)
        self.asked.append((start, end))
        found = [row for row in self.rows if start <= row.ts_event <= end]
        found = found[-self.page :] if self.newest_first else found[: self.page]
        for batch in batches_of(channel.kind, found):
            batch.ts_init = batch.ts_event
            yield HistoryRows(1, batch.rows, 0, 0, batch.SerializeToString())


@dataclass
class Lab:
    """Recorder and jobs over a catalog; ``life`` opens them, as often as a test likes."""

    database: Database
    folder: Path
    venue: ScriptedVenue
    limits: Limits = QUICK
    job_limits: JobLimits = PATIENT
    kept: Kept | None = None

    @property
    def recorder(self) -> CatalogRecorder:
        """The recorder of this life."""
        assert self.kept is not None
        return self.kept.recorder

    @property
    def jobs(self) -> HistoryJobs:
        """The jobs of this life."""
        assert self.kept is not None
        return self.kept.jobs

    @property
    def catalog(self) -> Path:
        """The project's catalog."""
        return self.folder / "catalog" / PROJECT

    @asynccontextmanager
    async def life(self) -> AsyncIterator[CatalogRecorder]:
        """Open recorder and jobs until the block ends."""
        root = self.folder / "catalog"
        files, instruments = FileStore(), InstrumentStore()
        await Writer(self.database, files, root).recover()
        journal = self.folder / "journal"
        limits = self.limits, self.job_limits
        self.kept = kept(self.database, files, instruments, root, journal, *limits)
        self.kept.feeds.use(self.venue)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.kept.recorder.running())
            await stack.enter_async_context(self.kept.jobs.running())
            yield self.kept.recorder

    async def start(self, kind: str) -> Channel:
        """Record a channel."""
        channel = channel_of(kind)
        await self.recorder.start(PROJECT, FEED, channel, OWNER)
        return channel

    def take(self, channel: Channel, batches: Sequence[MarketDataBatch]) -> None:
        """Hand over batches."""
        for batch in batches:
            frame = Batch(1, 1, batch.rows, 0, 0, batch.SerializeToString())
            self.recorder.take(PROJECT, FEED, channel, "epoch", frame)

    async def read(self, channel: Channel) -> pa.Table:
        """Return what the catalog has of a channel, all that was received included."""
        series = series_of(channel)
        await self.recorder.flush(PROJECT, series)
        return await self.stored(series)

    async def stored(self, series: Series) -> pa.Table:
        """Return what the catalog has of a series."""
        async with self.database.connection() as tx:
            files = await FileStore().find(tx, PROJECT, series)
        assert files, series
        tables = [pa.parquet.read_table(self.catalog / file.path) for file in files]
        return pa.concat_tables([t.replace_schema_metadata(None) for t in tables])

    async def ask(self, kind: str, start: int, end: int, **more: Any) -> HistoryJob:
        """Make a history job, and return it when it has ended."""
        job = HistoryJob(
            str(uuid.uuid4()),
            PROJECT,
            OWNER,
            FEED,
            series_of(channel_of(kind)),
            start,
            end,
            more.pop("refresh", False),
            start,
        )
        async with self.database.transaction() as tx:
            await self.jobs.store(tx, job)
        self.jobs.start(job.history_job_id)
        return await self.ended(job.history_job_id)

    async def ended(self, job_id: str) -> HistoryJob:
        """Return a job when it has ended."""

        async def look() -> HistoryJob | None:
            async with self.database.connection() as tx:
                job = await HistoryJobStore().find(tx, [PROJECT], job_id)
            return job if job and job.state in FINAL else None

        found: HistoryJob = await until(look)
        return found

    async def gaps(self, channel: Channel) -> list[Any]:
        """Return the recorded gaps of a channel."""
        async with self.database.connection() as tx:
            return list(await RecordingStore().gaps(tx, PROJECT, series_of(channel), 100))


@pytest.fixture
async def lab(database_url: str, tmp_path: Path) -> AsyncIterator[Lab]:
    """Give a recorder's surroundings; the venue knows the instrument."""
    async with Database.open(database_url, schema="market_data", migrations=MIGRATIONS) as database:
        yield Lab(database, tmp_path, ScriptedVenue({str(ID): definition()}))


def refused(reason: str, message: str = "No.", retry_after: float = 0.0) -> VenueAnswer:
    """Return what a venue answers."""
    return VenueAnswer(reason, message, retry_after)
