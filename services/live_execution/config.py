"""Configuration of the live-execution service."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from meshkit.config import Env
from services.live_execution.credentials import KeySource
from services.live_execution.safety.flattens import Settings as Safety


@dataclass(frozen=True)
class Launching:
    """How the processes of traders are kept.

    Parameters
    ----------
    folder
        Journals and logs of traders.
    stay
        Traders outlive this service when it is told to stop; else it stops them first, and they
        start again with it.
    lease_s, margin_s
        A trader's lease, and how long before its end it sends nothing more.
    stop_s
        What a trader has to stop in order before it is killed.
    end_s
        The same, when all of them end with this service.
    settle_s
        What a trader that is stopped has to cancel its orders and close its positions before.
    silence_s
        How long a lease may be over, its process alive, before the trader is called unresponsive.
    most_deaths, deaths_s
        So many deaths in so many seconds and a trader is not started again by itself.
    back_off_s, longest_back_off_s
        Pause before the first and before any restart.
    memory_mb
        Limit of a trader's memory (address space); 0 is none.
    log_mb
        Size at which a trader's log is put aside; the one before it goes.

    """

    folder: Path
    host: str
    stay: bool = True
    lease_s: float = 10.0
    margin_s: float = 2.0
    stop_s: float = 30.0
    end_s: float = 10.0
    settle_s: float = 20.0
    silence_s: float = 5.0
    most_deaths: int = 5
    deaths_s: float = 300.0
    back_off_s: float = 0.5
    longest_back_off_s: float = 30.0
    memory_mb: int = 0
    log_mb: int = 64


@dataclass(frozen=True)
class Config:
    """Everything that the service reads from its environment.

    ``trader_*`` is what the processes of traders get: stores, the gateway's address, and a key
    for it, which is made for each start through ``auth_address`` unless ``trader_token`` is given.
    ``retention`` is how long facts are kept: they are the books of the traders.
    ``latch_redis_url`` is where halts stand in Redis, by a user who may write them.
    """

    listen: str
    http_listen: str
    database_url: str
    redis_url: str
    jwks_url: str
    strategy_address: str
    market_data_address: str
    auth_address: str
    service_key_file: Path
    trader_database_url: str
    trader_redis_url: str
    trader_mesh_address: str
    trader_token: str
    retention: timedelta
    credential_keys: KeySource
    launching: Launching
    latch_redis_url: str
    safety: Safety

    @classmethod
    def read(cls, values: Mapping[str, str]) -> "Config":
        """Read the environment; raises ``ConfigError`` with every fault."""
        env = Env(values)
        database_url, redis_url = env.text("MESH_DATABASE_URL"), env.text("MESH_REDIS_URL")
        auth_address, trader_token = env.text("MESH_AUTH_ADDRESS", ""), _token(env)
        if not auth_address and not trader_token:
            env.fault("MESH_AUTH_ADDRESS (with MESH_SERVICE_KEY_FILE) or MESH_TRADER_TOKEN is due")
        config = cls(
            listen=env.text("MESH_LISTEN"),
            http_listen=env.text("MESH_HTTP_LISTEN", ""),
            database_url=database_url,
            redis_url=redis_url,
            jwks_url=env.text("MESH_JWKS_URL"),
            strategy_address=env.text("MESH_STRATEGY_ADDRESS"),
            market_data_address=env.text("MESH_MARKET_DATA_ADDRESS"),
            auth_address=auth_address,
            service_key_file=env.path("MESH_SERVICE_KEY_FILE", "service.key"),
            trader_database_url=env.text("MESH_TRADER_DATABASE_URL", database_url),
            trader_redis_url=env.text("MESH_TRADER_REDIS_URL", redis_url),
            trader_mesh_address=env.text("MESH_TRADER_MESH_ADDRESS"),
            trader_token=trader_token,
            retention=timedelta(days=env.integer("MESH_FACTS_RETENTION_DAYS", 3_650, minimum=1)),
            credential_keys=KeySource.read(env),
            launching=_launching(env),
            latch_redis_url=env.text("MESH_LATCH_REDIS_URL", redis_url),
            safety=_safety(env),
        )
        env.check()
        return config


def _launching(env: Env) -> Launching:
    usual = Launching(Path(), "")
    return Launching(
        folder=env.path("MESH_TRADERS"),
        host=os.uname().nodename,  # as a trader writes it with its lease
        stay=env.flag("MESH_TRADERS_STAY", True),
        lease_s=env.number("MESH_TRADER_LEASE_S", usual.lease_s, minimum=1.0),
        margin_s=env.number("MESH_TRADER_MARGIN_S", usual.margin_s, minimum=0.1),
        stop_s=env.number("MESH_TRADER_STOP_S", usual.stop_s, minimum=1.0),
        end_s=env.number("MESH_TRADERS_END_S", usual.end_s, minimum=1.0),
        settle_s=env.number("MESH_TRADER_SETTLE_S", usual.settle_s, minimum=1.0),
        silence_s=env.number("MESH_TRADER_SILENCE_S", usual.silence_s, minimum=0.5),
        most_deaths=env.integer("MESH_TRADER_DEATHS", usual.most_deaths, minimum=1),
        deaths_s=env.number("MESH_TRADER_DEATHS_S", usual.deaths_s, minimum=1.0),
        back_off_s=env.number("MESH_TRADER_BACK_OFF_S", usual.back_off_s, minimum=0.05),
        longest_back_off_s=env.number(
            "MESH_TRADER_LONGEST_BACK_OFF_S", usual.longest_back_off_s, minimum=0.05
        ),
        memory_mb=env.integer("MESH_TRADER_MEMORY_MB", 0),
        log_mb=env.integer("MESH_TRADER_LOG_MB", usual.log_mb, minimum=1),
    )


def _safety(env: Env) -> Safety:
    usual = Safety()
    return Safety(
        flatten_s=env.number("MESH_FLATTEN_S", usual.flatten_s, minimum=1.0),
        answer_s=env.number("MESH_FLATTEN_ANSWER_S", usual.answer_s, minimum=0.5),
        dead_s=env.number("MESH_FLATTEN_DEAD_S", usual.dead_s, minimum=0.1),
        look_s=env.number("MESH_SAFETY_LOOK_S", usual.look_s, minimum=0.05),
    )


def _token(env: Env) -> str:
    """Return the key that all traders share, from a variable or a file; empty for none."""
    if path := env.text("MESH_TRADER_TOKEN_FILE", ""):
        try:
            return Path(path).read_text().strip()
        except OSError:
            env.fault("MESH_TRADER_TOKEN_FILE cannot be read")
    return env.text("MESH_TRADER_TOKEN", "")
