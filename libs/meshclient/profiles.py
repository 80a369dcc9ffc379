"""Profiles: where a mesh is and the API key for it, in a TOML file that only its owner can read.

The file is ``$MESH_CONFIG`` or ``~/.config/nautilus-mesh/profiles.toml``. ``MESH_PROFILE`` names
the profile to use; ``MESH_ADDRESS``, ``MESH_API_KEY``, ``MESH_PROJECT`` and ``MESH_LATCH_URL``
override its fields.
"""

import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from meshclient.errors import ProfileError

DEFAULT_NAME = "local"
DEFAULT_ADDRESS = "127.0.0.1:8080"
_NAME = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
_FIELDS = ("address", "api_key", "project", "latch_url")


@dataclass(frozen=True)
class Profile:
    """A mesh to talk to.

    ``address`` is ``host:port`` (plaintext) or ``https://host[:port]`` (TLS); ``project`` may be
    empty, which means the key's first one. ``latch_url`` is the Redis of the mesh for a user who
    may set halts and nothing else: the kill switch past all services (``meshclient.latch``).
    """

    name: str
    address: str = DEFAULT_ADDRESS
    api_key: str = field(default="", repr=False)
    project: str = ""
    latch_url: str = field(default="", repr=False)


def path(env: Mapping[str, str] = os.environ) -> Path:
    """Return the file that holds the profiles, whether it exists or not."""
    if chosen := env.get("MESH_CONFIG"):
        return Path(chosen).expanduser()
    base = env.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "nautilus-mesh" / "profiles.toml"


def load(name: str = "", env: Mapping[str, str] = os.environ) -> Profile:
    """Return a profile: the named one, or ``MESH_PROFILE``, or the file's default.

    Raises ``ProfileError`` when there is neither such a profile nor an address and key in the
    environment.
    """
    document = _read(path(env))
    wanted = name or env.get("MESH_PROFILE") or str(document.get("default", DEFAULT_NAME))
    found = _profiles(document).get(wanted)
    if found is None and (name or not env.get("MESH_API_KEY")):
        raise ProfileError(
            f"There is no profile '{wanted}' in {path(env)}.",
            code="UNAUTHENTICATED",
            reason="PROFILE_MISSING",
        )
    profile = found or Profile(wanted)
    given = {key: env[f"MESH_{key.upper()}"] for key in _FIELDS if env.get(f"MESH_{key.upper()}")}
    return replace(profile, **given)


def names(env: Mapping[str, str] = os.environ) -> list[str]:
    """Return the names in the file, sorted."""
    return sorted(_profiles(_read(path(env))))


def write(
    name: str,
    address: str,
    api_key: str,
    project: str = "",
    *,
    latch_url: str = "",
    default: bool = True,
    env: Mapping[str, str] = os.environ,
) -> Path:
    """Write a profile into the file (mode 0600), keeping the others; return the file's path.

    ``default`` makes it the one that is used when none is named. A ``latch_url`` that is there
    stays unless another one is given.
    """
    if not _NAME.fullmatch(name):
        raise ProfileError(
            f"'{name}' is no name for a profile: letters, digits, - and _ only.",
            code="INVALID_ARGUMENT",
            reason="PROFILE_INVALID",
        )
    file = path(env)
    document = _read(file)
    profiles = _profiles(document)
    latch_url = latch_url or (profiles[name].latch_url if name in profiles else "")
    profiles[name] = Profile(name, address, api_key, project, latch_url)
    chosen = name if default else str(document.get("default", name))
    _replace(file, _render(chosen, profiles))
    return file


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            _refuse_shared(file, os.fstat(opened.fileno()))
            return tomllib.load(opened)
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _invalid(f"{file} is not TOML: {error}") from None
    except OSError as error:
        raise _invalid(f"{file} cannot be read: {error.strerror}") from None


def _refuse_shared(file: Path, status: os.stat_result) -> None:
    """Refuse a file that others can read: it holds keys."""
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise _invalid(f"{file} holds API keys and others can read it: chmod 600 {file}")


def _profiles(document: Mapping[str, Any]) -> dict[str, Profile]:
    tables = document.get("profiles", {})
    if not isinstance(tables, dict):
        raise _invalid("`profiles` must be a table of tables")
    return {name: _profile(name, table) for name, table in tables.items()}


def _profile(name: str, table: object) -> Profile:
    if not isinstance(table, dict):
        raise _invalid(f"[profiles.{name}] must be a table")
    for key, value in table.items():
        if key not in _FIELDS or not isinstance(value, str):
            raise _invalid(f"profiles.{name}.{key} must be one of {', '.join(_FIELDS)}, as text")
    return Profile(name, **table)


def _render(default: str, profiles: Mapping[str, Profile]) -> str:
    lines = [f"default = {_quoted(default)}"]
    for name, profile in sorted(profiles.items()):
        lines += ["", f"[profiles.{name}]"]
        values = [(key, getattr(profile, key)) for key in _FIELDS]
        lines += [f"{key} = {_quoted(value)}" for key, value in values if value]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    if any(ord(sign) < 32 for sign in text):
        raise _invalid("addresses and keys hold no control characters")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _replace(file: Path, text: str) -> None:
    """Write beside and rename: a reader sees the old file or the new one, never a half."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, beside = tempfile.mkstemp(dir=file.parent, prefix=".profiles-")  # made with 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(text)
        os.replace(beside, file)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _invalid(message: str) -> ProfileError:
    return ProfileError(message, code="INVALID_ARGUMENT", reason="PROFILE_INVALID")
