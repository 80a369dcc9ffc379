"""Configuration of the auth service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from meshkit.config import Env
from services.gateway.envoy.config import Limits

LONGEST_TOKEN = 300


@dataclass(frozen=True)
class Config:
    """Everything that the service reads from its environment.

    ``key_file`` holds the key that seals the signing keys in the database; ``first_key_file`` is
    where the first API key is handed over, None for not at all; ``token_seconds`` is how long a
    token lasts; ``service_key_file`` is where the key is handed over with which live-execution
    makes keys for its traders, None for not at all; ``limits`` are the gateway's, to be told by
    ``GetMeshInfo``.
    """

    listen: str
    http_listen: str
    database_url: str = field(repr=False)
    key_file: Path
    first_key_file: Path | None
    token_seconds: int
    limits: Limits
    service_key_file: Path | None = None

    @classmethod
    def read(cls, values: Mapping[str, str]) -> "Config":
        """Read the environment; raises ``ConfigError`` with every fault."""
        env = Env(values)
        first = env.text("MESH_AUTH_FIRST_KEY_FILE", "")
        service = env.text("MESH_AUTH_SERVICE_KEY_FILE", "")
        config = cls(
            listen=env.text("MESH_LISTEN"),
            http_listen=env.text("MESH_HTTP_LISTEN"),
            database_url=env.text("MESH_DATABASE_URL"),
            key_file=env.path("MESH_AUTH_KEY_FILE"),
            first_key_file=Path(first) if first else None,
            service_key_file=Path(service) if service else None,
            token_seconds=env.integer("MESH_AUTH_TOKEN_SECONDS", LONGEST_TOKEN, minimum=1),
            limits=Limits.read(env),
        )
        if config.token_seconds > LONGEST_TOKEN:
            env.fault(f"MESH_AUTH_TOKEN_SECONDS must be at most {LONGEST_TOKEN}")
        env.check()
        return config
