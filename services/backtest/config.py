"""Configuration of the backtest API and of its workers."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from meshkit.config import Env


@dataclass(frozen=True)
class ApiConfig:
    """Everything that the API reads from its environment."""

    listen: str
    http_listen: str
    database_url: str
    redis_url: str
    jwks_url: str
    archive: Path
    strategy_address: str
    market_data_address: str

    @classmethod
    def read(cls, values: Mapping[str, str]) -> "ApiConfig":
        """Read the environment; raises ``ConfigError`` with every fault."""
        env = Env(values)
        config = cls(
            listen=env.text("MESH_LISTEN"),
            http_listen=env.text("MESH_HTTP_LISTEN", ""),
            database_url=env.text("MESH_DATABASE_URL"),
            redis_url=env.text("MESH_REDIS_URL"),
            jwks_url=env.text("MESH_JWKS_URL"),
            archive=env.path("MESH_ARCHIVE"),
            strategy_address=env.text("MESH_STRATEGY_ADDRESS"),
            market_data_address=env.text("MESH_MARKET_DATA_ADDRESS"),
        )
        env.check()
        return config


@dataclass(frozen=True)
class WorkerConfig:
    """Everything that a worker reads from its environment.

    ``lease_seconds`` is how long a run stays with a worker that gives no sign; ``attempts`` how
    often a run whose process died is begun; ``run_seconds`` and ``memory_mb`` limit one run.
    """

    name: str
    http_listen: str
    database_url: str
    redis_url: str
    catalog: Path
    archive: Path
    slots: int
    lease_seconds: float
    attempts: int
    run_seconds: float
    memory_mb: int

    @classmethod
    def read(cls, values: Mapping[str, str]) -> "WorkerConfig":
        """Read the environment; raises ``ConfigError`` with every fault."""
        env = Env(values)
        config = cls(
            name=env.text("MESH_WORKER_NAME", f"{os.uname().nodename}-{os.getpid()}"),
            http_listen=env.text("MESH_HTTP_LISTEN", ""),
            database_url=env.text("MESH_DATABASE_URL"),
            redis_url=env.text("MESH_REDIS_URL"),
            catalog=env.path("MESH_CATALOG"),
            archive=env.path("MESH_ARCHIVE"),
            slots=env.integer("MESH_BACKTEST_SLOTS", os.cpu_count() or 1, minimum=1),
            lease_seconds=env.number("MESH_BACKTEST_LEASE_SECONDS", 6.0, minimum=1.0),
            attempts=env.integer("MESH_BACKTEST_ATTEMPTS", 3, minimum=1),
            run_seconds=env.number("MESH_BACKTEST_RUN_SECONDS", 86_400.0, minimum=1.0),
            memory_mb=env.integer("MESH_BACKTEST_MEMORY_MB", 8_192, minimum=128),
        )
        env.check()
        return config
