"""The live-execution service of the tests' own, with real stores, a real strategy service where it
is needed, and processes of traders that have no engine.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from integration.issuer import Signer
from integration.live_execution.api.api_process import SMALL
from mesh.common.v1.types_pb2 import Money
from mesh.execution.v1 import credential_service_pb2 as credential_rpc
from mesh.execution.v1 import trader_pb2 as pb
from mesh.execution.v1 import trader_service_pb2 as rpc
from mesh.execution.v1.credential_service_pb2_grpc import CredentialServiceStub
from mesh.execution.v1.trader_service_pb2_grpc import TraderServiceStub
from mesh.marketdata.v1 import feed_service_pb2 as feeds
from mesh.marketdata.v1 import feed_service_pb2_grpc as feed_stubs
from mesh.marketdata.v1.live_pb2 import Feed
from meshkit.channel import channel
from meshkit.database import Database
from meshkit.errors import NotFound
from meshkit.server import MeshServer
from services.live_execution.config import Config
from services.live_execution.main import MIGRATIONS, opened

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
SECONDS = 30.0
SCOPES = (
    "trader.read",
    "trader.write",
    "strategy.read",
    "strategy.write",
    "data.read",
    "credential.read",
    "credential.write",
)
QUICK = {
    "MESH_TRADER_BACK_OFF_S": "0.05",
    "MESH_TRADER_LEASE_S": "1",
    "MESH_TRADER_MARGIN_S": "0.2",
    "MESH_TRADER_SILENCE_S": "0.5",
    "MESH_TRADER_STOP_S": "1",
    "MESH_TRADER_SETTLE_S": "5",
    "MESH_TRADER_DEATHS": "4",
}
SCHEMA = {
    "type": "object",
    "properties": {"account_type": {"enum": ["SPOT", "USDT_FUTURES"]}, "testnet": {}},
    "additionalProperties": False,
}
FEEDS = {"binance": "BINANCE", "sample": "REPLAY"}

_Base: Any = feed_stubs.FeedServiceServicer  # its stub is abstract; two methods are enough here


def new_id() -> str:
    """Return a new request id."""
    return str(uuid.uuid4())


async def until[T](look: Callable[[], Awaitable[T | None]], seconds: float = SECONDS) -> T:
    """Await a look until it returns something true, within a bound."""
    async with asyncio.timeout(seconds):
        while not (found := await look()):
            await asyncio.sleep(0.02)
        return found


class Missing(NotFound):
    """What market-data answers for what it does not have."""

    def __init__(self, reason: str) -> None:
        super().__init__("There is none.")
        self.reason = reason  # type: ignore[misc]  # one class for two reasons is enough here


class MarketData(_Base):
    """A market-data that knows a venue and two feeds."""

    async def GetVenue(self, request: Any, _: Any) -> Any:  # noqa: N802 # the contract's
        """Return a venue."""
        if request.venue not in ("BINANCE", "NEWS"):
            raise Missing("VENUE_NOT_FOUND")
        trades = request.venue == "BINANCE"
        secret = [feeds.VenueCredential(field=each) for each in ("api_key", "api_secret")]
        return feeds.GetVenueResponse(
            venue=feeds.Venue(
                venue=request.venue,
                data=True,
                execution=trades,
                available=True,
                credentials=secret if trades else (),
                exec_config_schema=json.dumps(SCHEMA) if trades else "",
            )
        )

    async def GetFeed(self, request: Any, _: Any) -> Any:  # noqa: N802 # the contract's
        """Return a feed."""
        if request.feed_id not in FEEDS:
            raise Missing("FEED_NOT_FOUND")
        made = Feed(feed_id=request.feed_id, venue=FEEDS[request.feed_id])
        return feeds.GetFeedResponse(feed=made)


def sandbox(venue: str = "BINANCE") -> pb.TraderVenue:
    """Return a simulated account."""
    balances = [Money(amount="100000", currency="USDT")]
    return pb.TraderVenue(venue=venue, sandbox=pb.SandboxVenue(starting_balances=balances))


def live(credential_id: str = "main", adapter: str = "BINANCE") -> pb.TraderVenue:
    """Return a real account."""
    account = pb.LiveVenue(adapter=adapter, credential_id=credential_id)
    return pb.TraderVenue(venue="BINANCE", live=account)


def spec(*does: str, **more: Any) -> pb.TraderSpec:
    """Return a spec whose small trader does something (``DIE``, ``GIVEUP``, …)."""
    data = pb.DataSource(
        mesh=pb.MeshData(feed_id="binance"), instrument_ids=[f"{each}.X" for each in does]
    )
    return pb.TraderSpec(**{"venues": [sandbox()], "data": data, **more})


@dataclass
class Api:
    """The service as processes, with stubs to it, its database and its folder."""

    environment: dict[str, str]
    signer: Signer
    database: Database
    folder: Path
    stack: AsyncExitStack
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    traders: Any = None
    credentials: Any = None
    listen: str = ""

    async def start(self, name: str = "api", **more: str) -> "subprocess.Popen[bytes]":
        """Start a process of the service, and wait until it serves."""
        self.listen = f"unix:{self.folder}/{name}.sock"
        values = {**self.environment, **more, "MESH_LISTEN": self.listen}
        log = (self.folder / f"{name}.log").open("ab")
        process = subprocess.Popen(  # noqa: ASYNC220 # the test needs it as soon as it is there
            [sys.executable, str(HERE / "api_process.py"), json.dumps([values, self.signer.jwk])],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT}/libs:{ROOT}/tests"},
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self.processes.append(process)
        await self.connect(name)
        await until(lambda: self._serves(process))
        return process

    async def start_inside(self) -> None:
        """Serve in this process; its traders end with it."""
        self.listen = f"unix:{self.folder}/api.sock"
        values = {"MESH_LISTEN": self.listen, "MESH_TRADERS_STAY": "false"}
        config = Config.read({**self.environment, **values})
        await self.stack.enter_async_context(opened(config, self.signer, SMALL))
        await self.connect("api")

    async def connect(self, name: str) -> None:
        """Talk to this process of the service from now on."""
        self.listen = f"unix:{self.folder}/{name}.sock"
        self.traders = await self.stub()
        self.credentials = CredentialServiceStub(await self.channel())

    async def _serves(self, process: "subprocess.Popen[bytes]") -> bool:
        assert process.poll() is None, (self.folder / "api.log").read_text()
        with suppress(Exception):
            await self.traders.ListTraders(rpc.ListTradersRequest(), timeout=2)
            return True
        return False

    async def channel(self, *scopes: str, **claims: Any) -> Any:
        """Return a channel of a caller."""
        token = self.signer.token(*(scopes or SCOPES), **{"lifetime": 600.0, **claims})
        options = [("grpc.use_local_subchannel_pool", 1)]
        opened = channel(self.listen, token=token, options=options)
        return await self.stack.enter_async_context(opened)

    async def stub(self, *scopes: str, **claims: Any) -> Any:
        """Return a stub of a caller."""
        return TraderServiceStub(await self.channel(*scopes, **claims))

    def kill(self, process: "subprocess.Popen[bytes]") -> None:
        """Kill -9 a process of the service."""
        process.kill()
        process.wait()

    async def create(self, trader_id: str = "T-1", *does: str, **more: Any) -> pb.Trader:
        """Create a trader that starts."""
        request = rpc.CreateTraderRequest(
            **{
                "request_id": new_id(),
                "trader_id": trader_id,
                "spec": spec(*does),
                "start": True,
                **more,
            }
        )
        made: pb.Trader = (await self.traders.CreateTrader(request)).trader
        return made

    async def get(self, trader_id: str = "T-1") -> pb.Trader:
        """Return a trader."""
        found = await self.traders.GetTrader(rpc.GetTraderRequest(trader_id=trader_id))
        trader: pb.Trader = found.trader
        return trader

    async def reaches(self, state: str, trader_id: str = "T-1", *, fence: int = 0) -> pb.Trader:
        """Wait until a trader has a state, and return it; with a fence above one."""
        wanted = pb.TraderState.Value(f"TRADER_STATE_{state}")

        async def look() -> pb.Trader | None:
            found = await self.get(trader_id)
            return found if found.state == wanted and found.process.fence >= fence else None

        try:
            return await until(look)
        except TimeoutError:
            raise AssertionError(await self.get(trader_id)) from None

    async def log(self, trader_id: str = "T-1", **more: Any) -> list[str]:
        """Return the lines of a trader's log."""
        request = rpc.ReadTraderLogRequest(trader_id=trader_id, **more)
        return [line async for m in self.traders.ReadTraderLog(request) for line in m.lines]

    async def gone(self, trader_id: str) -> pb.Trader | None:
        """Return a trader that has no process and is not to have one, else None."""
        found = await self.get(trader_id)
        return None if found.wanted or found.process.pid else found

    async def keeper(self) -> "subprocess.Popen[bytes] | None":
        """Return the process of the service that keeps the traders."""
        async with self.database.connection() as tx:
            pid = await tx.fetchval("SELECT pid FROM keepers WHERE until > now()")
        return next((each for each in self.processes if each.pid == pid), None)

    async def is_over(self, process: "subprocess.Popen[bytes]") -> bool:
        """Whether a process has ended."""
        return process.poll() is not None

    def trader_processes(self) -> int:
        """Return how many processes of this test's traders live."""
        found = 0
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                found += b"default/" in entry.read_bytes() and self._is_ours(entry.parent)
        return found

    def _is_ours(self, process: Path) -> bool:
        return str(self.folder) in str((process / "fd" / "1").readlink())

    async def want_safety(self, trader_id: str, *, on: bool) -> None:
        """Want a trader in safety mode, or no longer, as a flatten does."""
        async with self.database.connection() as tx:
            await tx.execute(
                "UPDATE traders SET wanted = true, safety_mode = $2 WHERE trader_id = $1",
                trader_id,
                on,
            )

    async def credential(self, credential_id: str = "main", **more: Any) -> None:
        """Store a credential of the venue."""
        await self.credentials.CreateCredential(
            credential_rpc.CreateCredentialRequest(
                request_id=new_id(),
                credential_id=credential_id,
                adapter="BINANCE",
                secrets={"api_key": "k", "api_secret": "s"},
                **more,
            )
        )

    async def end(self) -> None:
        """End the processes of the service, then those of its traders."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        async with self.database.connection() as tx:
            pids = [row["pid"] for row in await tx.fetch("SELECT pid FROM traders WHERE pid > 0")]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


@pytest.fixture
async def unserved(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """Give a live-execution that does not serve yet, with a market-data beside it."""
    signer = Signer()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            MeshServer(name="m", listen=f"unix:{tmp_path}/m.sock", keys=signer, grace=1.0)
        )
        feed_stubs.add_FeedServiceServicer_to_server(MarketData(), server.grpc)
        await server.start("mesh.marketdata.v1.FeedService")
        database = await stack.enter_async_context(
            Database.open(database_url, schema="live_execution", migrations=MIGRATIONS)
        )
        environment = {
            **QUICK,
            "MESH_DATABASE_URL": database_url,
            "MESH_REDIS_URL": redis_url,
            "MESH_JWKS_URL": "http://127.0.0.1:1/none",
            "MESH_STRATEGY_ADDRESS": f"unix:{tmp_path}/s.sock",
            "MESH_MARKET_DATA_ADDRESS": server.listen,
            "MESH_TRADERS": str(tmp_path / "traders"),
            "MESH_TRADER_MESH_ADDRESS": "unix:/none",
            "MESH_TRADER_TOKEN": "token",
            "MESH_CREDENTIAL_KEY_FILE": str(tmp_path / "credentials.key"),
            "MESH_LATCH_REDIS_URL": redis_url,
        }
        made = Api(environment, signer, database, tmp_path, stack)
        stack.push_async_callback(made.end)
        yield made


@pytest.fixture
async def api(unserved: Api) -> Api:
    """Give one that serves in this process."""
    await unserved.start_inside()
    return unserved


@pytest.fixture
async def killable(unserved: Api) -> Api:
    """Give one that serves in a process of its own."""
    await unserved.start()
    return unserved
