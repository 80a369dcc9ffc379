"""Configuration of the market-data service."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from meshkit.config import Env


@dataclass(frozen=True)
class Config:
    """Everything that the service reads from its environment.

    ``uploads`` is where files wait to be imported; ``max_upload`` is the largest in bytes;
    ``imports`` is how many are worked on at once.
    """

    listen: str
    http_listen: str
    database_url: str
    redis_url: str
    jwks_url: str
    catalog: Path
    uploads: Path
    max_upload: int
    imports: int

    @classmethod
    def read(cls, values: Mapping[str, str]) -> "Config":
        """Read the environment; raises ``ConfigError`` with every fault."""
        env = Env(values)
        catalog = env.path("MESH_CATALOG")
        config = cls(
            listen=env.text("MESH_LISTEN"),
            http_listen=env.text("MESH_HTTP_LISTEN", ""),
            database_url=env.text("MESH_DATABASE_URL"),
            redis_url=env.text("MESH_REDIS_URL"),
            jwks_url=env.text("MESH_JWKS_URL"),
            catalog=catalog,
            uploads=env.path("MESH_MARKET_DATA_UPLOADS", str(catalog / ".uploads")),
            max_upload=env.integer("MESH_MARKET_DATA_MAX_UPLOAD_MB", 4_096, minimum=1) * 2**20,
            imports=env.integer("MESH_MARKET_DATA_IMPORTS", 1, minimum=1),
        )
        env.check()
        return config
