"""Configuration of the strategy service."""

from collections.abc import Mapping
from dataclasses import dataclass

from meshkit.config import Env


@dataclass(frozen=True)
class Config:
    """Everything that the service reads from its environment.

    ``load_seconds`` and ``load_memory_mb`` limit the process that loads user code;
    ``importable`` lists the module prefixes that an importable path may name.
    """

    listen: str
    http_listen: str
    database_url: str
    redis_url: str
    jwks_url: str
    load_seconds: float
    load_memory_mb: int
    loads: int
    importable: tuple[str, ...]

    @classmethod
    def read(cls, values: Mapping[str, str]) -> "Config":
        """Read the environment; raises ``ConfigError`` with every fault."""
        env = Env(values)
        config = cls(
            listen=env.text("MESH_LISTEN"),
            http_listen=env.text("MESH_HTTP_LISTEN", ""),
            database_url=env.text("MESH_DATABASE_URL"),
            redis_url=env.text("MESH_REDIS_URL"),
            jwks_url=env.text("MESH_JWKS_URL"),
            load_seconds=env.number("MESH_STRATEGY_LOAD_SECONDS", 10.0, minimum=1.0),
            load_memory_mb=env.integer("MESH_STRATEGY_LOAD_MEMORY_MB", 512, minimum=64),
            loads=env.integer("MESH_STRATEGY_LOADS", 2, minimum=1),
            importable=env.items(
                "MESH_STRATEGY_IMPORTABLE", "nautilus_trader.examples,services.strategy.examples"
            ),
        )
        env.check()
        return config
