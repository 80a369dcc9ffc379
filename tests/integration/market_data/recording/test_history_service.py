"""The history job service over a real channel: cases MD-94."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from integration.failures import failure
from integration.issuer import Signer
from integration.market_data.conftest import new_id
from integration.market_data.recording.conftest import FEED, Lab, refused, until
from integration.market_data.recording.rows import BAR_TYPE, ID, SECOND, START, bar, trade
from mesh.common.v1.types_pb2 import TimeRange
from mesh.marketdata.v1 import history_job_service_pb2 as rpc
from mesh.marketdata.v1.history_job_service_pb2_grpc import (
    HistoryJobServiceStub,
    add_HistoryJobServiceServicer_to_server,
)
from mesh.marketdata.v1.live_pb2 import Channel
from mesh.marketdata.v1.marketdata_pb2 import DataKind
from meshkit.channel import channel
from meshkit.publisher import Publisher
from meshkit.redis_client import open_redis
from meshkit.server import MeshServer
from meshkit.times import to_timestamp
from meshkit.watch import WatchHub
from services.market_data import events
from services.market_data.history_job_servicer import HistoryJobServicer
from services.market_data.live.history.store import HistoryJobStore
from services.market_data.main import HISTORY_JOBS

FINAL = (
    rpc.HISTORY_JOB_STATE_SUCCEEDED,
    rpc.HISTORY_JOB_STATE_FAILED,
    rpc.HISTORY_JOB_STATE_CANCELLED,
)


@pytest.fixture
async def jobs(lab: Lab, redis_url: str, tmp_path: Path) -> AsyncIterator[Any]:
    """Give a stub of the service."""
    signer, listen = Signer(), f"unix:{tmp_path}/h.sock"
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(open_redis(redis_url))
        await stack.enter_async_context(Publisher(lab.database, client))
        server = await stack.enter_async_context(
            MeshServer(name="market-data", listen=listen, keys=signer, grace=1.0)
        )
        hub = await stack.enter_async_context(
            WatchHub(lab.database, client, [events.FACTS], draining=server.draining)
        )
        await stack.enter_async_context(lab.life())
        servicer = HistoryJobServicer(lab.database, HistoryJobStore(), lab.jobs, lab.venue, hub)
        add_HistoryJobServiceServicer_to_server(servicer, server.grpc)
        await server.start(HISTORY_JOBS)
        token = signer.token("data.read", "data.write")
        to = await stack.enter_async_context(channel(listen, HISTORY_JOBS, token=token))
        yield HistoryJobServiceStub(to)


def request(kind: str = "TRADE_TICK", seconds: int = 9, **more: Any) -> rpc.RequestHistoryRequest:
    """Return a request for the first seconds."""
    about = {"bar_type": str(BAR_TYPE)} if kind == "BAR" else {"instrument_id": str(ID)}
    asked = rpc.RequestHistoryRequest(
        request_id=new_id(),
        feed_id=FEED,
        channel=Channel(kind=DataKind.Value(f"DATA_KIND_{kind}"), **about),
        range=TimeRange(start=to_timestamp(START), end=to_timestamp(START + seconds * SECOND)),
    )
    asked.MergeFrom(rpc.RequestHistoryRequest(**more))
    return asked


async def ended(stub: Any, job_id: str) -> rpc.HistoryJob:
    """Return a job when it has ended."""

    async def look() -> Any:
        job = (await stub.GetHistoryJob(rpc.GetHistoryJobRequest(history_job_id=job_id))).job
        return job if job.state in FINAL else None

    job: rpc.HistoryJob = await until(look)
    return job


async def test_md94_a_request_is_done_once(lab: Lab, jobs: Any) -> None:
    """MD-94a: a repeated request is one job, though its feed is gone by then; jobs are got and
    listed by state, page by page.
    """
    lab.venue.rows = [trade(n) for n in range(10)]
    asked = request()
    first = (await jobs.RequestHistory(asked)).job
    assert first.state == rpc.HISTORY_JOB_STATE_PENDING
    assert (await jobs.RequestHistory(asked)).job.history_job_id == first.history_job_id
    done = await ended(jobs, first.history_job_id)
    assert (done.state, done.rows_written) == (rpc.HISTORY_JOB_STATE_SUCCEEDED, 10)
    assert (done.progress, done.meta.owner) == (1.0, first.meta.owner)
    lab.venue.rows = [bar(n) for n in range(1)]
    second = (await jobs.RequestHistory(request("BAR"))).job
    await ended(jobs, second.history_job_id)
    page = await jobs.ListHistoryJobs(rpc.ListHistoryJobsRequest(page_size=1))
    rest = rpc.ListHistoryJobsRequest(page_size=1, page_token=page.next_page_token)
    others = await jobs.ListHistoryJobs(rest)
    found = [job.history_job_id for job in (*page.jobs, *others.jobs)]
    assert found == [second.history_job_id, first.history_job_id]
    failed = rpc.ListHistoryJobsRequest(state=rpc.HISTORY_JOB_STATE_FAILED)
    assert not (await jobs.ListHistoryJobs(failed)).jobs
    lab.venue.feeds.clear()
    assert (await jobs.RequestHistory(asked)).job == first
    assert (await failure(jobs.RequestHistory(request()))).reason == "FEED_NOT_FOUND"


async def test_md94_jobs_are_watched_cancelled_and_deleted(lab: Lab, jobs: Any) -> None:
    """MD-94b: a watcher hears of each state and resumes; what ended is deleted, not cancelled."""
    lab.venue.troubles = [refused("VENUE_RATE_LIMITED", "Wait.", 3_600.0)]
    watching = jobs.WatchHistoryJobs(rpc.WatchHistoryJobsRequest())
    cursor = (await watching.read()).cursor
    job_id = (await jobs.RequestHistory(request())).job.history_job_id
    await until(lambda: not lab.venue.troubles)
    deletion = rpc.DeleteHistoryJobRequest(request_id=new_id(), history_job_id=job_id)
    assert (await failure(jobs.DeleteHistoryJob(deletion))).reason == "HISTORY_JOB_UNFINISHED"
    cancel = rpc.CancelHistoryJobRequest(request_id=new_id(), history_job_id=job_id)
    assert (await jobs.CancelHistoryJob(cancel)).job.state == rpc.HISTORY_JOB_STATE_CANCELLED
    again = rpc.WatchHistoryJobsRequest(history_job_id=job_id)
    for call in (watching, jobs.WatchHistoryJobs(rpc.WatchHistoryJobsRequest(after_cursor=cursor))):
        assert await states(call) == ["PENDING", "RUNNING", "CANCELLED"]
        call.cancel()
    assert (await jobs.WatchHistoryJobs(again).read()).checkpoint
    await jobs.DeleteHistoryJob(deletion)
    wanted = rpc.GetHistoryJobRequest(history_job_id=job_id)
    assert (await failure(jobs.GetHistoryJob(wanted))).reason == "HISTORY_JOB_NOT_FOUND"
    lab.venue.rows = [trade(1)]
    done = (await jobs.RequestHistory(request())).job.history_job_id
    await ended(jobs, done)
    cancel = rpc.CancelHistoryJobRequest(request_id=new_id(), history_job_id=done)
    assert (await failure(jobs.CancelHistoryJob(cancel))).reason == "HISTORY_JOB_FINISHED"


async def states(call: Any) -> list[str]:
    """Return the states that a watch tells, up to a final one."""
    told: list[str] = []
    while "CANCELLED" not in told:
        for event in (await call.read()).events:
            changed = rpc.HistoryJobChanged()
            event.payload.Unpack(changed)
            name = rpc.HistoryJobState.Name(changed.job.state)
            told.append(name.removeprefix("HISTORY_JOB_STATE_"))
    return told


INTERNAL = Channel(kind=DataKind.Value("DATA_KIND_BAR"), bar_type="X/Y.SIM-1-MINUTE-LAST-INTERNAL")
LATER = TimeRange(start=to_timestamp(START), end=to_timestamp(START - SECOND))


@pytest.mark.parametrize(
    ("asked", "code", "reason", "field"),
    [
        (request(feed_id="none"), "NOT_FOUND", "FEED_NOT_FOUND", ""),
        (request(feed_id="replay"), "FAILED_PRECONDITION", "HISTORY_UNSUPPORTED", ""),
        (request("ORDER_BOOK_DELTA"), "FAILED_PRECONDITION", "HISTORY_UNSUPPORTED", ""),
        (request(channel=INTERNAL), "INVALID_ARGUMENT", "INVALID_FIELD", "channel"),
        (request(range=LATER), "INVALID_ARGUMENT", "INVALID_FIELD", "range"),
    ],
)
async def test_md94_bad_requests_are_typed(
    jobs: Any, asked: rpc.RequestHistoryRequest, code: str, reason: str, field: str
) -> None:
    """MD-94c: each bad request is refused with its reason and makes no job."""
    got = await failure(jobs.RequestHistory(asked))
    assert (got.code, got.reason) == (code, reason), got.message
    assert all(name.startswith(field) for name in got.fields)
    assert not (await jobs.ListHistoryJobs(rpc.ListHistoryJobsRequest())).jobs
