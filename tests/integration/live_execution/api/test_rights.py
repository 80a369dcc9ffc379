"""What a trader's process may do in the stores: cases EX-250 to EX-253."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio
from redis.exceptions import ConnectionError as AwayError
from redis.exceptions import ResponseError

from integration.live_execution.api.conftest import Api, new_id, until
from mesh.execution.v1 import trader_service_pb2 as rpc
from services.live_execution.credentials import KeySource
from services.live_execution.launching.redis_users import passwords_of, url_of, user_of
from services.live_execution.names import TraderKey
from services.up.embedded.valkey import Valkey
from services.up.secrets import Secrets
from services.up.stores import TRADER, users

ONE, TWO = TraderKey("default", "T-1"), TraderKey("default", "T-2")
ROLE = "mesh_trader_of_tests"


class Store:
    """The Valkey of a mesh, that a test kills, and the ways into it."""

    def __init__(self, folder: Path) -> None:
        secrets = Secrets(folder / "secrets.json")
        self._users = {each.name: each for each in users(secrets)}
        self._folder = folder
        self._keys = KeySource(folder / "credentials.key")
        self.server = Valkey(
            folder / "valkey",
            folder / "run",
            folder / "valkey.log",
            secrets.get("redis"),
            [*self._users.values()],
        )

    def url(self, user: str) -> str:
        """Return the URL of a user that is there from the start."""
        return self.server.url(user, self._users[user].password)

    def client(self, key: TraderKey) -> redis.asyncio.Redis:
        """Return a client as a trader's process has one."""
        password = passwords_of(key, self._keys.current())[0]
        return redis.asyncio.Redis.from_url(url_of(self.url(TRADER), key, password))

    def kept(self) -> str:
        """Return the file of users that Valkey keeps."""
        return (self._folder / "valkey" / "users.acl").read_text()

    async def kill(self) -> None:
        """Kill -9, and start it again without its file of users."""
        pid = int((self._folder / "valkey" / "valkey.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        await until(self._is_dead)
        (self._folder / "valkey" / "users.acl").unlink()
        await asyncio.to_thread(self.server.start)

    async def _is_dead(self) -> bool:
        return not self.server.alive()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Give a Valkey with the users of a mesh."""
    made = Store(tmp_path)
    await asyncio.to_thread(made.server.start)
    yield made
    await asyncio.to_thread(made.server.stop)


@pytest.fixture
async def guarded(unserved: Api, store: Store) -> Api:
    """Give a service that uses that Valkey as in a mesh."""
    unserved.environment |= {
        "MESH_REDIS_URL": store.url("live_execution"),
        "MESH_LATCH_REDIS_URL": store.url("live_execution"),
        "MESH_TRADER_REDIS_URL": store.url(TRADER),
    }
    await unserved.start_inside()
    return unserved


async def refused(client: redis.asyncio.Redis, *command: str) -> None:
    """See that a command is not allowed."""
    with pytest.raises(ResponseError, match=r"(?i)no permission|has no permissions"):
        await client.execute_command(*command)  # type: ignore[no-untyped-call] # redis ships no type


async def test_ex250_a_trader_reaches_its_own_keys_alone(guarded: Api, store: Store) -> None:
    """EX-250: it reads its commands, halts and live data of its project; it can write no halt, no
    tick, no fact, see no other trader and no other project, and administer nothing.
    """
    for trader_id in ("T-1", "T-2"):
        await guarded.create(trader_id)
        await guarded.reaches("RUNNING", trader_id)
    client = store.client(ONE)
    assert await client.mget("halt:all", "halt:default:all") == [None, None]
    assert await client.xread({ONE.commands: "0"}) == []
    assert await client.xread({"ticks:default:f:A.SIM:QUOTE_TICK": "0"}) == []
    for other in (TWO.commands, TWO.queries, TWO.facts, ONE.facts, "ticks:else:f:A.SIM:QUOTE_TICK"):
        await refused(client, "XREAD", "STREAMS", other, "0")
    for key in ("halt:all", "halt:default:trader:T-1", "ticks:default:f:A.SIM:QUOTE_TICK"):
        await refused(client, "SET", key, "1")
    for key in ("halt:else:all", f"{TWO.commands}:fence", "origin:{facts:live_execution}"):
        await refused(client, "GET", key)
    await refused(client, "EVAL", "return redis.call('SET', 'halt:all', '1')", "0")
    for command in ("FLUSHALL", "KEYS *", "SCAN 0", "ACL LIST", "CONFIG GET *", "CLIENT LIST"):
        await refused(client, *command.split())
    await client.aclose()


async def test_ex251_users_come_back_with_redis(guarded: Api, store: Store) -> None:
    """EX-251: Valkey keeps users of traders. Where it is killed (-9) and has forgotten them they
    are set again, and a trader that runs takes commands as before. One that is deleted takes its
    user along.
    """
    await guarded.create()
    await guarded.reaches("RUNNING")
    assert user_of(ONE) in store.kept()
    await store.kill()
    stop = rpc.StopTraderRequest(request_id=new_id(), trader_id="T-1", cancel_orders=True)
    await guarded.traders.StopTrader(stop)
    await guarded.reaches("STOPPED")
    assert await guarded.log(contains="takes") == ["takes cancel_all"]
    client = store.client(ONE)
    await until(lambda: reaches(client))
    delete = rpc.DeleteTraderRequest(request_id=new_id(), trader_id="T-1")
    await guarded.traders.DeleteTrader(delete)
    assert not await reaches(client)
    assert user_of(ONE) not in store.kept()
    await client.aclose()


async def reaches(client: redis.asyncio.Redis) -> bool:
    """Whether a trader's user gets in."""
    with suppress(AwayError):  # a refused password is one
        return bool(await client.ping())
    return False


async def test_ex252_where_redis_lets_nobody_make_users(unserved: Api, store: Store) -> None:
    """EX-252: traders share the URL that is configured for them."""
    unserved.environment |= {
        "MESH_REDIS_URL": store.url("backtest"),  # may do all but administer, on other keys
        "MESH_TRADER_REDIS_URL": store.url(TRADER),
    }
    await unserved.start_inside()
    await unserved.create()
    await unserved.reaches("RUNNING")
    admin = redis.asyncio.Redis.from_url(store.server.url())
    clients = {each["user"] for each in await admin.client_list()}
    assert TRADER in clients
    assert user_of(ONE) not in clients
    await admin.aclose()


async def test_ex253_a_trader_has_a_role_with_few_rights(unserved: Api, database_url: str) -> None:
    """EX-253: with a role of its own in PostgreSQL a trader works, and can neither read
    credentials nor write halts, flattens or specs, nor remove orders.
    """
    admin = await asyncpg.connect(database_url)
    await admin.execute(f"DROP ROLE IF EXISTS {ROLE}")
    await admin.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'secret'")
    as_trader = database_url.replace(database_url.split("@")[0], f"postgresql://{ROLE}:secret")
    unserved.environment["MESH_TRADER_DATABASE_URL"] = as_trader
    await unserved.start_inside()
    await unserved.create()
    await unserved.reaches("RUNNING")
    connection = await asyncpg.connect(as_trader, server_settings={"search_path": "live_execution"})
    assert await connection.fetchval("SELECT fence FROM traders") == 1
    for attempt in (
        "SELECT sealed FROM credentials",
        "SELECT spec FROM traders",
        "SELECT body_hash FROM order_keys",
        "SELECT payload FROM outbox",
        "INSERT INTO halts (halt_id) VALUES (gen_random_uuid())",
        "UPDATE halts SET active = false",
        "UPDATE traders SET wanted = false",
        "DELETE FROM orders",
        "DELETE FROM facts",
        "INSERT INTO commands (command_id) VALUES (gen_random_uuid())",
        "CREATE TABLE live_execution.mine (x int)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(attempt)
    await connection.close()
    await admin.execute(f"REASSIGN OWNED BY {ROLE} TO CURRENT_USER; DROP OWNED BY {ROLE}")
    await admin.close()
