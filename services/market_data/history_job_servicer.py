"""RPC methods of the history job service."""

import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from mesh.marketdata.v1 import history_job_service_pb2 as rpc
from mesh.marketdata.v1.history_job_service_pb2_grpc import HistoryJobServiceServicer
from meshkit import enums
from meshkit.context import caller
from meshkit.database import Database
from meshkit.idempotency import once
from meshkit.paging import page
from meshkit.watch import Batch, WatchHub
from services.market_data import convert
from services.market_data.domain import CANCELLED, LAST, Series
from services.market_data.engine import bar_types
from services.market_data.errors import bad_field
from services.market_data.events import FACTS
from services.market_data.live.history.domain import HistoryJob, check_supported
from services.market_data.live.history.errors import no_job
from services.market_data.live.history.jobs import HistoryJobs
from services.market_data.live.history.store import HistoryJobStore
from services.market_data.live.history.telling import message
from services.market_data.live.ports import Feeds


class HistoryJobServicer(HistoryJobServiceServicer):
    """Unpack, call, pack."""

    def __init__(
        self,
        database: Database,
        store: HistoryJobStore,
        jobs: HistoryJobs,
        feeds: Feeds,
        hub: WatchHub,
    ) -> None:
        self._database = database
        self._store = store
        self._jobs = jobs
        self._feeds = feeds
        self._hub = hub

    async def RequestHistory(self, request: rpc.RequestHistoryRequest, _: Any) -> Any:
        """Make a job of a request."""

        async def prepare() -> HistoryJob:
            return self._job_of(request)

        async def work(tx: Any, job: HistoryJob) -> rpc.RequestHistoryResponse:
            return rpc.RequestHistoryResponse(job=message(await self._jobs.store(tx, job)))

        response = await once(
            self._database, request, rpc.RequestHistoryResponse, work, prepare=prepare
        )
        self._jobs.start(response.job.history_job_id)
        return response

    def _job_of(self, request: rpc.RequestHistoryRequest) -> HistoryJob:
        project, channel = caller().project(request.project), request.channel
        kind = convert.kind_name(channel.kind)
        check_supported(self._feeds.find(project, request.feed_id), kind)
        series = Series.of("channel", kind, channel.instrument_id, channel.bar_type)
        if series.bar_type:
            bar_types.check("channel.bar_type", series.bar_type)
        if not request.range.HasField("start"):
            raise bad_field("range.start", "is required")
        start, end = convert.range_of(request.range)
        end = min(end, time.time_ns(), LAST - 1)
        if not 0 <= start <= end:
            raise bad_field("range.start", "must be before the end, and in the past")
        return HistoryJob(
            history_job_id=str(uuid.uuid4()),
            project=project,
            owner=caller().subject,
            feed_id=request.feed_id,
            series=series,
            start=start,
            end=end,
            refresh=request.refresh,
            position=start,
        )

    async def GetHistoryJob(self, request: rpc.GetHistoryJobRequest, _: Any) -> Any:
        """Return a job."""
        async with self._database.connection() as tx:
            found = await self._find(tx, request.history_job_id)
        return rpc.GetHistoryJobResponse(job=message(found))

    async def ListHistoryJobs(self, request: rpc.ListHistoryJobsRequest, _: Any) -> Any:
        """Return jobs, the newest first."""
        project = caller().project(request.project)
        wanted = page(request)
        state = enums.bare(rpc.HistoryJobState, request.state)
        async with self._database.connection() as tx:
            rows = await self._store.page(tx, project, state, wanted.after, wanted.size + 1)
        rows, token = wanted.cut(rows, key=_page_key)
        return rpc.ListHistoryJobsResponse(
            jobs=[message(row) for row in rows], next_page_token=token
        )

    async def WatchHistoryJobs(
        self, request: rpc.WatchHistoryJobsRequest, _: Any
    ) -> AsyncIterator[rpc.WatchHistoryJobsResponse]:
        """Tell the changes of a project's jobs."""
        project = caller().project(request.project)
        wanted = request.history_job_id

        def accept(event: Any) -> bool:
            is_job = event.payload.Is(rpc.HistoryJobChanged.DESCRIPTOR)
            return is_job and event.project == project and wanted in {"", event.subject}

        watching = self._hub.watch(
            FACTS,
            cursor=request.after_cursor,
            filter_hash=f"{project}/{wanted}",
            accept=accept,
        )
        async for item in watching:
            told = item.events if isinstance(item, Batch) else ()
            yield rpc.WatchHistoryJobsResponse(events=told, cursor=item.cursor, checkpoint=not told)

    async def CancelHistoryJob(self, request: rpc.CancelHistoryJobRequest, _: Any) -> Any:
        """Stop a job; what it has written stays."""

        async def work(tx: Any) -> rpc.CancelHistoryJobResponse:
            job = await self._find(tx, request.history_job_id)
            if job.state != CANCELLED:
                job.check_cancellable()
                job = await self._jobs.cancel(tx, job)
            return rpc.CancelHistoryJobResponse(job=message(job))

        response = await once(self._database, request, rpc.CancelHistoryJobResponse, work)
        self._jobs.stop(request.history_job_id)
        return response

    async def DeleteHistoryJob(self, request: rpc.DeleteHistoryJobRequest, _: Any) -> Any:
        """Remove the record of a job that has ended."""

        async def work(tx: Any) -> rpc.DeleteHistoryJobResponse:
            job = await self._find(tx, request.history_job_id)
            job.check_deletable()
            await self._store.delete(tx, job.history_job_id)
            return rpc.DeleteHistoryJobResponse()

        return await once(self._database, request, rpc.DeleteHistoryJobResponse, work)

    async def _find(self, tx: Any, history_job_id: str) -> HistoryJob:
        found = await self._store.find(tx, caller().projects, history_job_id)
        if found is None:
            raise no_job(history_job_id)
        return found


def _page_key(job: HistoryJob) -> tuple[str, ...]:
    assert job.create_time is not None  # a stored job has one
    return job.create_time.isoformat(), job.history_job_id
