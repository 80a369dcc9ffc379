"""The keys that seal credentials: made, rotated, refused."""

from pathlib import Path

import pytest

from integration.live_execution.credentials.conftest import SECRETS, Served, creation, spec_naming
from meshkit.config import ConfigError, Env
from meshkit.errors import MeshError
from services.live_execution.credentials import KeySource, Vault
from services.live_execution.credentials.__main__ import rotate


async def _key_ids(served: Served) -> set[str]:
    async with served.database.connection() as tx:
        return {row["key_id"] for row in await tx.fetch("SELECT key_id FROM credentials")}


async def test_ex_196_a_rotation_reaches_a_running_service(served: Served) -> None:
    """EX-196: rotate seals every row with a new key, and who serves meanwhile goes over to it."""
    for each in ("a", "b"):
        await served.stub.CreateCredential(creation(each))
    await served.trader("EMA-001", spec_naming("a", "c"))
    first = await _key_ids(served)
    env = {
        "MESH_DATABASE_URL": served.database.dsn,
        "MESH_CREDENTIAL_KEY_FILE": str(served.keys.file),
    }
    said = await rotate(env)
    second = await _key_ids(served)
    assert len(first) == len(second) == 1
    assert not first & second
    assert said.startswith("2 credentials")
    assert served.keys.file is not None
    assert served.keys.file.stat().st_mode & 0o777 == 0o600
    assert await served.vault.hand_over("default", "EMA-001", 1, "a") == SECRETS
    await served.stub.CreateCredential(creation("c"))
    assert await _key_ids(served) == second
    await rotate(env)
    await rotate(env)
    assert len(served.keys.file.read_text().split()) == 2  # what seals, and what did before
    assert await served.vault.hand_over("default", "EMA-001", 1, "c") == SECRETS


async def test_ex_197_a_start_with_wrong_keys_is_refused(served: Served, tmp_path: Path) -> None:
    """EX-197: a missing, open, damaged or foreign key file is told before anything is served."""
    await served.stub.CreateCredential(creation())

    async def fault(source: KeySource) -> str:
        with pytest.raises(ConfigError) as caught:
            await Vault(served.database, source).verify()
        return str(caught.value)

    missing = tmp_path / "missing.key"
    assert "not there" in await fault(KeySource(missing))
    assert not missing.exists()  # a new key would only hide that the old one is lost
    foreign = KeySource(text="ab" * 32)
    assert "does not open credential 'main'" in await fault(foreign)
    assert served.keys.file is not None
    open_file = tmp_path / "open.key"
    open_file.write_text(served.keys.file.read_text())
    open_file.chmod(0o644)
    assert "chmod 600" in await fault(KeySource(open_file))
    open_file.chmod(0o600)
    assert await Vault(served.database, KeySource(open_file)).verify() == 0
    open_file.write_text("rubbish")
    assert "hexadecimal" in await fault(KeySource(open_file))


async def test_ex_197_keys_from_a_variable_rotate_at_the_start(served: Served) -> None:
    """EX-197: with a new key first in the variable, a start seals the rows of the old one anew."""
    await served.stub.CreateCredential(creation())
    assert served.keys.file is not None
    old, new = served.keys.file.read_text().strip(), "cd" * 32
    vault = Vault(served.database, KeySource(text=f"{new}, {old}"))
    assert await vault.verify() == 1
    await served.trader("EMA-001", spec_naming("main"))
    alone = Vault(served.database, KeySource(text=new))
    assert await alone.verify() == 0
    assert await alone.hand_over("default", "EMA-001", 1, "main") == SECRETS
    with pytest.raises(ConfigError):
        await alone.rotate()
    with pytest.raises(MeshError) as caught:  # a service that still has the old key alone
        await served.vault.hand_over("default", "EMA-001", 1, "main")
    assert caught.value.code == "UNAVAILABLE"


async def test_ex_198_a_seal_is_bound_to_its_row(served: Served) -> None:
    """EX-198: a sealed secret that was moved to another row or project opens for nobody."""
    for each in ("main", "other"):
        await served.stub.CreateCredential(creation(each))
    await served.trader("EMA-001", spec_naming("main"))
    async with served.database.connection() as tx:
        await tx.execute(
            "UPDATE credentials SET sealed = (SELECT sealed FROM credentials"
            " WHERE credential_id = 'other') WHERE credential_id = 'main'"
        )
    with pytest.raises(MeshError) as caught:
        await served.vault.hand_over("default", "EMA-001", 1, "main")
    assert caught.value.code == "UNAVAILABLE"
    with pytest.raises(ConfigError):
        await Vault(served.database, served.keys).verify()


def test_ex_197_configuration() -> None:
    """EX-197: exactly one of file and text is taken, and a text does not show in a repr."""
    for values in ({}, {"MESH_CREDENTIAL_KEY": "a", "MESH_CREDENTIAL_KEY_FILE": "/b"}):
        env = Env(values)
        KeySource.read(env)
        with pytest.raises(ConfigError):
            env.check()
    env = Env({"MESH_CREDENTIAL_KEY": "ab" * 32})
    assert "abab" not in repr(KeySource.read(env))
    env.check()
