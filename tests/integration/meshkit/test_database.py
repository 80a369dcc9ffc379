"""Migrations, typed driver errors and idempotent requests, on a real PostgreSQL."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from integration.meshkit.echo import EchoRequest, EchoResponse
from meshkit.config import ConfigError
from meshkit.context import Caller, set_caller
from meshkit.database import Connection, Database
from meshkit.errors import InvalidField, RequestIdReused, StoreUnavailable
from meshkit.idempotency import once


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    """Give a folder with one migration."""
    (tmp_path / "0001_things.sql").write_text(
        "-- migrate:up\nCREATE TABLE things (name text PRIMARY KEY);\n"
        "-- migrate:down\nDROP TABLE things;\n"
    )
    return tmp_path


@pytest.fixture
async def database(database_url: str, migrations: Path) -> AsyncIterator[Database]:
    """Give a migrated database."""
    async with Database.open(database_url, schema="testing", migrations=migrations) as opened:
        yield opened


def call_as(subject: str, *projects: str) -> None:
    """Call as somebody."""
    set_caller(Caller(subject, frozenset(), projects, 0.0, ""))


async def add(database: Database, request: Any, **options: Any) -> Any:
    """Add a thing once; the answer is a new id each time that it is really done."""

    async def work(connection: Connection, *_: Any) -> Any:
        await connection.execute("INSERT INTO things VALUES ($1)", request.text)
        return EchoResponse(text=str(uuid.uuid4()))

    return await once(database, request, EchoResponse, work, **options)


async def count(database: Database) -> int:
    """Return how many things there are."""
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM things"))


async def test_migrations_run_once(database_url: str, migrations: Path) -> None:
    """Opening twice, at once, applies each file once, and a later file is applied to what is
    there.
    """

    async def open_and_close() -> None:
        async with Database.open(database_url, schema="testing", migrations=migrations):
            pass

    await asyncio.gather(open_and_close(), open_and_close())
    (migrations / "0002_more.sql").write_text("-- migrate:up\nALTER TABLE things ADD more int;\n")
    async with (
        Database.open(database_url, schema="testing", migrations=migrations) as database,
        database.connection() as connection,
    ):
        versions = await connection.fetch("SELECT version FROM schema_migrations ORDER BY 1")
    ours = [r["version"] for r in versions if r["version"].startswith("service/")]
    assert ours == ["service/0001_things", "service/0002_more"]


async def test_a_broken_migration_leaves_nothing(database_url: str, migrations: Path) -> None:
    """A migration that fails midway is rolled back whole."""
    (migrations / "0002_broken.sql").write_text("CREATE TABLE half (a int); SELECT nonsense;")
    with pytest.raises(asyncpg.UndefinedColumnError):
        async with Database.open(database_url, schema="testing", migrations=migrations):
            pass
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT to_regclass('testing.half')") is None
    await connection.close()


async def test_misnamed_migrations_are_refused(database_url: str, migrations: Path) -> None:
    """A file that would sort wrongly stops the start and is named."""
    (migrations / "2_more.sql").write_text("SELECT 1")
    with pytest.raises(ConfigError, match=r"2_more\.sql"):
        async with Database.open(database_url, schema="testing", migrations=migrations):
            pass


async def test_unreachable_database(tmp_path: Path) -> None:
    """A database that does not answer is a fault of the configuration at start."""
    with pytest.raises(ConfigError, match="cannot be used"):
        async with Database.open(f"postgresql://u:p@/x?host={tmp_path}", schema="testing"):
            pass


async def test_lost_connection_is_typed(database: Database) -> None:
    """A connection that the server ends in mid-use is STORE_UNAVAILABLE, and the next one works."""
    with pytest.raises(StoreUnavailable):
        async with database.connection() as connection:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert await count(database) == 0


async def test_replay_gives_the_first_answer(database: Database) -> None:
    """The same request again changes nothing and is answered alike, without preparing anew."""
    call_as("ann", "default")
    prepared: list[int] = []

    async def prepare() -> int:
        prepared.append(1)
        return 1

    request = EchoRequest(text="a", request_id=str(uuid.uuid4()))
    first = await add(database, request, prepare=prepare)
    assert await add(database, request, prepare=prepare) == first
    assert (await count(database), len(prepared)) == (1, 1)


async def test_another_body_is_refused(database: Database) -> None:
    """The same id with another body is REQUEST_ID_REUSED and does nothing."""
    call_as("ann", "default")
    request_id = str(uuid.uuid4())
    await add(database, EchoRequest(text="a", request_id=request_id))
    with pytest.raises(RequestIdReused):
        await add(database, EchoRequest(text="b", request_id=request_id))
    assert await count(database) == 1


async def test_callers_do_not_share_ids(database: Database) -> None:
    """The key holds the caller: two callers may use one id."""
    request_id = str(uuid.uuid4())
    call_as("ann", "default")
    first = await add(database, EchoRequest(text="a", request_id=request_id))
    call_as("bob", "default")
    assert await add(database, EchoRequest(text="b", request_id=request_id)) != first


async def test_a_lost_project_closes_the_replay(database: Database) -> None:
    """A caller whose token lost a project does not get an answer made in it."""
    request = EchoRequest(text="a", request_id=str(uuid.uuid4()))
    call_as("ann", "default", "secret")
    await add(database, request)
    call_as("ann", "default")
    with pytest.raises(RequestIdReused):
        await add(database, request)


async def test_concurrent_duplicates_get_one_answer(database: Database) -> None:
    """Duplicates that arrive at once wait for the first and get its answer."""
    call_as("ann", "default")
    request = EchoRequest(text="a", request_id=str(uuid.uuid4()))
    answers = await asyncio.gather(*(add(database, request) for _ in range(8)))
    assert len({a.text for a in answers}) == 1
    assert await count(database) == 1


async def test_a_failed_request_may_be_repeated(database: Database) -> None:
    """A request that failed left nothing, so its id is free."""
    call_as("ann", "default")
    await add(database, EchoRequest(text="a", request_id=str(uuid.uuid4())))
    again = EchoRequest(text="a", request_id=str(uuid.uuid4()))
    with pytest.raises(asyncpg.UniqueViolationError):
        await add(database, again)
    async with database.connection() as connection:
        await connection.execute("DELETE FROM things")
    assert (await add(database, again)).text


async def test_secrets_are_not_kept(database: Database) -> None:
    """A replay gives what ``redact`` kept, not the secret."""
    call_as("ann", "default")
    request = EchoRequest(text="a", request_id=str(uuid.uuid4()))

    def redact(_: Any) -> Any:
        return EchoResponse(text="shown before")

    assert (await add(database, request, redact=redact)).text != "shown before"
    assert (await add(database, request, redact=redact)).text == "shown before"


async def test_a_text_that_cannot_be_stored_is_the_callers(database: Database) -> None:
    """PostgreSQL has no NUL in texts; the caller is told so."""
    with pytest.raises(InvalidField, match="NUL"):
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO things VALUES ($1)", "a\0b")


async def test_an_error_of_the_block_stays_what_it_is(database: Database) -> None:
    """A missing file inside a transaction is not an unreachable database."""
    with pytest.raises(FileNotFoundError):
        async with database.transaction():
            Path("/no/such/file").read_text()
