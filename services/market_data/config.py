"""Configuration of the market-data service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from meshkit.config import Env
from services.market_data.live.log import Bounds
from services.market_data.live.recording.recorder import Limits
from services.market_data.live.settings import Settings


@dataclass(frozen=True)
class Config:
    """Everything that the service reads from its environment.

    ``uploads`` is where files wait to be imported; ``max_upload`` is the largest in bytes;
    ``imports`` is how many are worked on at once. ``ticks`` is how many batches each ``ticks:*``
    stream keeps, 0 for no such streams. ``logs`` is where the processes of feeds write, ``journal``
    where live data waits to be written to the catalog.
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
    live: Settings = field(default_factory=Settings)
    ticks: int = 1_000
    logs: Path = Path("logs")
    journal: Path = Path("journal")
    recording: Limits = field(default_factory=Limits)

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
            live=_live(env),
            logs=env.path("MESH_MARKET_DATA_LOGS", str(catalog / ".logs")),
            journal=env.path("MESH_MARKET_DATA_JOURNAL", str(catalog / ".journal")),
            recording=Limits(
                journal=env.integer("MESH_MARKET_DATA_JOURNAL_MB", 2_048, minimum=64) * 2**20
            ),
            ticks=env.integer("MESH_MARKET_DATA_TICKS", 1_000),
        )
        env.check()
        return config


def _live(env: Env) -> Settings:
    return Settings(
        feeds=env.integer("MESH_MARKET_DATA_FEEDS", 50, minimum=1),
        channels=env.integer("MESH_MARKET_DATA_CHANNELS", 5_000, minimum=1),
        bounds=Bounds(
            seconds=env.integer("MESH_MARKET_DATA_RETENTION_S", 60, minimum=1),
            channel_bytes=env.integer("MESH_MARKET_DATA_RETENTION_MB", 8, minimum=1) * 2**20,
            feed_bytes=env.integer("MESH_MARKET_DATA_FEED_MB", 512, minimum=1) * 2**20,
        ),
        idle=env.integer("MESH_MARKET_DATA_FEED_IDLE_S", 60, minimum=1),
        hang=env.integer("MESH_MARKET_DATA_FEED_HANG_S", 20, minimum=3),
    )
