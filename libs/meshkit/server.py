"""The server of every service: gRPC, health, reflection, metrics, and a drain that ends in time."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import grpc.aio
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from meshkit import logs
from meshkit.config import ConfigError
from meshkit.metrics import HttpPort, Route
from meshkit.pipeline import Pipeline
from meshkit.tokens import Keys, RemoteKeys, Verifier

log = logging.getLogger("meshkit.server")

OPTIONS = [
    ("grpc.so_reuseport", 0),  # a taken port is an error, not a silent second listener
    ("grpc.max_receive_message_length", 16 * 2**20),
    ("grpc.max_send_message_length", 16 * 2**20),
    ("grpc.max_metadata_size", 16 * 2**10),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
]


class MeshServer:
    """A gRPC server with everything around it; ``async with``, add servicers, ``start``, ``wait``.

    Parameters
    ----------
    listen
        ``unix:/path/x.sock`` (made 0600) or ``host:port``.
    http_listen
        ``host:port`` of ``/metrics``, ``/healthz`` and ``http_routes``; empty for none.
    keys
        Where public keys come from, or the URL of the auth service's key set.
    grace
        Seconds that calls under way are given when the server drains.

    """

    def __init__(
        self,
        *,
        name: str,
        listen: str,
        keys: Keys | str,
        http_listen: str = "",
        http_routes: Mapping[str, Route] | None = None,
        grace: float = 10.0,
    ) -> None:
        self.name = name
        self.listen = listen
        self.address = listen
        self.http_address = ""
        self.draining = asyncio.Event()
        self._grace = grace
        self._http_listen = http_listen
        self._http_routes = dict(http_routes or {})
        self._stack = AsyncExitStack()
        self._services: tuple[str, ...] = ()
        self._health = HealthServicer()
        verifier = Verifier(RemoteKeys(keys) if isinstance(keys, str) else keys)
        self.grpc = grpc.aio.server(interceptors=[Pipeline(verifier)], options=OPTIONS)

    async def __aenter__(self) -> "MeshServer":
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drain()
        await self._stack.aclose()

    async def start(self, *services: str) -> None:
        """Begin to serve; ``services`` are the full names that health and reflection list."""
        self._services = services
        names = (*services, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), self.grpc)
        self._bind()
        if self._http_listen:
            port = self._stack.enter_context(self._http_port())
            self.http_address = port.address
        await self.grpc.start()
        await self._say(health_pb2.HealthCheckResponse.SERVING)
        log.info("serving", extra={"address": self.address})

    async def wait(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain."""
        await stop_signal().wait()
        await self.drain()

    async def drain(self) -> None:
        """Refuse new work, end streams, give calls under way their grace, stop."""
        if self.draining.is_set():
            return
        self.draining.set()
        await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        await self.grpc.stop(self._grace)

    def _bind(self) -> None:
        path = Path(self.listen.removeprefix("unix:")) if self.listen.startswith("unix:") else None
        try:
            port = self.grpc.add_insecure_port(self.listen)
        except RuntimeError:
            raise ConfigError(
                [f"{self.name} cannot listen on {self.listen}: taken or not allowed"]
            ) from None
        if path is not None:
            path.chmod(0o600)  # its folder is 0700: nobody came in between
        else:
            self.address = f"{self.listen.rpartition(':')[0]}:{port}"

    def _http_port(self) -> HttpPort:
        return open_http_port(self.name, self._http_listen, self._http_routes)

    async def _say(self, status: int) -> None:
        for service in ("", *self._services):
            await self._health.set(service, status)


def stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM or SIGINT sets."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def open_http_port(name: str, listen: str, routes: Mapping[str, Route]) -> HttpPort:
    """Bind a service's HTTP port; raises ``ConfigError`` when it is taken."""
    try:
        return HttpPort(listen, routes)
    except OSError as error:
        raise ConfigError([f"{name} cannot serve metrics on {listen}: {error.strerror}"]) from None


@asynccontextmanager
async def until_told_to_stop(name: str, http_listen: str) -> AsyncIterator[asyncio.Event]:
    """Give the stop event of a process without a gRPC port, with metrics while it lasts."""
    with ExitStack() as stack:
        if http_listen:
            stack.enter_context(open_http_port(name, http_listen, {}))
        yield stop_signal()


def run(name: str, main: Callable[[], Awaitable[None]], *, level: str = "INFO") -> None:
    """Run a service's ``main`` on uvloop with JSON logs; a bad configuration is a list, not a
    traceback.
    """
    logs.configure(name, level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_as_coroutine(main))
    except ConfigError as error:
        print(
            f"{name} cannot start:", *(f"  - {f}" for f in error.faults), sep="\n", file=sys.stderr
        )
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


async def _as_coroutine(main: Callable[[], Awaitable[None]]) -> None:
    await main()
