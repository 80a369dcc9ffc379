"""History jobs: a venue is asked for history, which goes into the catalog."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any

import grpc.aio

from mesh.marketdata.v1 import history_job_service_pb2 as pb
from mesh.marketdata.v1 import live_pb2
from mesh.marketdata.v1.history_job_service_pb2_grpc import HistoryJobServiceStub
from meshclient.channels import channels
from meshclient.data import timestamp
from meshclient.errors import JobFailed, MeshClientError
from meshclient.group import Group, new_request_id, only

FINAL = (
    pb.HISTORY_JOB_STATE_SUCCEEDED,
    pb.HISTORY_JOB_STATE_FAILED,
    pb.HISTORY_JOB_STATE_CANCELLED,
)
HistoryProgress = Callable[[pb.HistoryJob], None]


class HistoryJobs(Group):
    """``mesh.history_jobs``."""

    def _make_stub(self, channel: grpc.aio.Channel) -> Any:
        return HistoryJobServiceStub(channel)

    async def request(
        self,
        feed_id: str,
        wanted: str | live_pb2.Channel,
        start: datetime,
        end: datetime | None = None,
        *,
        refresh: bool = False,
    ) -> pb.HistoryJob:
        """Ask a feed's venue for the history of one channel; the job runs on its own from here.

        Times without a zone are UTC; without ``end`` up to now. What the catalog has is not asked
        for again unless ``refresh``.
        """
        request = pb.RequestHistoryRequest(
            request_id=new_request_id(),
            project=self._project,
            feed_id=feed_id,
            channel=_one(wanted),
            refresh=refresh,
        )
        request.range.start.CopyFrom(timestamp(start))
        if end is not None:
            request.range.end.CopyFrom(timestamp(end))
        job: pb.HistoryJob = (await self._call("RequestHistory", request)).job
        return job

    async def wait(
        self, history_job_id: str, *, progress: HistoryProgress = lambda job: None
    ) -> pb.HistoryJob:
        """Follow a job to its end. Raises ``JobFailed`` unless it succeeded."""
        job = pb.HistoryJob()
        async for job in self.watch(history_job_id):
            progress(job)
        if job.state == pb.HISTORY_JOB_STATE_SUCCEEDED:
            return job
        raise JobFailed(
            job.message or "The job was cancelled.",
            reason=job.reason or "HISTORY_JOB_CANCELLED",
            resource=job,
        )

    async def watch(self, history_job_id: str) -> AsyncIterator[pb.HistoryJob]:
        """Yield a job as it is and after each change, to its final state."""

        def after(cursor: str) -> pb.WatchHistoryJobsRequest:
            return pb.WatchHistoryJobsRequest(
                project=self._project, history_job_id=history_job_id, after_cursor=cursor
            )

        async for message in self._connection.watch(self._stub.WatchHistoryJobs, after):
            # A checkpoint says that the watch is attached: the state read now misses nothing.
            jobs = [await self.get(history_job_id)] if message.checkpoint else []
            for job in [*_changed(message.events), *jobs][-1:]:
                yield job
                if job.state in FINAL:
                    return

    async def get(self, history_job_id: str) -> pb.HistoryJob:
        """Return a job."""
        request = pb.GetHistoryJobRequest(history_job_id=history_job_id)
        found: pb.HistoryJob = (await self._call("GetHistoryJob", request)).job
        return found

    async def list(
        self,
        *,
        state: pb.HistoryJobState.ValueType = pb.HISTORY_JOB_STATE_UNSPECIFIED,
        limit: int | None = None,
    ) -> Sequence[pb.HistoryJob]:
        """Return the project's jobs, the newest first."""
        request = pb.ListHistoryJobsRequest(project=self._project, state=state)
        return [each async for each in self._pages("ListHistoryJobs", request, "jobs", limit)]

    async def find(self, text: str) -> str:
        """Return the id of the job that is meant: an id, its first digits, or ``last``."""
        if len(text) == 36:
            return text
        last = text == "last"
        found = [job.history_job_id for job in await self.list(limit=1 if last else 500)]
        return only(found, "" if last else text, "history jobs", "HISTORY_JOB_NOT_FOUND")

    async def cancel(self, history_job_id: str) -> pb.HistoryJob:
        """Stop a job; what it has written stays."""
        request = pb.CancelHistoryJobRequest(
            request_id=new_request_id(), history_job_id=history_job_id
        )
        job: pb.HistoryJob = (await self._call("CancelHistoryJob", request)).job
        return job

    async def delete(self, history_job_id: str) -> None:
        """Remove the record of a job in a final state."""
        request = pb.DeleteHistoryJobRequest(
            request_id=new_request_id(), history_job_id=history_job_id
        )
        await self._call("DeleteHistoryJob", request)


def _one(wanted: str | live_pb2.Channel) -> live_pb2.Channel:
    found = channels(wanted)
    if len(found) != 1:
        raise MeshClientError(
            f"'{wanted}' names {len(found)} channels; a job fetches one.",
            code="INVALID_ARGUMENT",
            reason="CHANNEL_INVALID",
        )
    return found[0]


def _changed(events: Sequence[Any]) -> list[pb.HistoryJob]:
    jobs = []
    for event in events:
        changed = pb.HistoryJobChanged()
        if event.payload.Unpack(changed):
            jobs.append(changed.job)
    return jobs
