"""Recorder and history jobs put together: what ``main`` opens before and after the hub."""

from dataclasses import dataclass
from pathlib import Path

from meshkit.database import Database
from services.market_data.adding import Adder
from services.market_data.file_store import FileStore
from services.market_data.live.history.jobs import HistoryJobs
from services.market_data.live.history.jobs import Limits as JobLimits
from services.market_data.live.history.store import HistoryJobStore
from services.market_data.live.recording.definitions import Definitions
from services.market_data.live.recording.flushing import Flusher
from services.market_data.live.recording.journal import SEGMENT_BYTES, Journal
from services.market_data.live.recording.late import LateFeeds
from services.market_data.live.recording.recorder import CatalogRecorder, Limits
from services.market_data.live.recording.store import RecordingStore
from services.market_data.ranges import RangeStore
from services.market_data.store import InstrumentStore


@dataclass(frozen=True)
class Kept:
    """``recorder.running()`` goes around the hub, ``jobs.running()`` inside it; ``feeds.use(hub)``
    as soon as there is one.
    """

    recorder: CatalogRecorder
    jobs: HistoryJobs
    job_store: HistoryJobStore
    feeds: LateFeeds


def kept(
    database: Database,
    files: FileStore,
    instruments: InstrumentStore,
    catalog: Path,
    journal: Path,
    limits: Limits,
    job_limits: JobLimits | None = None,
) -> Kept:
    """Make recorder and history jobs of a catalog."""
    store, ranges, feeds = RecordingStore(), RangeStore(), LateFeeds()
    adder = Adder(database, files, catalog)
    definitions = Definitions(database, instruments, adder, feeds)
    job_store = HistoryJobStore()
    stores = job_store, store, ranges, files
    jobs = HistoryJobs(database, *stores, adder, feeds, definitions, job_limits)
    # A segment is removed only as a whole: many must fit into what the journal may hold.
    segments = Journal(journal, min(SEGMENT_BYTES, limits.journal // 8))
    flusher = Flusher(database, store, files, ranges, adder, segments, jobs)
    recorder = CatalogRecorder(flusher, definitions, limits)
    jobs.use(recorder.flush)
    return Kept(recorder, jobs, job_store, feeds)
