"""The backtest API with live strategy and market-data services, for tests."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from integration.backtest.conftest import Bench
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


@asynccontextmanager
async def opened_mesh(bench: Bench, tmp_path: Path) -> AsyncIterator[Mesh]:
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
