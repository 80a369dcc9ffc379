"""RPC methods of the backtest service."""

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

from mesh.backtest.v1 import backtest_pb2 as pb
from mesh.backtest.v1 import backtest_service_pb2 as rpc
from mesh.backtest.v1.backtest_service_pb2_grpc import BacktestServiceServicer
from meshkit import enums, outbox
from meshkit.context import caller
from meshkit.database import Database
from meshkit.idempotency import once
from meshkit.paging import page
from services.backtest import convert, events
from services.backtest.archive import Archive
from services.backtest.domain import JOBS, Json, Run, check_spec
from services.backtest.errors import BacktestNotFound
from services.backtest.inputs import make_inputs
from services.backtest.lookups import Lookups
from services.backtest.manifest import make_manifest
from services.backtest.store import RunStore
from services.backtest.watching import Watching


class Servicer(BacktestServiceServicer):
    """Unpack, call, pack."""

    def __init__(
        self,
        database: Database,
        store: RunStore,
        lookups: Lookups,
        archive: Archive,
        watching: Watching,
    ) -> None:
        self._database = database
        self._store = store
        self._lookups = lookups
        self._archive = archive
        self._watching = watching

    async def CreateBacktest(self, request: rpc.CreateBacktestRequest, _: Any) -> Any:
        """Check a spec whole, commit the run and return at once."""
        project = caller().project(request.project)

        async def prepare() -> tuple[Run, Json]:
            check_spec(convert.spec_json(request.spec))
            versions, data = await self._lookups.resolve(project, request.spec)
            spec = pb.BacktestSpec()
            spec.CopyFrom(request.spec)
            for component, version in zip(spec.components, versions, strict=True):
                component.version = version.version
            spec_json = convert.spec_json(spec)
            run = Run(
                backtest_id=str(uuid.uuid4()),
                project=project,
                owner=caller().subject,
                name=request.name,
                labels=dict(request.labels),
                spec=spec_json,
                manifest=make_manifest(spec, spec_json, versions, data.fingerprint),
                strategy_ids=tuple(version.strategy_id for version in versions),
            )
            return run, make_inputs(spec, versions, data)

        async def work(tx: Any, prepared: tuple[Run, Json]) -> rpc.CreateBacktestResponse:
            made = await self._store.insert(tx, *prepared)
            await outbox.enqueue(tx, JOBS, made.backtest_id)
            await events.tell(tx, made)
            return rpc.CreateBacktestResponse(backtest=convert.backtest(made))

        return await once(
            self._database, request, rpc.CreateBacktestResponse, work, prepare=prepare
        )

    async def GetBacktest(self, request: rpc.GetBacktestRequest, _: Any) -> Any:
        """Return a run."""
        return rpc.GetBacktestResponse(
            backtest=convert.backtest(await self._find(request.backtest_id))
        )

    async def ListBacktests(self, request: rpc.ListBacktestsRequest, _: Any) -> Any:
        """Return runs, the newest first."""
        who = caller()
        projects = (who.project(request.project),) if request.project else who.projects
        wanted = page(request)
        key, _sign, value = request.label.partition("=")
        async with self._database.connection() as tx:
            rows = await self._store.page(
                tx,
                projects,
                [enums.bare(pb.BacktestState, state) for state in request.states],
                request.strategy_id,
                (key, value) if key else None,
                wanted.after,
                wanted.size + 1,
            )
        rows, token = wanted.cut(rows, key=_page_key)
        return rpc.ListBacktestsResponse(
            backtests=[convert.backtest(row, whole=False) for row in rows], next_page_token=token
        )

    async def CancelBacktest(self, request: rpc.CancelBacktestRequest, _: Any) -> Any:
        """Stop a run that has not ended."""

        async def work(tx: Any) -> rpc.CancelBacktestResponse:
            run = await self._find(request.backtest_id, tx)
            if run.state != "CANCELLED":
                run.check_cancellable()
                run = await self._store.request_cancel(tx, run.backtest_id)
                if run.ended:
                    await outbox.done(tx, JOBS, run.backtest_id)
                await events.tell(tx, run)
            return rpc.CancelBacktestResponse(backtest=convert.backtest(run))

        return await once(self._database, request, rpc.CancelBacktestResponse, work)

    async def DeleteBacktest(self, request: rpc.DeleteBacktestRequest, _: Any) -> Any:
        """Remove a run that has ended, and its result."""
        gone: list[Run] = []

        async def work(tx: Any) -> rpc.DeleteBacktestResponse:
            run = await self._find(request.backtest_id, tx)
            run.check_deletable()
            await self._store.delete(tx, run.backtest_id)
            await events.tell(tx, run, deleted=True)
            gone.append(run)
            return rpc.DeleteBacktestResponse()

        response = await once(self._database, request, rpc.DeleteBacktestResponse, work)
        for run in gone:  # after the commit: a run without its folder is worse than the reverse
            await self._archive.delete(run)
        return response

    async def WatchBacktest(
        self, request: rpc.WatchBacktestRequest, _: Any
    ) -> AsyncIterator[rpc.WatchBacktestResponse]:
        """Tell a run's changes and progress up to its end."""
        backtest_id = request.backtest_id
        run = await self._find(backtest_id)
        async for message in self._watching.watch(
            run, request.after_cursor, lambda: self._find(backtest_id)
        ):
            yield message

    async def ReadBacktestResult(
        self, request: rpc.ReadBacktestResultRequest, _: Any
    ) -> AsyncIterator[rpc.ReadBacktestResultResponse]:
        """Stream one table of a result."""
        run = await self._find(request.backtest_id)
        run.check_result()
        name = enums.bare(pb.ResultTable, request.table).lower()
        for chunk in self._archive.table(run, name):
            yield rpc.ReadBacktestResultResponse(chunk=chunk)

    async def ReadTearsheet(
        self, request: rpc.ReadTearsheetRequest, _: Any
    ) -> AsyncIterator[rpc.ReadTearsheetResponse]:
        """Stream the tearsheet."""
        run = await self._find(request.backtest_id)
        run.check_result()
        pieces: Iterator[bytes] = await self._archive.tearsheet(run)
        for piece in pieces:
            yield rpc.ReadTearsheetResponse(data=piece)

    async def _find(self, backtest_id: str, tx: Any = None) -> Run:
        if tx is None:
            async with self._database.connection() as connection:
                return await self._find(backtest_id, connection)
        found = await self._store.find(tx, caller().projects, backtest_id)
        if found is None:
            raise BacktestNotFound(
                f"There is no run {backtest_id} in your projects.",
                metadata={"backtest_id": backtest_id},
            )
        return found


def _page_key(run: Run) -> tuple[str, ...]:
    assert run.create_time is not None  # a stored run has one
    return run.create_time.isoformat(), run.backtest_id
