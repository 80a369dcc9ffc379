"""A gateway of the tests' own: Envoy, the auth service, and two services behind them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest

from integration.gateway.upstream import Backtests, Strategies
from mesh.backtest.v1.backtest_service_pb2_grpc import add_BacktestServiceServicer_to_server
from mesh.gateway.v1 import auth_service_pb2 as rpc
from mesh.gateway.v1.auth_service_pb2_grpc import AuthServiceStub
from mesh.strategy.v1.strategy_service_pb2_grpc import add_StrategyServiceServicer_to_server
from meshkit.server import MeshServer
from services.gateway.config import Config
from services.gateway.envoy import Gateway, Limits, Tls, command, write
from services.gateway.main import JWKS_PATH, open_server

STRATEGY = "mesh.strategy.v1.StrategyService"
BACKTEST = "mesh.backtest.v1.BacktestService"
ORIGIN = "https://app.example"


@dataclass
class Gate:
    """A serving gateway: where it is, and what stands behind it."""

    folder: Path
    address: str
    status: str
    admin_key: str
    strategies: Strategies
    backtests: Backtests
    behind: dict[str, MeshServer]
    stack: AsyncExitStack
    rest: httpx.AsyncClient = field(init=False)

    @property
    def access_log(self) -> str:
        """What Envoy has logged so far."""
        return (self.folder / "access.log").read_text()

    async def logged(self, text: str) -> str:
        """Return what Envoy has logged once ``text`` is in it; it writes once a second."""
        await until(lambda: text in self.access_log)
        return self.access_log

    async def stub(self, kind: Callable[[Any], Any], address: str = "") -> Any:
        """Return a stub on a plain channel, without any help of meshkit's."""
        to = grpc.aio.insecure_channel(address or self.address)
        self.stack.push_async_callback(to.close)
        return kind(to)

    async def token(self, *scopes: str, key: str = "") -> str:
        """Exchange a key, the admin's unless told otherwise, for a token with these scopes."""
        auth = await self.stub(AuthServiceStub)
        request = rpc.ExchangeApiKeyRequest(api_key=key or self.admin_key, scopes=scopes)
        reply: rpc.ExchangeApiKeyResponse = await auth.ExchangeApiKey(request)
        return reply.token

    async def headers(self, *scopes: str) -> dict[str, str]:
        """Return REST headers with a token of these scopes."""
        return {"authorization": f"Bearer {await self.token(*scopes)}"}


Open = Callable[..., Any]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, at most 20 seconds."""
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.05)
    pytest.fail("the condition did not come true in 20 seconds")


def free_address() -> str:
    """Return a loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def open_gate(database_url: str, tmp_path: Path) -> Open:
    """Give ``open_gate(token_seconds=, limits=, tls=)``, an async context manager of a ``Gate``."""

    @asynccontextmanager
    async def opened(
        token_seconds: int = 300, limits: Limits | None = None, tls: Tls | None = None
    ) -> AsyncIterator[Gate]:
        async with AsyncExitStack() as stack:
            config = Config(
                listen=f"unix:{tmp_path}/auth.sock",
                http_listen="127.0.0.1:0",
                database_url=database_url,
                key_file=tmp_path / "auth.key",
                first_key_file=tmp_path / "first",
                token_seconds=token_seconds,
                limits=limits or Limits(),
            )
            auth = await open_server(config, stack)
            keys = f"http://{auth.http_address}{JWKS_PATH}"
            strategies = Strategies()  # type: ignore[abstract]  # serves only what the tests ask
            backtests = Backtests()  # type: ignore[abstract]  # the same
            strategy = await _serve(stack, tmp_path, "strategy", keys)
            add_StrategyServiceServicer_to_server(strategies, strategy.grpc)
            await strategy.start(STRATEGY)
            backtest = await _serve(stack, tmp_path, "backtest", keys)
            add_BacktestServiceServicer_to_server(backtests, backtest.grpc)
            await backtest.start(BACKTEST)
            gateway = Gateway(
                upstreams={
                    "auth": auth.listen,
                    "strategy": strategy.listen,
                    "backtest": backtest.listen,
                    "market-data": f"unix:{tmp_path}/nobody.sock",
                    "live-execution": f"unix:{tmp_path}/nobody.sock",
                },
                jwks=keys,
                admin_socket=f"{tmp_path}/admin.sock",
                listen=free_address(),
                status_listen=free_address(),
                access_log=f"{tmp_path}/access.log",
                cors_origins=(ORIGIN,),
                limits=config.limits,
                tls=tls,
            )
            await stack.enter_async_context(_envoy(gateway, tmp_path))
            gate = Gate(
                folder=tmp_path,
                address=gateway.listen,
                status=gateway.status_listen,
                admin_key=(tmp_path / "first").read_text().strip(),
                strategies=strategies,
                backtests=backtests,
                behind={"auth": auth, "strategy": strategy, "backtest": backtest},
                stack=stack,
            )
            gate.rest = await stack.enter_async_context(
                httpx.AsyncClient(base_url=f"http://{gate.address}", timeout=20)
            )
            yield gate

    return opened


@pytest.fixture
async def gate(open_gate: Open) -> AsyncIterator[Gate]:
    """Give a serving gateway with the limits and lifetimes that ship."""
    async with open_gate() as opened:
        yield opened


async def _serve(stack: AsyncExitStack, folder: Path, name: str, keys: str) -> MeshServer:
    return await stack.enter_async_context(
        MeshServer(name=name, listen=f"unix:{folder}/{name}.sock", keys=keys, grace=1.0)
    )


@asynccontextmanager
async def _envoy(gateway: Gateway, folder: Path) -> AsyncIterator[None]:
    """Run Envoy until the block ends; it is ready when ``/ready`` says so."""
    bootstrap = write(gateway, folder / "envoy.json")
    with (folder / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command(bootstrap, concurrency=1), stdout=log, stderr=log
        )
    try:
        await _until_ready(gateway, folder / "envoy.log", process)
        yield
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 10)


async def _until_ready(gateway: Gateway, log: Path, process: asyncio.subprocess.Process) -> None:
    async with httpx.AsyncClient() as client:
        for _ in range(1000):
            if process.returncode is not None:
                break
            try:
                if (await client.get(f"http://{gateway.status_listen}/ready")).is_success:
                    return
            except httpx.TransportError:
                pass  # it does not listen yet
            await asyncio.sleep(0.02)
    pytest.fail(f"Envoy is not ready: {log.read_text()}")
