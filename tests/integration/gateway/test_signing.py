"""Signing keys and the first key (GW-11)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import jwt
import pytest

from meshkit.config import ConfigError
from meshkit.database import Database
from meshkit.tokens import Verifier
from services.gateway.domain import ApiKey
from services.gateway.first_key import into_file, make_first_key
from services.gateway.main import MIGRATIONS, SCHEMA
from services.gateway.signing import LEAD, LIFE, REMAINS, KeyRing, Seal
from services.gateway.store import SigningStore

START = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
HOLDER = ApiKey(
    api_key_id="0" * 16,
    owner="a",
    project="default",
    subject="a",
    scopes=("data.read",),
    projects=("default",),
    secret_hash=b"",
)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Give the auth service's schema."""
    async with Database.open(database_url, schema=SCHEMA, migrations=MIGRATIONS) as opened:
        yield opened


def ring(database: Database, file: Path) -> KeyRing:
    """Return a replica's key ring."""
    return KeyRing(database, Seal(file), SigningStore(), 300)


async def test_gw_11_shared_by_replicas(database: Database, tmp_path: Path) -> None:
    """Two replicas sign with the same key, and each takes the other's tokens."""
    first, second = (ring(database, tmp_path / "key") for _ in range(2))
    await first.refresh()
    await second.refresh()
    assert first.jwks() == second.jwks()
    token = first.sign(HOLDER, datetime.now(UTC)).token
    assert (await Verifier(second).verify(token)).subject == "a"


async def test_gw_11_sealed(database: Database, database_url: str, tmp_path: Path) -> None:
    """The database alone does not give the private key away, and another file does not open it."""
    file = tmp_path / "key"
    await ring(database, file).refresh()
    assert file.stat().st_mode & 0o777 == 0o600
    connection = await asyncpg.connect(database_url)
    sealed = bytes(await connection.fetchval("SELECT sealed FROM gateway.signing_keys"))
    await connection.close()
    assert b"\x06\x08*\x86H\xce=\x03\x01\x07" not in sealed  # the curve, as every such key names it
    with pytest.raises(ConfigError, match="does not open"):
        await ring(database, tmp_path / "other").refresh()


@pytest.mark.parametrize(("mode", "text"), [(0o644, "00" * 32), (0o600, "00"), (0o600, "x" * 64)])
def test_gw_11_unfit_key_file(tmp_path: Path, mode: int, text: str) -> None:
    """A key file that others can read, or that holds no key, is refused with what to do."""
    file = tmp_path / "key"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(ConfigError, match=r"chmod 600|must hold 32 bytes"):
        Seal(file)


async def test_gw_11_rotation(database: Database, tmp_path: Path) -> None:
    """A key is published before it signs, and after it has signed for as long as tokens live."""
    keys = ring(database, tmp_path / "key")
    seen: dict[datetime, tuple[list[str], str]] = {}
    moments = [START, START + LIFE, START + LIFE + LEAD, START + LIFE + LEAD + REMAINS]
    for moment in moments:
        await keys.refresh(moment)
        signer = jwt.get_unverified_header(keys.sign(HOLDER, moment).token)["kid"]
        seen[moment] = [key["kid"] for key in keys.jwks()], signer
    (first,), old = seen[moments[0]]
    (_, second), before = seen[moments[1]]
    assert (old, before) == (first, first)
    assert seen[moments[2]] == ([first, second], second)
    assert seen[moments[3]] == ([second], second)


async def test_gw_11_first_key_once(database: Database, tmp_path: Path) -> None:
    """There is one first key, handed over in a file that only its owner can read."""
    file = tmp_path / "first"
    assert await make_first_key(database, into_file(file))
    assert not await make_first_key(database, into_file(tmp_path / "second"))
    assert file.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "second").exists()
    assert await make_first_key(database, into_file(file), another=True)


async def test_gw_11_no_key_without_its_holder(database: Database, tmp_path: Path) -> None:
    """A first key that could not be handed over does not exist."""
    with pytest.raises(ConfigError, match="cannot be written"):
        await make_first_key(database, into_file(tmp_path / "no-folder" / "first"))
    assert await make_first_key(database, into_file(tmp_path / "first"))
