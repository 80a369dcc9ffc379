"""The backtest API with live strategy and market-data services: cases BT-10 to BT-20."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from integration.backtest.conftest import Bench
from integration.failures import failure
from integration.issuer import Signer
from integration.market_data.conftest import parts
from integration.strategy.conftest import opened, servicer
from mesh.backtest.v1 import backtest_pb2 as pb
from mesh.backtest.v1 import backtest_service_pb2 as rpc
from mesh.backtest.v1.backtest_service_pb2_grpc import (
    BacktestServiceStub,
    add_BacktestServiceServicer_to_server,
)
from mesh.common.v1 import enums_pb2
from mesh.common.v1.types_pb2 import Money
from mesh.marketdata.v1 import history_service_pb2 as history_rpc
from mesh.marketdata.v1 import instrument_service_pb2 as instrument_rpc
from mesh.marketdata.v1 import marketdata_pb2
from mesh.marketdata.v1.history_service_pb2_grpc import HistoryServiceStub
from mesh.marketdata.v1.instrument_service_pb2_grpc import InstrumentServiceStub
from mesh.strategy.v1 import strategy_pb2
from mesh.strategy.v1 import strategy_service_pb2 as strategy_rpc
from mesh.strategy.v1.strategy_service_pb2_grpc import (
    StrategyServiceStub,
    add_StrategyServiceServicer_to_server,
)
from meshkit.channel import channel
from meshkit.database import Database
from meshkit.publisher import Publisher
from meshkit.redis_client import open_redis
from meshkit.server import MeshServer
from meshkit.times import to_timestamp
from meshkit.watch import WatchHub
from services.backtest.archive import Archive
from services.backtest.domain import FACTS
from services.backtest.lookups import Lookups
from services.backtest.main import SERVICE
from services.backtest.servicer import Servicer
from services.backtest.store import RunStore
from services.backtest.watching import Watching
from services.market_data import events as data_events
from services.market_data import main as data_main
from services.market_data import sample
from services.market_data.config import Config as DataConfig
from services.strategy import examples

BID = "USD/JPY.SIM-1-MINUTE-BID-EXTERNAL"
ASK = "USD/JPY.SIM-1-MINUTE-ASK-EXTERNAL"
EMA = (Path(examples.__file__).parent / "ema_cross.py").read_text()
SLOW = """
import time
from services.strategy.examples.ema_cross import EmaCross, EmaCrossConfig
class Slow(EmaCross):
    def on_bar(self, bar):
        time.sleep(0.002)
        super().on_bar(bar)
"""
ENDED = {pb.BACKTEST_STATE_SUCCEEDED, pb.BACKTEST_STATE_FAILED, pb.BACKTEST_STATE_CANCELLED}
SCOPES = (
    "strategy.read",
    "strategy.write",
    "data.read",
    "data.write",
    "backtest.read",
    "backtest.run",
)


def new_id() -> str:
    """Return a new request id."""
    return str(uuid.uuid4())


@dataclass(frozen=True)
class Mesh:
    """Three services, a worker, the sample's bars and two strategies."""

    bench: Bench
    signer: Signer
    address: str
    backtests: Any
    stack: AsyncExitStack

    async def stub(self, *scopes: str, **claims: Any) -> Any:
        """Return a backtest stub of another caller."""
        token = self.signer.token(*(scopes or SCOPES), **claims)
        to = await self.stack.enter_async_context(channel(self.address, SERVICE, token=token))
        return BacktestServiceStub(to)

    async def create(self, **changes: Any) -> pb.Backtest:
        """Create a run."""
        made: pb.Backtest = (await self.backtests.CreateBacktest(request(**changes))).backtest
        return made

    async def ended(self, backtest_id: str) -> list[rpc.WatchBacktestResponse]:
        """Watch a run to its end."""
        call = self.backtests.WatchBacktest(rpc.WatchBacktestRequest(backtest_id=backtest_id))
        async with asyncio.timeout(60):
            return [message async for message in call]

    async def table(self, backtest_id: str, table: pb.ResultTable.ValueType) -> pa.Table:
        """Read a table of a result."""
        wanted = rpc.ReadBacktestResultRequest(backtest_id=backtest_id, table=table)
        data = b"".join([m.chunk.data async for m in self.backtests.ReadBacktestResult(wanted)])
        return pa.ipc.open_stream(data).read_all()


def spec(strategy_id: str = "ema", **config: Any) -> pb.BacktestSpec:
    """Return a spec on the sample's bars."""
    component = pb.ComponentSpec(strategy_id=strategy_id)
    component.config.update({"instrument_id": "USD/JPY.SIM", "bar_type": BID, "trade_size": "1000"})
    component.config.update(config)
    kind = marketdata_pb2.DATA_KIND_BAR
    return pb.BacktestSpec(
        venues=[
            pb.VenueSpec(
                name="SIM",
                oms_type=enums_pb2.OMS_TYPE_NETTING,
                account_type=enums_pb2.ACCOUNT_TYPE_MARGIN,
                base_currency="USD",
                starting_balances=[Money(amount="1000000", currency="USD")],
            )
        ],
        data=[marketdata_pb2.DataSelection(kind=kind, bar_type=side) for side in (BID, ASK)],
        components=[component],
    )


def request(given: pb.BacktestSpec | None = None, **values: Any) -> rpc.CreateBacktestRequest:
    """Return a request that creates a run."""
    return rpc.CreateBacktestRequest(**{"request_id": new_id(), "spec": given or spec(), **values})


@pytest.fixture
async def mesh(bench: Bench, tmp_path: Path) -> AsyncIterator[Mesh]:
    """Give the mesh with its data and strategies loaded, and a worker."""
    signer = Signer()
    async with AsyncExitStack() as stack:
        strategy = await _strategy_service(stack, bench, signer, f"unix:{tmp_path}/s.sock")
        data = await _data_service(stack, bench, signer, f"unix:{tmp_path}/d.sock")
        address = f"unix:{tmp_path}/b.sock"
        token = signer.token(*SCOPES, lifetime=600.0)
        to_data = await stack.enter_async_context(channel(data, token=token))
        to_strategy = await stack.enter_async_context(channel(strategy, token=token))
        await _load(to_strategy, to_data, tmp_path)
        await _backtest_service(stack, bench, signer, address, strategy, data)
        to = await stack.enter_async_context(channel(address, SERVICE, token=token))
        bench.workers.start()
        yield Mesh(bench, signer, address, BacktestServiceStub(to), stack)


async def _strategy_service(stack: AsyncExitStack, bench: Bench, signer: Signer, at: str) -> str:
    server = await stack.enter_async_context(
        MeshServer(name="strategy", listen=at, keys=signer, grace=1.0)
    )
    database = await stack.enter_async_context(opened(bench.database_url))
    add_StrategyServiceServicer_to_server(servicer(database), server.grpc)
    await server.start("mesh.strategy.v1.StrategyService")
    return at


async def _data_service(stack: AsyncExitStack, bench: Bench, signer: Signer, at: str) -> str:
    config = DataConfig(
        listen=at,
        http_listen="",
        database_url=bench.database_url,
        redis_url=bench.redis_url,
        jwks_url="",
        catalog=bench.catalog,
        uploads=bench.catalog / ".uploads",
        max_upload=2**24,
        imports=1,
    )
    database = await stack.enter_async_context(
        Database.open(bench.database_url, schema="market_data", migrations=data_main.MIGRATIONS)
    )
    client = await stack.enter_async_context(open_redis(bench.redis_url))
    server = await stack.enter_async_context(
        MeshServer(name="market-data", listen=at, keys=signer, grace=1.0)
    )
    hub = await stack.enter_async_context(
        WatchHub(database, client, [data_events.FACTS], draining=server.draining)
    )
    await data_main.add_services(stack, server, database, hub, config)
    await server.start(data_main.HISTORY, data_main.INSTRUMENTS)
    return at


async def _backtest_service(
    stack: AsyncExitStack, bench: Bench, signer: Signer, at: str, strategy: str, data: str
) -> None:
    await stack.enter_async_context(Publisher(bench.database, bench.redis))
    server = await stack.enter_async_context(
        MeshServer(name="backtest", listen=at, keys=signer, grace=1.0)
    )
    hub = await stack.enter_async_context(
        WatchHub(bench.database, bench.redis, [FACTS], draining=server.draining)
    )
    to_strategy = await stack.enter_async_context(channel(strategy))
    to_data = await stack.enter_async_context(channel(data))
    made = Servicer(
        bench.database,
        RunStore(),
        Lookups(StrategyServiceStub(to_strategy), HistoryServiceStub(to_data)),
        Archive(bench.archive),
        Watching(hub, bench.redis),
    )
    add_BacktestServiceServicer_to_server(made, server.grpc)
    await server.start(SERVICE)


async def _load(to_strategy: Any, to_data: Any, folder: Path) -> None:
    strategies: Any = StrategyServiceStub(to_strategy)
    history: Any = HistoryServiceStub(to_data)
    instruments: Any = InstrumentServiceStub(to_data)
    for definition in sample.instruments():
        await instruments.CreateInstrument(
            instrument_rpc.CreateInstrumentRequest(request_id=new_id(), definition=definition)
        )
    for file in sample.write(folder / "sample")[:2]:
        job = (await history.ImportData(parts(file.path.read_bytes(), file.spec))).job
        while not job.HasField("end_time"):
            await asyncio.sleep(0.02)
            wanted = history_rpc.GetImportJobRequest(import_id=job.import_id)
            job = (await history.GetImportJob(wanted)).job
    for name, text in (("ema", EMA), ("slow", SLOW)):
        await strategies.CreateStrategy(
            strategy_rpc.CreateStrategyRequest(
                request_id=new_id(),
                strategy_id=name,
                kind=strategy_pb2.COMPONENT_KIND_STRATEGY,
                source=strategy_pb2.StrategySource(
                    files=[strategy_pb2.SourceFile(path=f"{name}.py", text=text)]
                ),
            )
        )


async def test_bt10_a_run_from_create_to_tables(mesh: Mesh) -> None:
    """BT-10: create, watch to the end, read every table and the tearsheet, and the manifest."""
    made = await mesh.create(name="first", labels={"team": "fx"})
    assert made.state == pb.BACKTEST_STATE_PENDING
    told = await mesh.ended(made.backtest_id)
    assert told[0].backtest.backtest_id == made.backtest_id
    last = told[-1].backtest
    assert last.state == pb.BACKTEST_STATE_SUCCEEDED, last.failure
    assert last.result.total_orders > 20
    assert last.result.iterations == 2 * sample.BARS
    assert len(last.manifest.components[0].version) == 64
    assert last.manifest.versions["nautilus_trader"] == "1.231.0"
    assert last.result.equity[0].currency == "USD"
    for table in pb.ResultTable.values()[1:]:
        rows = await mesh.table(last.backtest_id, table)
        name = pb.ResultTable.Name(table).removeprefix("RESULT_TABLE_").lower()
        assert rows.num_rows == last.result.table_rows[name] > 0
    wanted = rpc.ReadTearsheetRequest(backtest_id=last.backtest_id)
    page = b"".join([m.data async for m in mesh.backtests.ReadTearsheet(wanted)])
    assert page.lstrip().startswith(b"<")
    assert b"plotly" in page


async def test_bt11_equal_runs_are_equal(mesh: Mesh) -> None:
    """BT-11: the same spec twice has the same hashes, orders and balances."""
    runs = [await mesh.create() for _ in range(2)]
    ends = [(await mesh.ended(run.backtest_id))[-1].backtest for run in runs]
    assert ends[0].manifest == ends[1].manifest
    assert ends[0].result.accounts == ends[1].result.accounts
    orders = [await mesh.table(e.backtest_id, pb.RESULT_TABLE_ORDERS) for e in ends]
    assert orders[0].drop(["init_id"]) == orders[1].drop(["init_id"])


async def test_bt12_cancel_and_delete(mesh: Mesh) -> None:
    """BT-12: a run is cancelled while it runs; one that ended is deleted with its result."""
    made = await mesh.create(given=spec("slow"))
    stream = mesh.backtests.WatchBacktest(rpc.WatchBacktestRequest(backtest_id=made.backtest_id))
    async with asyncio.timeout(60):
        while (message := await stream.read()).progress.events == 0:
            pass
    assert message.progress.fraction < 1
    early = await failure(
        mesh.backtests.DeleteBacktest(
            rpc.DeleteBacktestRequest(request_id=new_id(), backtest_id=made.backtest_id)
        )
    )
    assert early.reason == "BACKTEST_NOT_ENDED"
    cancel = rpc.CancelBacktestRequest(request_id=new_id(), backtest_id=made.backtest_id)
    await mesh.backtests.CancelBacktest(cancel)
    assert (await mesh.ended(made.backtest_id))[-1].backtest.state == pb.BACKTEST_STATE_CANCELLED
    done = await mesh.create()
    await mesh.ended(done.backtest_id)
    late = rpc.CancelBacktestRequest(request_id=new_id(), backtest_id=done.backtest_id)
    assert (await failure(mesh.backtests.CancelBacktest(late))).reason == "BACKTEST_ENDED"
    delete = rpc.DeleteBacktestRequest(request_id=new_id(), backtest_id=done.backtest_id)
    await mesh.backtests.DeleteBacktest(delete)
    gone = await failure(
        mesh.backtests.GetBacktest(rpc.GetBacktestRequest(backtest_id=done.backtest_id))
    )
    assert (gone.code, gone.reason) == ("NOT_FOUND", "BACKTEST_NOT_FOUND")
    assert not (mesh.bench.archive / "default" / done.backtest_id).exists()


async def test_bt13_a_watch_resumes_by_cursor(mesh: Mesh) -> None:
    """BT-13: after its first cursor a watcher gets each later state once, and a bad one is told."""
    made = await mesh.create()
    wanted = rpc.WatchBacktestRequest(backtest_id=made.backtest_id)
    stream = mesh.backtests.WatchBacktest(wanted)
    first = await stream.read()
    stream.cancel()
    wanted.after_cursor = first.cursor
    told = [m async for m in mesh.backtests.WatchBacktest(wanted) if m.HasField("backtest")]
    states = [m.backtest.state for m in told]
    assert states[-1] == pb.BACKTEST_STATE_SUCCEEDED
    assert len(states) == len(set(states))
    wanted.after_cursor = "nonsense"
    assert (await failure(mesh.backtests.WatchBacktest(wanted).read())).reason == "INVALID_CURSOR"
    other = await mesh.create()
    wanted = rpc.WatchBacktestRequest(backtest_id=other.backtest_id, after_cursor=first.cursor)
    assert (await failure(mesh.backtests.WatchBacktest(wanted).read())).reason == "INVALID_CURSOR"


async def test_bt14_lists_page_and_filter(mesh: Mesh) -> None:
    """BT-14: runs are listed newest first, by page, state, strategy and label."""
    made = [await mesh.create(labels={"n": str(i)}) for i in range(3)]
    first = await mesh.backtests.ListBacktests(rpc.ListBacktestsRequest(page_size=2))
    token = first.next_page_token
    second = await mesh.backtests.ListBacktests(
        rpc.ListBacktestsRequest(page_size=2, page_token=token)
    )
    ids = [b.backtest_id for b in (*first.backtests, *second.backtests)]
    assert ids == [b.backtest_id for b in reversed(made)]
    labelled = await mesh.backtests.ListBacktests(rpc.ListBacktestsRequest(label="n=1"))
    assert [b.backtest_id for b in labelled.backtests] == [made[1].backtest_id]
    nothing = rpc.ListBacktestsRequest(strategy_id="slow")
    assert not (await mesh.backtests.ListBacktests(nothing)).backtests
    refused = await failure(
        mesh.backtests.ListBacktests(rpc.ListBacktestsRequest(label="n=1", page_token=token))
    )
    assert refused.reason == "INVALID_PAGE_TOKEN"


def _bad(change: Any) -> pb.BacktestSpec:
    made = spec()
    change(made)
    return made


def _late(made: pb.BacktestSpec) -> None:
    made.range.start.CopyFrom(to_timestamp(sample.START + 10_000 * 86_400 * 10**9))


BAD_SPECS: list[tuple[pb.BacktestSpec, str, str, set[str]]] = [
    (spec("nothing"), "NOT_FOUND", "STRATEGY_NOT_FOUND", set()),
    (
        _bad(lambda s: setattr(s.components[0], "version", "0" * 64)),
        "NOT_FOUND",
        "STRATEGY_VERSION_NOT_FOUND",
        set(),
    ),
    (
        spec(fast_ema_period=0),
        "INVALID_ARGUMENT",
        "STRATEGY_CONFIG_INVALID",
        {"spec.components[0].config.fast_ema_period"},
    ),
    (
        _bad(lambda s: setattr(s.venues[0].starting_balances[0], "amount", "1e6")),
        "INVALID_ARGUMENT",
        "INVALID_FIELD",
        {"spec.venues[0].starting_balances[0].amount"},
    ),
    (
        _bad(lambda s: setattr(s.venues[0], "oms_type", 99)),
        "INVALID_ARGUMENT",
        "INVALID_FIELD",
        {"spec.venues[0].oms_type"},
    ),
    (
        _bad(lambda s: setattr(s.venues[0], "name", "OTHER")),
        "INVALID_ARGUMENT",
        "BACKTEST_SPEC_INVALID",
        {"data[0].instrument_id", "data[1].instrument_id"},
    ),
    (
        _bad(lambda s: setattr(s.data[0], "bar_type", "EUR/USD.SIM-1-MINUTE-BID-EXTERNAL")),
        "NOT_FOUND",
        "NO_DATA",
        set(),
    ),
    (
        _bad(lambda s: setattr(s.data[0], "bar_type", "GBP/USD.SIM-1-MINUTE-BID-EXTERNAL")),
        "NOT_FOUND",
        "INSTRUMENT_NOT_FOUND",
        set(),
    ),
    (_bad(_late), "OUT_OF_RANGE", "RANGE_OUTSIDE_COVERAGE", set()),
]


async def test_bt15_a_bad_spec_starts_nothing(mesh: Mesh) -> None:
    """BT-15: each fault of a spec has its typed error, and no run is made."""
    for given, code, reason, fields in BAD_SPECS:
        got = await failure(mesh.backtests.CreateBacktest(request(given)))
        assert (got.code, got.reason) == (code, reason)
        assert fields <= set(got.fields)
    assert not (await mesh.backtests.ListBacktests(rpc.ListBacktestsRequest())).backtests


async def test_bt16_requests_projects_and_scopes(mesh: Mesh) -> None:
    """BT-16: a repeated request is one run; other projects and lesser tokens see nothing."""
    asked = request()
    first = await mesh.backtests.CreateBacktest(asked)
    assert await mesh.backtests.CreateBacktest(asked) == first
    changed = request(name="other", request_id=asked.request_id)
    assert (await failure(mesh.backtests.CreateBacktest(changed))).reason == "REQUEST_ID_REUSED"
    wanted = rpc.GetBacktestRequest(backtest_id=first.backtest.backtest_id)
    stranger = await mesh.stub(projects=["other"])
    assert (await failure(stranger.GetBacktest(wanted))).reason == "BACKTEST_NOT_FOUND"
    reader = await mesh.stub("backtest.read")
    assert (await reader.GetBacktest(wanted)).backtest.backtest_id == wanted.backtest_id
    assert (await failure(reader.CreateBacktest(request()))).reason == "SCOPE_MISSING"
    runner = await mesh.stub("backtest.run")
    lacking = await failure(runner.CreateBacktest(request()))
    assert (lacking.code, lacking.reason) == ("PERMISSION_DENIED", "SCOPE_MISSING")


async def test_bt17_results_before_their_time(mesh: Mesh) -> None:
    """BT-17: a result that is not ready is told; an unknown table is refused by its field."""
    made = await mesh.create(given=spec("slow"))
    wanted = rpc.ReadBacktestResultRequest(
        backtest_id=made.backtest_id, table=pb.RESULT_TABLE_ORDERS
    )
    assert (
        await failure(mesh.backtests.ReadBacktestResult(wanted).read())
    ).reason == "RESULT_NOT_READY"
    wanted.table = 77  # type: ignore[assignment]  # on purpose
    got = await failure(mesh.backtests.ReadBacktestResult(wanted).read())
    assert set(got.fields) == {"table"}
