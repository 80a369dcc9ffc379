"""Each service has its own part of the stores and no other's."""

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
import redis

from meshkit.config import ConfigError
from services.up.config import Config
from services.up.embedded.postgres import find_place
from services.up.embedded.process import private_folder
from services.up.secrets import Secrets
from services.up.stores import AREAS, Stores, open_stores


@pytest.fixture
def config(stores_folder: Path, tmp_path: Path) -> Config:
    """Give a configuration with embedded stores in a short folder of its own."""
    data = stores_folder / f"up-{tmp_path.name[-12:]}"
    data.mkdir(mode=0o711)
    for name in ("run", "logs"):
        private_folder(data / name)
    return Config.read({"MESH_DATA": str(data)}, data)


async def _check_postgres(stores: Stores) -> None:
    for area in AREAS:
        connection = await asyncpg.connect(stores.database[area])
        await connection.execute(f"CREATE TABLE {area}.mine AS SELECT 1")
        other = next(a for a in AREAS if a != area)
        for attempt in (f"SELECT * FROM {other}.mine", "CREATE TABLE public.t (x int)"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(attempt)
        await connection.close()


def _check_valkey(stores: Stores) -> None:
    ours = redis.Redis.from_url(stores.redis["market_data"])
    own = ("facts:market_data", "facts:marketdata", "origin:{facts:marketdata}")
    for key in (*own, "ticks:default:binance:BTCUSDT.BINANCE:QUOTE_TICK"):
        assert ours.set(key, "1")
    for command in (("SET", "facts:strategy", "1"), ("FLUSHALL",), ("CONFIG", "GET", "*")):
        with pytest.raises(redis.exceptions.NoPermissionError):
            ours.execute_command(*command)  # type: ignore[no-untyped-call] # redis ships no type


async def test_embedded(config: Config) -> None:
    """A role sees its schema and its keys alone, also after a second start."""
    secrets = Secrets(config.data / "secrets.json")
    async with open_stores(config, secrets, lambda text: None) as stores:
        await _check_postgres(stores)
        _check_valkey(stores)
    async with open_stores(config, secrets, lambda text: None) as again:
        assert again == stores
        _check_valkey(again)


async def test_configured(config: Config, database_url: str, valkey_url: str) -> None:
    """Somebody else's servers are used as they are, with a role and a schema a service."""
    theirs = replace(config, database_url=database_url, redis_url=valkey_url)
    secrets = Secrets(config.data / "secrets.json")
    async with open_stores(theirs, secrets, lambda text: None) as stores:
        assert set(stores.redis.values()) == {valkey_url}
        connection = await asyncpg.connect(stores.database["strategy"])
        assert await connection.fetchval("SELECT current_user") == "mesh_strategy"
        await connection.close()
    assert not (config.data / "postgres").exists()


async def test_a_database_that_does_not_answer(config: Config) -> None:
    """The variable is named."""
    theirs = replace(config, database_url="postgresql://127.0.0.1:1/x")
    with pytest.raises(ConfigError, match="DATABASE_URL cannot be used"):
        async with open_stores(theirs, Secrets(config.data / "s.json"), lambda text: None):
            pass


async def test_a_store_that_dies_is_started_again(config: Config) -> None:
    """Both come back by themselves, with what they held."""
    secrets = Secrets(config.data / "secrets.json")
    said: list[str] = []
    async with open_stores(config, secrets, said.append) as stores:
        client = redis.Redis.from_url(stores.redis["strategy"])
        client.set("facts:strategy", "kept")
        client.waitaof(1, 0, 5_000)  # on the disk
        os.kill(int((config.data / "valkey/valkey.pid").read_text()), signal.SIGKILL)
        os.kill(_postmaster(config), signal.SIGKILL)
        async with asyncio.timeout(30):
            while len(said) < 2 or not await _reachable(stores):
                await asyncio.sleep(0.1)
        assert client.get("facts:strategy") == b"kept"
    assert sorted(said) == [f"{n} ended; starting it again" for n in ("postgresql", "valkey")]


def _postmaster(config: Config) -> int:
    place = find_place(config.data / "postgres")
    return int((place.folder / "data/postmaster.pid").read_text().split()[0])


async def _reachable(stores: Stores) -> bool:
    try:
        redis.Redis.from_url(stores.redis["strategy"]).ping()
        await (await asyncpg.connect(stores.database["strategy"])).close()
    except (OSError, redis.ConnectionError, asyncpg.PostgresError):
        return False
    return True
