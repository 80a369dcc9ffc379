"""Stored market data: import, coverage, reading as Arrow, deletion."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc.aio
import pyarrow as pa
from google.protobuf.timestamp_pb2 import Timestamp

from mesh.common.v1 import types_pb2
from mesh.marketdata.v1 import history_service_pb2 as rpc
from mesh.marketdata.v1 import marketdata_pb2
from mesh.marketdata.v1.history_service_pb2_grpc import HistoryServiceStub
from meshclient.arrow import read_batches, read_table
from meshclient.errors import JobFailed, MeshClientError
from meshclient.group import Group, new_request_id, only
from meshclient.upload import Upload
from meshkit.errors import FieldViolation

FINAL = (
    marketdata_pb2.IMPORT_STATE_SUCCEEDED,
    marketdata_pb2.IMPORT_STATE_FAILED,
    marketdata_pb2.IMPORT_STATE_CANCELLED,
)
JobProgress = Callable[[marketdata_pb2.ImportJob], None]


class Data(Group):
    """``mesh.data``."""

    def _make_stub(self, channel: grpc.aio.Channel) -> Any:
        return HistoryServiceStub(channel)

    async def upload(
        self,
        file: str | Path,
        spec: marketdata_pb2.ImportSpec,
        *,
        progress: Callable[[int, int], None] = lambda sent, size: None,
    ) -> marketdata_pb2.ImportJob:
        """Send a file; return the import job made of it, which runs on its own from here.

        ``progress(sent, size)`` is called in bytes as the file goes out.
        """
        upload = Upload(Path(file), spec, self._project, progress)

        async def attempt(metadata: grpc.aio.Metadata) -> Any:
            return await self._stub.ImportData(upload.messages(), metadata=metadata)

        # The header carries the request id: the whole upload again returns the first job.
        job: marketdata_pb2.ImportJob = (await self._connection.repeated(attempt)).job
        return job

    async def import_file(
        self,
        file: str | Path,
        spec: marketdata_pb2.ImportSpec,
        *,
        sent: Callable[[int, int], None] = lambda sent, size: None,
        progress: JobProgress = lambda job: None,
    ) -> marketdata_pb2.ImportJob:
        """Send a file and wait until it is in the catalog. Raises ``JobFailed`` when it is not."""
        job = await self.upload(file, spec, progress=sent)
        return await self.wait(job.import_id, progress=progress)

    async def wait(
        self, import_id: str, *, progress: JobProgress = lambda job: None
    ) -> marketdata_pb2.ImportJob:
        """Follow an import job to its end. Raises ``JobFailed`` unless it succeeded."""
        job = marketdata_pb2.ImportJob()
        async for job in self.watch(import_id):
            progress(job)
        if job.state == marketdata_pb2.IMPORT_STATE_SUCCEEDED:
            return job
        raise JobFailed(
            job.message or "The import was cancelled.",
            reason=job.reason or "IMPORT_CANCELLED",
            resource=job,
            violations=[_fault(each) for each in job.faults],
        )

    async def watch(self, import_id: str) -> AsyncIterator[marketdata_pb2.ImportJob]:
        """Yield an import job as it is and after each change, to its final state."""

        def after(cursor: str) -> rpc.WatchImportJobsRequest:
            return rpc.WatchImportJobsRequest(
                project=self._project, import_id=import_id, after_cursor=cursor
            )

        async for message in self._connection.watch(self._stub.WatchImportJobs, after):
            # A checkpoint says that the watch is attached: the state read now misses nothing.
            job = await self.job(import_id) if message.checkpoint else _newest(message.events)
            if job is not None:
                yield job
                if job.state in FINAL:
                    return

    async def job(self, import_id: str) -> marketdata_pb2.ImportJob:
        """Return an import job."""
        request = rpc.GetImportJobRequest(import_id=import_id)
        found: marketdata_pb2.ImportJob = (await self._call("GetImportJob", request)).job
        return found

    async def find(self, text: str) -> str:
        """Return the id of the import job that is meant: an id, or its first digits."""
        if len(text) == 36:
            return text
        jobs = await self.jobs(limit=500)
        return only([job.import_id for job in jobs], text, "imports", "IMPORT_NOT_FOUND")

    async def jobs(self, *, limit: int | None = None) -> Sequence[marketdata_pb2.ImportJob]:
        """Return the project's import jobs, the newest first."""
        request = rpc.ListImportJobsRequest(project=self._project)
        return [each async for each in self._pages("ListImportJobs", request, "jobs", limit)]

    async def coverage(
        self, *, kind: int = 0, instrument_id: str = "", limit: int | None = None
    ) -> Sequence[marketdata_pb2.Coverage]:
        """Return what the catalog holds, by kind and instrument."""
        request: Any = rpc.ListCoverageRequest(project=self._project, instrument_id=instrument_id)
        request.kind = kind
        return [each async for each in self._pages("ListCoverage", request, "coverage", limit)]

    async def coverage_detail(
        self, selection: marketdata_pb2.DataSelection
    ) -> rpc.GetCoverageResponse:
        """Return what the catalog holds of one kind of one instrument, with files and gaps."""
        request = rpc.GetCoverageRequest(
            project=self._project,
            kind=selection.kind,
            instrument_id=selection.instrument_id,
            bar_type=selection.bar_type,
        )
        reply: rpc.GetCoverageResponse = await self._call("GetCoverage", request)
        return reply

    async def read(
        self,
        selection: marketdata_pb2.DataSelection,
        *,
        columns: Sequence[str] = (),
        limit: int = 0,
    ) -> pa.Table:
        """Return stored rows as a table. Prices and sizes are decimal128(38, 16), exact."""
        return await read_table(self._chunks(selection, columns, limit))

    def read_batches(
        self,
        selection: marketdata_pb2.DataSelection,
        *,
        columns: Sequence[str] = (),
        limit: int = 0,
    ) -> AsyncIterator[pa.RecordBatch]:
        """Yield stored rows in batches of at most 16,384, for what does not fit in memory."""
        return read_batches(self._chunks(selection, columns, limit))

    async def _chunks(
        self, selection: marketdata_pb2.DataSelection, columns: Sequence[str], limit: int
    ) -> AsyncIterator[types_pb2.ArrowChunk]:
        request = rpc.ReadHistoryRequest(
            project=self._project, selection=selection, columns=columns, limit=limit
        )
        async for message in self._connection.stream(self._stub.ReadHistory, request):
            yield message.chunk

    async def delete(self, selection: marketdata_pb2.DataSelection) -> int:
        """Delete stored rows, all of the selection without a range; return how many."""
        request = rpc.DeleteDataRequest(
            request_id=new_request_id(), project=self._project, selection=selection
        )
        return int((await self._call("DeleteData", request)).rows)


def selection(
    what: str,
    kind: str = "",
    start: datetime | None = None,
    end: datetime | None = None,
) -> marketdata_pb2.DataSelection:
    """Return a selection: ``what`` is a bar type, or an instrument id with a kind such as `quotes`.

    Times without a zone are UTC.
    """
    chosen = marketdata_pb2.DataSelection(kind=kind_of(what, kind))
    if chosen.kind == marketdata_pb2.DATA_KIND_BAR:
        chosen.bar_type = what
    else:
        chosen.instrument_id = what
    if start is not None:
        chosen.range.start.CopyFrom(timestamp(start))
    if end is not None:
        chosen.range.end.CopyFrom(timestamp(end))
    return chosen


KINDS = {
    "quotes": marketdata_pb2.DATA_KIND_QUOTE_TICK,
    "trades": marketdata_pb2.DATA_KIND_TRADE_TICK,
    "bars": marketdata_pb2.DATA_KIND_BAR,
    "deltas": marketdata_pb2.DATA_KIND_ORDER_BOOK_DELTA,
    "depth": marketdata_pb2.DATA_KIND_ORDER_BOOK_DEPTH10,
    "mark-prices": marketdata_pb2.DATA_KIND_MARK_PRICE,
    "index-prices": marketdata_pb2.DATA_KIND_INDEX_PRICE,
    "funding-rates": marketdata_pb2.DATA_KIND_FUNDING_RATE,
}


def kind_of(what: str, kind: str = "") -> marketdata_pb2.DataKind.ValueType:
    """Return the kind that is meant: the one named, or bars when ``what`` is a bar type."""
    if kind:
        return KINDS[kind]
    if what.endswith(("-EXTERNAL", "-INTERNAL")):
        return marketdata_pb2.DATA_KIND_BAR
    raise MeshClientError(
        f"'{what}' is an instrument, not a bar type: name the kind of data ({', '.join(KINDS)}).",
        code="INVALID_ARGUMENT",
        reason="INVALID_FIELD",
    )


def timestamp(value: datetime) -> Timestamp:
    """Return the timestamp of a time; one without a zone is UTC."""
    stamp = Timestamp()
    stamp.FromDatetime(value)
    return stamp


def _fault(fault: marketdata_pb2.ImportFault) -> FieldViolation:
    where = f"line {fault.line}" + (f", {fault.column}" if fault.column else "")
    value = f" (it is {fault.value!r})" if fault.value else ""
    return FieldViolation(where, fault.description + value)


def _newest(events: Sequence[Any]) -> marketdata_pb2.ImportJob | None:
    jobs = list(_unpacked(events))
    return jobs[-1] if jobs else None


def _unpacked(events: Sequence[Any]) -> Iterator[marketdata_pb2.ImportJob]:
    for event in events:
        changed = marketdata_pb2.ImportJobChanged()
        if event.payload.Unpack(changed):
            yield changed.job
