"""RPC methods of the history service that have to do with imports."""

from collections.abc import AsyncIterator
from typing import Any

from google.protobuf.descriptor import Descriptor

from mesh.marketdata.v1 import history_service_pb2 as rpc
from mesh.marketdata.v1 import marketdata_pb2 as pb
from mesh.marketdata.v1.history_service_pb2_grpc import HistoryServiceServicer
from meshkit import enums
from meshkit.context import caller
from meshkit.database import Database
from meshkit.idempotency import once
from meshkit.paging import page
from meshkit.watch import Batch, WatchHub
from services.market_data import convert, events
from services.market_data.domain import Job, Series, StoredInstrument, check_options
from services.market_data.engine import bar_types
from services.market_data.errors import ImportNotFound, InstrumentNotFound, bad_field
from services.market_data.importing import Importing
from services.market_data.store import InstrumentStore, JobStore
from services.market_data.uploads import Uploads


class _Upload:
    """An upload as one request: its header and the content's hash."""

    DESCRIPTOR: Descriptor = rpc.ImportHeader.DESCRIPTOR

    def __init__(self, header: rpc.ImportHeader, sha256: str) -> None:
        self.request_id = header.request_id
        self._body = header.SerializeToString(deterministic=True) + sha256.encode()

    def SerializeToString(self, *, deterministic: bool) -> bytes:
        return self._body


class ImportServicer(HistoryServiceServicer):
    """Unpack, call, pack; ``history_servicer`` adds the rest of the service."""

    def __init__(
        self,
        database: Database,
        jobs: JobStore,
        instruments: InstrumentStore,
        importing: Importing,
        uploads: Uploads,
        hub: WatchHub,
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._instruments = instruments
        self._importing = importing
        self._uploads = uploads
        self._hub = hub

    async def ImportData(
        self, request_iterator: AsyncIterator[rpc.ImportDataRequest], _: Any
    ) -> Any:
        """Take an upload and make a job of it."""
        parts = aiter(request_iterator)
        header = await self._uploads.header(parts)
        project = caller().project(header.project)
        spec = header.spec
        series = Series.of("spec", convert.kind_name(spec.kind), spec.instrument_id, spec.bar_type)
        if series.kind == "FUNDING_RATE":
            raise bad_field("spec.kind", "of funding rates no files are imported; record them")
        if series.bar_type:
            bar_types.check("spec.bar_type", series.bar_type)
        instrument = await self._instrument(project, series.instrument_id)
        check_options(series, instrument, spec.time_zone, spec.default_size, spec.timestamp_is_open)
        import_id, size, sha256 = await self._uploads.receive(parts)
        made: list[Job] = []

        async def work(tx: Any) -> rpc.ImportDataResponse:
            job = Job(
                import_id=import_id,
                project=project,
                owner=caller().subject,
                spec=spec.SerializeToString(deterministic=True),
                file_name=header.file_name,
                upload_bytes=size,
                upload_sha256=sha256,
            )
            made.append(await self._jobs.insert(tx, job))
            await events.tell_job(tx, made[-1])
            return rpc.ImportDataResponse(job=convert.job(made[-1]))

        try:
            response = await once(
                self._database, _Upload(header, sha256), rpc.ImportDataResponse, work
            )
        except BaseException:
            self._uploads.remove(import_id)
            raise
        if made:
            self._importing.start(import_id)
        else:
            self._uploads.remove(import_id)  # a replay: the first upload made the job
        return response

    async def _instrument(self, project: str, instrument_id: str) -> StoredInstrument:
        async with self._database.connection() as tx:
            found = await self._instruments.find(tx, project, instrument_id)
        if found is None:
            raise InstrumentNotFound(
                f"There is no instrument '{instrument_id}' in '{project}'. Create it first.",
                metadata={"instrument_id": instrument_id, "project": project},
            )
        return found

    async def GetImportJob(self, request: rpc.GetImportJobRequest, _: Any) -> Any:
        """Return an import job."""
        async with self._database.connection() as tx:
            found = await self._job(tx, request.import_id)
        return rpc.GetImportJobResponse(job=convert.job(found))

    async def ListImportJobs(self, request: rpc.ListImportJobsRequest, _: Any) -> Any:
        """Return import jobs, the newest first."""
        project = caller().project(request.project)
        wanted = page(request)
        state = enums.bare(pb.ImportState, request.state)
        async with self._database.connection() as tx:
            rows = await self._jobs.page(tx, project, state, wanted.after, wanted.size + 1)
        rows, token = wanted.cut(rows, key=_page_key)
        return rpc.ListImportJobsResponse(
            jobs=[convert.job(row) for row in rows], next_page_token=token
        )

    async def WatchImportJobs(
        self, request: rpc.WatchImportJobsRequest, _: Any
    ) -> AsyncIterator[rpc.WatchImportJobsResponse]:
        """Tell the changes of a project's import jobs."""
        project = caller().project(request.project)
        wanted = request.import_id

        def accept(event: Any) -> bool:
            is_job = event.payload.Is(pb.ImportJobChanged.DESCRIPTOR)
            return is_job and event.project == project and wanted in {"", event.subject}

        watching = self._hub.watch(
            events.FACTS,
            cursor=request.after_cursor,
            filter_hash=f"{project}/{wanted}",
            accept=accept,
        )
        async for item in watching:
            told = item.events if isinstance(item, Batch) else ()
            yield rpc.WatchImportJobsResponse(events=told, cursor=item.cursor, checkpoint=not told)

    async def CancelImportJob(self, request: rpc.CancelImportJobRequest, _: Any) -> Any:
        """Stop a job that is not committed."""

        async def work(tx: Any) -> rpc.CancelImportJobResponse:
            job = await self._job(tx, request.import_id)
            if job.state != "CANCELLED":
                job.check_cancellable()
                done = await self._jobs.finish(tx, job.import_id, "CANCELLED", job.report, "", "")
                job = done or job
                await events.tell_job(tx, job)
            return rpc.CancelImportJobResponse(job=convert.job(job))

        return await once(self._database, request, rpc.CancelImportJobResponse, work)

    async def DeleteImportJob(self, request: rpc.DeleteImportJobRequest, _: Any) -> Any:
        """Remove the record of a job that has ended."""

        async def work(tx: Any) -> rpc.DeleteImportJobResponse:
            job = await self._job(tx, request.import_id)
            job.check_deletable()
            await self._jobs.delete(tx, job.import_id)
            return rpc.DeleteImportJobResponse()

        return await once(self._database, request, rpc.DeleteImportJobResponse, work)

    async def _job(self, tx: Any, import_id: str) -> Job:
        found = await self._jobs.find(tx, caller().projects, import_id)
        if found is None:
            raise ImportNotFound(
                f"There is no import {import_id} in your projects.",
                metadata={"import_id": import_id},
            )
        return found


def _page_key(job: Job) -> tuple[str, ...]:
    assert job.create_time is not None  # a stored job has one
    return job.create_time.isoformat(), job.import_id
