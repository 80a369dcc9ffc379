"""A market-data service of the tests' own, with real stores."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from integration.issuer import Signer
from mesh.marketdata.v1 import history_service_pb2 as rpc
from mesh.marketdata.v1 import instrument_service_pb2 as instrument_rpc
from mesh.marketdata.v1 import marketdata_pb2 as pb
from mesh.marketdata.v1.history_service_pb2_grpc import HistoryServiceStub
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from mesh.marketdata.v1.instrument_service_pb2_grpc import InstrumentServiceStub
from meshkit.channel import channel
from meshkit.database import Database
from meshkit.publisher import Publisher
from meshkit.redis_client import open_redis
from meshkit.server import MeshServer
from meshkit.watch import WatchHub
from services.market_data import events
from services.market_data.config import Config
from services.market_data.main import HISTORY, INSTRUMENTS, MIGRATIONS, add_services

FINAL = (pb.IMPORT_STATE_SUCCEEDED, pb.IMPORT_STATE_FAILED, pb.IMPORT_STATE_CANCELLED)


def new_id() -> str:
    """Return a new request id."""
    return str(uuid.uuid4())


@dataclass(frozen=True)
class Served:
    """A serving service and stubs of a caller who may do everything."""

    address: str
    signer: Signer
    catalog: Path
    config: Config
    database_url: str
    history: Any
    instruments: Any
    stack: AsyncExitStack

    async def stub(self, *scopes: str, **claims: Any) -> Any:
        """Return a history stub of another caller."""
        token = self.signer.token(*(scopes or ("data.read", "data.write")), **claims)
        to = await self.stack.enter_async_context(channel(self.address, HISTORY, token=token))
        return HistoryServiceStub(to)

    async def create(self, *definitions: InstrumentDefinition) -> None:
        """Create instruments."""
        for definition in definitions:
            await self.instruments.CreateInstrument(
                instrument_rpc.CreateInstrumentRequest(request_id=new_id(), definition=definition)
            )

    async def load(self, content: bytes, spec: pb.ImportSpec, **more: Any) -> pb.ImportJob:
        """Upload a file and wait for the end of its import."""
        job: pb.ImportJob = (await self.history.ImportData(parts(content, spec, **more))).job
        async with asyncio.timeout(60):
            while job.state not in FINAL:
                await asyncio.sleep(0.02)
                request = rpc.GetImportJobRequest(import_id=job.import_id)
                job = (await self.history.GetImportJob(request)).job
        return job

    async def read(self, selection: pb.DataSelection, **more: Any) -> pa.Table:
        """Read history as a table."""
        request = rpc.ReadHistoryRequest(selection=selection, **more)
        data = b"".join([m.chunk.data async for m in self.history.ReadHistory(request)])
        return pa.ipc.open_stream(data).read_all()


async def parts(
    content: bytes, spec: pb.ImportSpec, *, request_id: str = "", end: bool = True
) -> AsyncIterator[rpc.ImportDataRequest]:
    """Yield the parts of an upload."""
    header = rpc.ImportHeader(request_id=request_id or new_id(), spec=spec, file_name="f.csv")
    yield rpc.ImportDataRequest(header=header)
    for start in range(0, len(content), 2**18):
        yield rpc.ImportDataRequest(chunk=content[start : start + 2**18])
    if end:
        sha256 = hashlib.sha256(content).hexdigest()
        yield rpc.ImportDataRequest(end=rpc.ImportEnd(size=len(content), sha256=sha256))


@pytest.fixture
async def served(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Served]:
    """Give a serving market-data service."""
    signer = Signer()
    config = Config(
        listen=f"unix:{tmp_path}/m.sock",
        http_listen="",
        database_url=database_url,
        redis_url=redis_url,
        jwks_url="",
        catalog=tmp_path / "catalog",
        uploads=tmp_path / "uploads",
        max_upload=2**24,
        imports=1,
    )
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database.open(database_url, schema="market_data", migrations=MIGRATIONS)
        )
        client = await stack.enter_async_context(open_redis(redis_url))
        await stack.enter_async_context(Publisher(database, client))
        server = await stack.enter_async_context(
            MeshServer(name="market-data", listen=config.listen, keys=signer, grace=1.0)
        )
        hub = await stack.enter_async_context(
            WatchHub(database, client, [events.FACTS], draining=server.draining)
        )
        await add_services(stack, server, database, hub, config)
        await server.start(HISTORY, INSTRUMENTS)
        token = signer.token("data.read", "data.write")
        to = await stack.enter_async_context(
            channel(config.listen, HISTORY, INSTRUMENTS, token=token)
        )
        yield Served(
            config.listen,
            signer,
            config.catalog,
            config,
            database_url,
            HistoryServiceStub(to),
            InstrumentServiceStub(to),
            stack,
        )
