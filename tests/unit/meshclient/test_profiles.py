"""Profiles in a file that only its owner can read."""

import stat
from pathlib import Path

import pytest

from meshclient import profiles
from meshclient.errors import ProfileError


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Give an environment that names a file which is not there yet."""
    return {"MESH_CONFIG": str(tmp_path / "deep" / "profiles.toml")}


def test_mc_03_a_profile_is_read_back(env: dict[str, str]) -> None:
    """MC-03: what is written is read back, others are kept, and the file's mode is 0600."""
    profiles.write("local", "127.0.0.1:8080", 'k"\\ey', env=env)
    file = profiles.write("far", "https://mesh.example", "two", "fx", default=False, env=env)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert profiles.load(env=env) == profiles.Profile("local", "127.0.0.1:8080", 'k"\\ey')
    assert profiles.load("far", env).project == "fx"
    assert profiles.names(env) == ["far", "local"]
    assert list(file.parent.iterdir()) == [file]


def test_mc_03_the_environment_overrides(env: dict[str, str]) -> None:
    """MC-03: MESH_PROFILE chooses, MESH_ADDRESS and MESH_API_KEY override or stand alone."""
    profiles.write("local", "127.0.0.1:8080", "one", env=env)
    profiles.write("other", "127.0.0.1:9090", "two", default=False, env=env)
    assert profiles.load(env={**env, "MESH_PROFILE": "other"}).api_key == "two"
    assert profiles.load(env={**env, "MESH_ADDRESS": "h:1"}).address == "h:1"
    bare = {"MESH_CONFIG": "/nowhere/at/all.toml", "MESH_API_KEY": "three"}
    assert profiles.load(env=bare) == profiles.Profile("local", "127.0.0.1:8080", "three")


def test_mc_03_no_profile_says_what_to_do(env: dict[str, str]) -> None:
    """MC-03: without profile and key the error names the file and the remedy."""
    with pytest.raises(ProfileError, match="no profile 'local'") as caught:
        profiles.load(env=env)
    assert caught.value.reason == "PROFILE_MISSING"
    assert "meshctl login" in caught.value.remedy


def test_mc_03_a_readable_file_is_refused(env: dict[str, str]) -> None:
    """MC-03: a file with keys that others can read is refused with the command that mends it."""
    file = profiles.write("local", "a:1", "k", env=env)
    file.chmod(0o644)
    with pytest.raises(ProfileError, match="chmod 600"):
        profiles.load(env=env)


@pytest.mark.parametrize(
    "text",
    ["default = ", "profiles = 3", "[profiles.local]\nadress = 'x'", "[profiles.local]\naddress=1"],
)
def test_mc_03_a_damaged_file_is_refused(env: dict[str, str], text: str) -> None:
    """MC-03: what is not a profile file says so instead of being half understood."""
    file = profiles.write("local", "a:1", "k", env=env)
    file.write_text(text)
    with pytest.raises(ProfileError) as caught:
        profiles.load(env=env)
    assert caught.value.reason == "PROFILE_INVALID"


def test_a_key_is_not_shown_by_repr() -> None:
    """A profile in a log does not give its key away."""
    assert "secret" not in repr(profiles.Profile("a", api_key="secret"))
