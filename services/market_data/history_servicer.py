"""RPC methods of the history service that read, resolve and delete data."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pyarrow as pa

from mesh.common.v1.types_pb2 import ArrowChunk
from mesh.marketdata.v1 import history_service_pb2 as rpc
from meshkit.arrow import BATCH_ROWS, chunks
from meshkit.context import caller
from meshkit.idempotency import once
from meshkit.paging import page
from meshkit.times import to_timestamp
from services.market_data import convert, events
from services.market_data.ahead import ahead
from services.market_data.catalog import File, Opened, batches
from services.market_data.domain import FIRST, LAST, Series, fingerprint
from services.market_data.errors import bad_field
from services.market_data.file_store import FileStore
from services.market_data.finding import Finder
from services.market_data.import_servicer import ImportServicer
from services.market_data.live.recording.showing import recorded_gap
from services.market_data.live.recording.store import RecordingStore
from services.market_data.merging import Counts, find_gaps
from services.market_data.ranges import RangeStore
from services.market_data.tables import KINDS, to_client
from services.market_data.writing import Writer, read_times

MOST_MISSED = 1_000
"""Recorded gaps that are shown."""


class HistoryServicer(ImportServicer):
    """Unpack, call, pack."""

    def __init__(
        self,
        files: FileStore,
        writer: Writer,
        finder: Finder,
        ranges: RangeStore,
        recordings: RecordingStore,
        *others: Any,
    ) -> None:
        super().__init__(*others)
        self._files = files
        self._writer = writer
        self._finder = finder
        self._ranges = ranges
        self._recordings = recordings

    async def ListCoverage(self, request: rpc.ListCoverageRequest, _: Any) -> Any:
        """Return what the catalog holds, by kind and instrument."""
        project = caller().project(request.project)
        wanted = page(request)
        async with self._database.connection() as tx:
            rows = await self._files.coverage(
                tx,
                project,
                convert.kind_name(request.kind),
                request.instrument_id,
                wanted.after,
                wanted.size + 1,
            )
        rows, token = wanted.cut(rows, key=lambda row: (row.series.kind, row.series.identifier))
        return rpc.ListCoverageResponse(
            coverage=[convert.coverage(project, row) for row in rows], next_page_token=token
        )

    async def GetCoverage(self, request: rpc.GetCoverageRequest, _: Any) -> Any:
        """Return what the catalog holds of one series, with files and gaps."""
        project = caller().project(request.project)
        kind = convert.kind_name(request.kind)
        series = Series.of("", kind, request.instrument_id, request.bar_type)
        await self._finder.fresh(project, series)
        async with self._database.connection() as tx:
            covered = await self._finder.covered(tx, project, series)
            files = await self._files.find(tx, project, series)
            missed = await self._recordings.gaps(tx, project, series, MOST_MISSED)
        counts = Counts()
        catalog = self._writer.catalog(project)
        times = await asyncio.to_thread(read_times, catalog, [file.path for file in files])
        find_gaps(times, series.step, counts)
        return rpc.GetCoverageResponse(
            coverage=convert.coverage(project, covered),
            files=[convert.file(file) for file in files],
            gaps=[convert.gap(*each) for each in counts.gaps],
            recorded_gaps=[recorded_gap(each) for each in missed],
        )

    async def ReadHistory(
        self, request: rpc.ReadHistoryRequest, _: Any
    ) -> AsyncIterator[rpc.ReadHistoryResponse]:
        """Stream stored rows as Arrow."""
        project = caller().project(request.project)
        series = convert.series_of("selection", request.selection)
        start, end = convert.range_of(request.selection.range)
        columns = _columns(series, list(request.columns))
        opened = await self._finder.open(project, series, start, end)
        rows = _Rows(opened, series, columns, start, end)
        async for chunk in ahead(rows.chunks(request.limit)):
            yield rpc.ReadHistoryResponse(chunk=chunk)

    async def DeleteData(self, request: rpc.DeleteDataRequest, _: Any) -> Any:
        """Delete stored rows."""
        project = caller().project(request.project)
        series = convert.series_of("selection", request.selection)
        start, end = convert.range_of(request.selection.range)

        async def prepare() -> int:
            await self._finder.found(project, series, start, end, {})

            async def also(tx: Any, rows: int) -> None:
                who = caller().subject
                await self._ranges.remove(tx, project, who, series, (start, end))
                await events.tell_data(tx, self._files, project, caller().subject, series)

            return await self._writer.delete(project, caller().subject, series, start, end, also)

        async def work(tx: Any, rows: int) -> rpc.DeleteDataResponse:
            left = await self._finder.covered_or_none(tx, project, series)
            response = rpc.DeleteDataResponse(rows=rows)
            if left is not None:
                response.coverage.CopyFrom(convert.coverage(project, left))
            return response

        return await once(self._database, request, rpc.DeleteDataResponse, work, prepare=prepare)

    async def ResolveData(self, request: rpc.ResolveDataRequest, _: Any) -> Any:
        """Answer whether the data of a run is there, and which files hold it."""
        project = caller().project(request.project)
        response = rpc.ResolveDataResponse()
        instrument_ids = dict.fromkeys(request.instrument_ids)
        hashes: list[str] = []
        for index, selection in enumerate(request.selections):
            series = convert.series_of(f"selections[{index}]", selection)
            instrument_ids.setdefault(series.instrument_id)
            where = {"selection": str(index)}
            await self._add_instrument(response, project, series.instrument_id, where)
            start, end = convert.range_of(selection.range)
            files = await self._finder.found(project, series, start, end, where)
            hashes += [f"{index}:{start}:{end}", *(file.sha256 for file in files)]
            response.data.append(await self._resolved(project, series, selection, files))
        for instrument_id in request.instrument_ids:
            await self._add_instrument(response, project, instrument_id, {})
        response.fingerprint = fingerprint(hashes)
        return response

    async def _resolved(
        self, project: str, series: Series, selection: Any, files: list[File]
    ) -> rpc.ResolvedData:
        async with self._database.connection() as tx:
            covered = await self._finder.covered(tx, project, series)
        made = rpc.ResolvedData(
            selection=selection,
            files=[convert.file(file) for file in files],
            rows=sum(file.rows for file in files),
            first_time=to_timestamp(covered.first),
            last_time=to_timestamp(covered.last),
        )
        made.selection.instrument_id = series.instrument_id
        return made

    async def _add_instrument(
        self,
        response: rpc.ResolveDataResponse,
        project: str,
        instrument_id: str,
        where: Mapping[str, str],
    ) -> None:
        if any(each.instrument_id == instrument_id for each in response.instruments):
            return
        found = await self._finder.instrument(project, instrument_id, where)
        response.instruments.append(convert.instrument(found).definition)


def _columns(series: Series, wanted: list[str]) -> list[str]:
    known = [*KINDS[series.kind].order, "ts_event", "ts_init"]
    for name in wanted:
        if name not in known:
            raise bad_field("columns", f"'{name}' is no column; known: {', '.join(known)}")
    return wanted or known


class _Rows:
    """The rows of a series as a reader gets them."""

    def __init__(
        self,
        opened: list[Opened],
        series: Series,
        columns: list[str],
        start: int = FIRST,
        end: int = LAST,
    ) -> None:
        self._opened = opened
        self._range = (start, end)
        metadata = opened[0].parquet.schema_arrow.metadata
        whole = KINDS[series.kind].client_schema(metadata)
        self._schema = pa.schema([whole.field(name) for name in columns], metadata=metadata)

    def chunks(self, limit: int) -> Iterator[ArrowChunk]:
        """Yield the Arrow stream."""
        return chunks(self._schema, self._batches(limit))

    def _batches(self, limit: int) -> Iterator[pa.RecordBatch]:
        left = limit or LAST
        names = self._schema.names
        for batch in batches(self._opened, names, *self._range, BATCH_ROWS):
            if batch.num_rows > left:
                batch = batch.slice(0, left)
            if batch.num_rows:
                left -= batch.num_rows
                yield to_client(batch, self._schema)
            if not left:
                return
