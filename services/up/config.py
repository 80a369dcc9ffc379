"""Configuration of the mesh on one machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from meshkit.config import Env

PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "XDG_CONFIG_HOME")
"""What a service gets of our own environment, beside the MESH_ variables."""
OURS = ("MESH_DATA", "MESH_CONFIG", "MESH_PROFILE", "MESH_API_KEY", "MESH_ADDRESS", "MESH_RUN_AS")
"""MESH_ variables that are no service's."""


@dataclass(frozen=True)
class Config:
    """Everything that is read from the environment.

    ``data`` is the folder that holds all state; ``gateway`` is ``host:port``; ``http_base_port`` is
    the first of the ports for metrics. An empty URL means the embedded store. ``passed_on`` is
    what services get of the environment, ``own`` the whole of it.
    """

    data: Path
    gateway: str
    http_base_port: int
    redis_url: str = field(repr=False)
    database_url: str = field(repr=False)
    passed_on: Mapping[str, str] = field(repr=False)
    own: Mapping[str, str] = field(repr=False)

    @classmethod
    def read(cls, values: Mapping[str, str], project: Path) -> "Config":
        """Read the environment; raises ``ConfigError`` with every fault."""
        env = Env(values)
        config = cls(
            data=env.path("MESH_DATA", str(project / ".mesh")),
            gateway=env.text("MESH_GATEWAY_LISTEN", "127.0.0.1:8080"),
            http_base_port=env.integer("MESH_HTTP_BASE_PORT", 8081, minimum=1024),
            redis_url=env.text("REDIS_URL", ""),
            database_url=env.text("DATABASE_URL", ""),
            own=dict(values),
            passed_on={
                name: value
                for name, value in values.items()
                if name in PASSED_ON or (name.startswith("MESH_") and name not in OURS)
            },
        )
        if not config.gateway.rpartition(":")[2].isdigit():
            env.fault("MESH_GATEWAY_LISTEN must be host:port")
        if config.http_base_port > 65_500:
            env.fault("MESH_HTTP_BASE_PORT must be at most 65500")
        env.check()
        return config

    @property
    def venues(self) -> dict[str, str]:
        """What adapters of venues may need of our environment: all but what is the mesh's own.

        Credentials have names of the venues' choosing. The market-data service gets this, and a
        feed's process of it what its adapter names.
        """
        stores = ("REDIS_URL", "DATABASE_URL")
        return {
            name: value
            for name, value in self.own.items()
            if not name.startswith("MESH_") and name not in stores
        }

    @property
    def run(self) -> Path:
        """The folder of sockets, pid files and generated configuration."""
        return self.data / "run"

    @property
    def logs(self) -> Path:
        """The folder of logs, a file for each process."""
        return self.data / "logs"
