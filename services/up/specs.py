"""What the mesh on one machine consists of: its processes, their addresses and environments."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from services.up.config import Config
from services.up.probes import grpc_health, http_ok
from services.up.process import Spec
from services.up.stores import LATCH, TRADER, Stores

HTTP_PORTS = (
    "auth",
    "strategy",
    "market-data",
    "backtest",
    "backtest-worker",
    "gateway",
    "live-execution",
)
"""Who has a port for metrics, in the order of the ports from ``MESH_HTTP_BASE_PORT``."""


SERVICE_KEY = "service.key"
"""The file in which the auth service hands live-execution its own API key."""


@dataclass(frozen=True)
class Addresses:
    """Where everything listens: sockets in ``run``, a port for metrics on loopback each."""

    run: Path
    http_base: int

    def socket(self, name: str) -> str:
        """Return the gRPC address of a service."""
        return f"unix:{self.run / name}.sock"

    def http(self, name: str) -> str:
        """Return ``host:port`` of a process' metrics."""
        return f"127.0.0.1:{self.http_base + HTTP_PORTS.index(name)}"

    @property
    def jwks(self) -> str:
        """The URL of the public keys that tokens are checked with."""
        return f"http://{self.http('auth')}/.well-known/jwks.json"

    @property
    def first_key(self) -> Path:
        """The file through which the auth service hands over the first API key."""
        return self.run / "first-key"

    def ports(self, gateway: str) -> dict[str, str]:
        """Return every TCP address with the name and the variable that moves it."""
        metrics = {f"{n} metrics (MESH_HTTP_BASE_PORT)": self.http(n) for n in HTTP_PORTS}
        return {"gateway (MESH_GATEWAY_LISTEN)": gateway, **metrics}


def services(config: Config, stores: Stores, at: Addresses) -> list[Spec]:
    """Return the Python processes in the order in which they are started."""
    return [
        _auth(config, stores, at),
        _service("strategy", "services.strategy", "strategy", config, stores, at),
        _market_data(config, stores, at),
        _service("backtest", "services.backtest", "backtest", config, stores, at),
        _worker(config, stores, at),
        _live_execution(config, stores, at),
    ]


def _auth(config: Config, stores: Stores, at: Addresses) -> Spec:
    spec = _service("auth", "services.gateway", "gateway", config, stores, at)
    files = {
        "MESH_AUTH_KEY_FILE": str(config.data / "auth.key"),
        "MESH_AUTH_FIRST_KEY_FILE": str(at.first_key),
        "MESH_AUTH_SERVICE_KEY_FILE": str(config.data / SERVICE_KEY),
    }
    return replace(spec, env={**files, **spec.env})


def _market_data(config: Config, stores: Stores, at: Addresses) -> Spec:
    """Return the service whose feeds reach venues, with the credentials that they need."""
    spec = _service("market-data", "services.market_data", "market_data", config, stores, at)
    logs = {"MESH_MARKET_DATA_LOGS": str(config.logs / "feeds")}
    return replace(spec, env={**config.venues, **logs, **spec.env})


def _live_execution(config: Config, stores: Stores, at: Addresses) -> Spec:
    """Return the service that starts traders, which outlive it."""
    name = "live-execution"
    spec = _service(name, "services.live_execution", "live_execution", config, stores, at)
    own = {
        "MESH_AUTH_ADDRESS": at.socket("auth"),
        "MESH_SERVICE_KEY_FILE": str(config.data / SERVICE_KEY),
        "MESH_CREDENTIAL_KEY_FILE": str(config.data / "credentials.key"),
        "MESH_LATCH_REDIS_URL": stores.redis["live_execution"],
        "MESH_TRADERS": str(config.data / "traders"),
        "MESH_TRADERS_STAY": "false",  # the stores end with the mesh
        "MESH_TRADER_DATABASE_URL": stores.database[TRADER],
        "MESH_TRADER_REDIS_URL": stores.redis[TRADER],
        "MESH_TRADER_MESH_ADDRESS": config.gateway,
    }
    return replace(spec, env={**own, **spec.env})


def latch_url(stores: Stores) -> str:
    """Return the URL with which an operator sets halts past the services."""
    return stores.redis[LATCH]


def _service(
    name: str, module: str, area: str, config: Config, stores: Stores, at: Addresses
) -> Spec:
    return Spec(
        name=name,
        command=(sys.executable, "-m", module),
        env={**_environment(name, area, config, stores, at), "MESH_LISTEN": at.socket(name)},
        address=at.socket(name),
        probe=grpc_health(at.socket(name)),
    )


def _worker(config: Config, stores: Stores, at: Addresses) -> Spec:
    """Return the worker: it takes jobs from a stream and serves nothing but its metrics."""
    name = "backtest-worker"
    return Spec(
        name=name,
        command=(sys.executable, "-m", "services.backtest.worker"),
        env=_environment(name, "backtest", config, stores, at),
        address=f"http://{at.http(name)}",
        probe=http_ok(f"http://{at.http(name)}/healthz"),
    )


def _environment(
    name: str, area: str, config: Config, stores: Stores, at: Addresses
) -> dict[str, str]:
    return {
        **config.passed_on,
        "TZ": "UTC",
        "MESH_HTTP_LISTEN": at.http(name),
        "MESH_DATABASE_URL": stores.database[area],
        "MESH_REDIS_URL": stores.redis[area],
        "MESH_JWKS_URL": at.jwks,
        "MESH_CATALOG": str(config.data / "catalog"),
        "MESH_ARCHIVE": str(config.data / "archive"),
        "MESH_STRATEGY_ADDRESS": at.socket("strategy"),
        "MESH_MARKET_DATA_ADDRESS": at.socket("market-data"),
    }
