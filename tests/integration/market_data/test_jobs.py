"""Import jobs and what they survive: cases MD-13 to MD-16."""

import asyncio
import hashlib
import signal
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from integration.failures import failure
from integration.market_data.conftest import FINAL, Served, new_id, parts
from integration.market_data.test_history import BARS, BID, SELECTED, bar_lines, tree
from mesh.marketdata.v1 import history_service_pb2 as rpc
from mesh.marketdata.v1 import marketdata_pb2 as pb
from meshkit.database import Database
from services.market_data import sample
from services.market_data.domain import Job
from services.market_data.file_store import FileStore
from services.market_data.importing import Importing
from services.market_data.ranges import RangeStore
from services.market_data.store import InstrumentStore, JobStore
from services.market_data.uploads import Uploads
from services.market_data.writing import Writer

DYING = Path(__file__).with_name("dying_writer.py")
MONTH = "USD/JPY.SIM-1-MONTH-BID-EXTERNAL"
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("where", "rows"), [("staged", 2), ("decided", 3)])
async def test_md13_a_writer_that_is_killed(served: Served, where: str, rows: int) -> None:
    """MD-13b: killed before the decision nothing is changed; after it, all is, at the start."""
    await served.create(*sample.instruments())
    await served.load(bar_lines(1, 2), BARS)
    before = tree(served.catalog / "default" / "data")
    times = [str(sample.START + minute * sample.MINUTE) for minute in (1, 2, 3)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(DYING),
        *(where, served.database_url, str(served.catalog), BID, *times),
        env={"PYTHONPATH": f"{ROOT}:{ROOT}/libs"},
    )
    assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
    async with Database.open(served.database_url, schema="market_data") as database:
        await Writer(database, FileStore(), served.catalog).recover()
    assert (await served.read(SELECTED)).num_rows == rows
    assert (tree(served.catalog / "default" / "data") == before) == (where == "staged")
    listed = (await served.history.ListCoverage(rpc.ListCoverageRequest())).coverage[0]
    assert (listed.rows, listed.files) == (rows, 1)
    assert not list((served.catalog / "default" / ".staging").iterdir())


async def waiting_job(served: Served, database: Database, content: bytes, attempts: int) -> str:
    """Store a job as an earlier life of the service left it: uploaded, and not done."""
    import_id = str(uuid.uuid4())
    served.config.uploads.mkdir(parents=True, exist_ok=True)
    (served.config.uploads / import_id).write_bytes(content)
    job = Job(
        import_id=import_id,
        project="default",
        owner="tester",
        spec=BARS.SerializeToString(),
        file_name="f.csv",
        upload_bytes=len(content),
        upload_sha256=hashlib.sha256(content).hexdigest(),
    )
    async with database.transaction() as tx:
        await JobStore().insert(tx, job)
        for _ in range(attempts):
            await JobStore().begin(tx, import_id)
    return import_id


async def ended(served: Served, import_id: str) -> pb.ImportJob:
    """Return a job when it has ended."""
    request = rpc.GetImportJobRequest(import_id=import_id)
    async with asyncio.timeout(60):
        while (job := (await served.history.GetImportJob(request)).job).state not in FINAL:
            await asyncio.sleep(0.02)
    return job  # type: ignore[no-any-return]  # stubs are untyped here


async def test_md15_accepted_uploads_are_done_after_a_restart(served: Served) -> None:
    """MD-15: what was uploaded is imported by the next life; what kills it thrice is given up."""
    await served.create(*sample.instruments())
    async with Database.open(served.database_url, schema="market_data") as database:
        left = await waiting_job(served, database, bar_lines(1, 2), attempts=1)
        deadly = await waiting_job(served, database, bar_lines(3), attempts=3)
        files, jobs = FileStore(), JobStore()
        importing = Importing(
            database,
            jobs,
            InstrumentStore(),
            files,
            Writer(database, files, served.catalog),
            Uploads(served.config.uploads, 2**20),
            1,
            RangeStore(),
        )
        async with importing.running():
            done, given_up = await ended(served, left), await ended(served, deadly)
            async with asyncio.timeout(10):
                while list(served.config.uploads.iterdir()):
                    await asyncio.sleep(0.02)
    assert (done.state, done.rows_written) == (pb.IMPORT_STATE_SUCCEEDED, 2)
    assert (given_up.state, given_up.reason) == (pb.IMPORT_STATE_FAILED, "IMPORT_CRASHED")


async def test_md16_jobs_are_cancelled_listed_and_deleted(served: Served) -> None:
    """MD-16a: a job that waits can be cancelled and not deleted; one that ended the reverse."""
    await served.create(*sample.instruments())
    done = (await served.load(bar_lines(1), BARS)).import_id
    async with Database.open(served.database_url, schema="market_data") as database:
        left = await waiting_job(served, database, bar_lines(2), attempts=0)

    def delete(import_id: str) -> Any:
        request = rpc.DeleteImportJobRequest(request_id=new_id(), import_id=import_id)
        return served.history.DeleteImportJob(request)

    def cancel(import_id: str) -> Any:
        request = rpc.CancelImportJobRequest(request_id=new_id(), import_id=import_id)
        return served.history.CancelImportJob(request)

    assert (await failure(delete(left))).reason == "IMPORT_UNFINISHED"
    assert (await failure(cancel(done))).reason == "IMPORT_FINISHED"
    assert (await cancel(left)).job.state == pb.IMPORT_STATE_CANCELLED
    first = await served.history.ListImportJobs(rpc.ListImportJobsRequest(page_size=1))
    request = rpc.ListImportJobsRequest(page_size=1, page_token=first.next_page_token)
    second = await served.history.ListImportJobs(request)
    assert [j.import_id for j in (*first.jobs, *second.jobs)] == [left, done]
    request.state = pb.IMPORT_STATE_FAILED
    assert (await failure(served.history.ListImportJobs(request))).reason == "INVALID_PAGE_TOKEN"
    await delete(left)
    got = await failure(served.history.GetImportJob(rpc.GetImportJobRequest(import_id=left)))
    assert got.reason == "IMPORT_NOT_FOUND"


async def test_md16_jobs_are_watched(served: Served) -> None:
    """MD-16b: a watcher hears of a job's states in order, and resumes after a cursor."""
    await served.create(*sample.instruments())
    watching = served.history.WatchImportJobs(rpc.WatchImportJobsRequest())
    first = await asyncio.wait_for(watching.read(), 10)
    assert first.checkpoint
    await served.load(bar_lines(1), BARS)
    request = rpc.WatchImportJobsRequest(after_cursor=first.cursor)
    for call in (watching, served.history.WatchImportJobs(request)):
        assert await states(call) == ["PENDING", "RUNNING", "SUCCEEDED"]
        call.cancel()


async def states(call: Any) -> list[str]:
    """Return the states that a watch tells, up to a final one."""
    told: list[str] = []
    async with asyncio.timeout(30):
        while "SUCCEEDED" not in told:
            for event in (await call.read()).events:
                changed = pb.ImportJobChanged()
                event.payload.Unpack(changed)
                told.append(pb.ImportState.Name(changed.job.state).removeprefix("IMPORT_STATE_"))
    return told


async def test_md05_overlap_can_be_refused(served: Served) -> None:
    """MD-05e: with REFUSE any overlap fails, and the catalog stays."""
    await served.create(*sample.instruments())
    await served.load(bar_lines(1, 2), BARS)
    before = tree(served.catalog)
    spec = pb.ImportSpec()
    spec.CopyFrom(BARS)
    spec.overlap = pb.OVERLAP_POLICY_REFUSE
    job = await served.load(bar_lines(2, 3), spec)
    assert (job.state, job.reason) == (pb.IMPORT_STATE_FAILED, "OVERLAP_REFUSED")
    assert tree(served.catalog) == before


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (
            {"bar_type": "USD/JPY.SIM-1-MONTH-BID-EXTERNAL", "timestamp_is_open": True},
            "timestamp_is_open",
        ),
        ({"bar_type": "USD/JPY.SIM-61-MINUTE-BID-EXTERNAL"}, "bar_type"),
        ({"bar_type": BID, "time_zone": "Middle/Earth"}, "time_zone"),
        ({"bar_type": BID, "default_size": "0.5"}, "default_size"),
    ],
)
async def test_md11_options_are_checked_before_the_upload(
    served: Served, options: dict[str, Any], field: str
) -> None:
    """MD-11b: an option that cannot be right is refused by its field, at the header."""
    await served.create(*sample.instruments())
    spec = pb.ImportSpec(kind=BARS.kind, format=BARS.format, **options)
    got = await failure(served.history.ImportData(parts(bar_lines(1), spec)))
    assert (got.code, set(got.fields)) == ("INVALID_ARGUMENT", {f"spec.{field}"})
