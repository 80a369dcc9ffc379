"""Backtests: run, watch, read what came out."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc.aio
import pyarrow as pa

from mesh.backtest.v1 import backtest_pb2 as pb
from mesh.backtest.v1 import backtest_service_pb2 as rpc
from mesh.backtest.v1.backtest_service_pb2_grpc import BacktestServiceStub
from mesh.common.v1 import types_pb2
from meshclient.arrow import read_table
from meshclient.errors import JobFailed
from meshclient.group import Group, new_request_id, only
from meshclient.tables import write_table

FINAL = (pb.BACKTEST_STATE_SUCCEEDED, pb.BACKTEST_STATE_FAILED, pb.BACKTEST_STATE_CANCELLED)
TABLES = {
    "orders": pb.RESULT_TABLE_ORDERS,
    "fills": pb.RESULT_TABLE_FILLS,
    "positions": pb.RESULT_TABLE_POSITIONS,
    "account": pb.RESULT_TABLE_ACCOUNT,
    "equity": pb.RESULT_TABLE_EQUITY,
}
RunProgress = Callable[[pb.Backtest], None]


class Backtests(Group):
    """``mesh.backtests``."""

    def _make_stub(self, channel: grpc.aio.Channel) -> Any:
        return BacktestServiceStub(channel)

    async def create(
        self, spec: pb.BacktestSpec, *, name: str = "", labels: dict[str, str] | None = None
    ) -> pb.Backtest:
        """Commit a run and return at once; it is PENDING then."""
        request = rpc.CreateBacktestRequest(
            request_id=new_request_id(),
            project=self._project,
            name=name,
            labels=labels or {},
            spec=spec,
        )
        made: pb.Backtest = (await self._call("CreateBacktest", request)).backtest
        return made

    async def run(
        self,
        spec: pb.BacktestSpec,
        *,
        name: str = "",
        labels: dict[str, str] | None = None,
        progress: RunProgress = lambda run: None,
    ) -> pb.Backtest:
        """Run a backtest to its end and return it with its result.

        ``progress(run)`` is called with the run as it stands. Raises ``JobFailed`` when it fails or
        is cancelled. Giving up waiting does not stop the run: that is ``cancel``.
        """
        run = await self.create(spec, name=name, labels=labels)
        progress(run)
        return await self.wait(run.backtest_id, progress=progress)

    async def wait(
        self, backtest_id: str, *, progress: RunProgress = lambda run: None
    ) -> pb.Backtest:
        """Follow a run to its end and return it. Raises ``JobFailed`` as ``run`` does."""
        async for run in self.watch(backtest_id):
            progress(run)
        run = await self.get(backtest_id)
        if run.state == pb.BACKTEST_STATE_SUCCEEDED:
            return run
        cancelled = run.state == pb.BACKTEST_STATE_CANCELLED
        raise JobFailed(
            "The run was cancelled." if cancelled else run.failure.message,
            reason="BACKTEST_CANCELLED" if cancelled else run.failure.reason,
            resource=run,
        )

    async def watch(self, backtest_id: str) -> AsyncIterator[pb.Backtest]:
        """Yield a run as it is, and after each change and progress, to its final state."""

        def after(cursor: str) -> rpc.WatchBacktestRequest:
            return rpc.WatchBacktestRequest(backtest_id=backtest_id, after_cursor=cursor)

        def last(message: rpc.WatchBacktestResponse) -> bool:
            return message.HasField("backtest") and message.backtest.state in FINAL

        run = pb.Backtest(backtest_id=backtest_id)
        stream = self._connection.watch(self._stub.WatchBacktest, after, last=last)
        async for message in stream:
            if message.HasField("backtest"):
                run = message.backtest
            elif message.HasField("progress"):
                run = _with_progress(run, message.progress)
            else:
                continue
            yield run

    async def get(self, backtest_id: str) -> pb.Backtest:
        """Return a run."""
        request = rpc.GetBacktestRequest(backtest_id=backtest_id)
        found: pb.Backtest = (await self._call("GetBacktest", request)).backtest
        return found

    async def list(
        self,
        *,
        states: Sequence[int] = (),
        strategy_id: str = "",
        label: str = "",
        limit: int | None = None,
    ) -> Sequence[pb.Backtest]:
        """Return runs, the newest first, without curves, specs and log tails."""
        request: Any = rpc.ListBacktestsRequest(
            project=self._project, strategy_id=strategy_id, label=label
        )
        request.states.extend(states)
        return [each async for each in self._pages("ListBacktests", request, "backtests", limit)]

    async def find(self, text: str) -> str:
        """Return the id of the run that is meant: an id, its first digits, or ``last``.

        Digits are looked for among the newest 500 runs.
        """
        if len(text) == 36:
            return text
        last = text == "last"
        runs = await self.list(limit=1 if last else 500)
        found = [run.backtest_id for run in runs]
        return only(found, "" if last else text, "runs", "BACKTEST_NOT_FOUND")

    async def cancel(self, backtest_id: str) -> pb.Backtest:
        """Ask a run to stop and return it; a run under way stops within a second."""
        request = rpc.CancelBacktestRequest(request_id=new_request_id(), backtest_id=backtest_id)
        run: pb.Backtest = (await self._call("CancelBacktest", request)).backtest
        return run

    async def delete(self, backtest_id: str) -> None:
        """Remove a run that has ended, and its result."""
        request = rpc.DeleteBacktestRequest(request_id=new_request_id(), backtest_id=backtest_id)
        await self._call("DeleteBacktest", request)

    async def table(self, backtest_id: str, name: str) -> pa.Table:
        """Return a table of a result: orders, fills, positions, account or equity."""
        request = rpc.ReadBacktestResultRequest(backtest_id=backtest_id, table=TABLES[name])
        return await read_table(self._chunks(request))

    async def _chunks(
        self, request: rpc.ReadBacktestResultRequest
    ) -> AsyncIterator[types_pb2.ArrowChunk]:
        async for message in self._connection.stream(self._stub.ReadBacktestResult, request):
            yield message.chunk

    async def tearsheet(self, backtest_id: str) -> bytes:
        """Return the tearsheet of a result: one HTML page of a few megabytes, UTF-8."""
        request = rpc.ReadTearsheetRequest(backtest_id=backtest_id)
        stream = self._connection.stream(self._stub.ReadTearsheet, request)
        return b"".join([message.data async for message in stream])

    async def export(
        self,
        backtest_id: str,
        folder: str | Path,
        *,
        tables: Sequence[str] = tuple(TABLES),
        format: str = "parquet",
    ) -> Sequence[Path]:
        """Write tables of a result into a folder as ``parquet`` or ``csv``; return the files."""
        written = []
        for name in tables:
            table = await self.table(backtest_id, name)
            written.append(write_table(table, Path(folder) / f"{name}.{format}"))
        return written


def _with_progress(run: pb.Backtest, progress: pb.Progress) -> pb.Backtest:
    copy = pb.Backtest()
    copy.CopyFrom(run)
    copy.progress.CopyFrom(progress)
    if copy.state == pb.BACKTEST_STATE_PENDING:
        copy.state = pb.BACKTEST_STATE_RUNNING  # only a run under way has progress
    return copy
