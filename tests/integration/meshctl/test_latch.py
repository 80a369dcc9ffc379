"""``meshctl halt --direct``: the kill switch past the mesh, on the mesh's own Redis."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
import redis
import redis.exceptions

from integration.meshctl.conftest import Meshctl
from meshclient import profiles
from running_mesh import RunningMesh

pytestmark = pytest.mark.timeout(300)

SCOPE = ("--trader", "NOBODY-1")
KEY = "halt:default:trader:NOBODY-1"


@pytest.fixture
def latch_url(mesh: RunningMesh) -> str:
    """Give the URL of the user who may set halts."""
    return profiles.load(env=mesh.env).latch_url


@pytest.fixture
def alone(meshctl: Meshctl, latch_url: str) -> Iterator[Meshctl]:
    """Give ``meshctl`` without a profile, gateway or key, as when all services are down: only the
    latch. What it has set is reset at the end.
    """
    config = str(meshctl.folder / "none.toml")
    yield Meshctl(
        {**meshctl.env, "MESH_CONFIG": config, "MESH_LATCH_URL": latch_url}, meshctl.folder
    )
    for halt in meshctl.json("halt", "ls"):
        meshctl("halt", "reset", halt["halt_id"], "--yes")


def test_ex_205_a_halt_past_the_mesh(meshctl: Meshctl, alone: Meshctl) -> None:
    """EX-205: without any service the latch is set and listed; the service puts it on record when
    it finds it, and a reset through the service clears it.
    """
    made = alone.json("halt", "set", *SCOPE, "--direct", "--project", "default", "--reason", "fire")
    assert made["key"] == KEY
    assert KEY in alone("halt", "ls", "--direct").stdout
    found = _on_record(meshctl, made["halt_id"])
    assert (found["source"], found["reason"]) == ("HALT_SOURCE_LATCH", "fire")
    assert found["scope"] == {"trader_id": "NOBODY-1"}
    meshctl("halt", "reset", made["halt_id"][:8], "--yes")
    assert alone.json("halt", "ls", "--direct") == []
    assert made["halt_id"] not in {each["halt_id"] for each in meshctl.json("halt", "ls")}


def _on_record(meshctl: Meshctl, halt_id: str) -> dict[str, object]:
    """Return a halt of the latch once the service has found it: it looks every few seconds."""
    for _ in range(100):
        for halt in meshctl.json("halt", "ls"):
            if halt["halt_id"] == halt_id:
                return dict(halt)
    raise AssertionError("the service has not found the latch")


def test_ex_205_a_latch_only_gets_stricter(alone: Meshctl) -> None:
    """EX-205: a second halt of a scope never loosens the first one, and keeps its flatten."""
    options = (*SCOPE, "--direct", "--project", "default")
    first = alone.json("halt", "set", *options, "--reducing", "--flatten")
    assert (first["reducing"], bool(first["flatten_id"])) == (True, True)
    second = alone.json("halt", "set", *options)
    assert (second["reducing"], second["flatten_id"]) == (False, first["flatten_id"])
    third = alone.json("halt", "set", *options, "--reducing")
    assert third["reducing"] is False
    (kept,) = alone.json("halt", "ls", "--direct")
    assert kept["halt_id"] == third["halt_id"]


def test_ex_205_the_whole_mesh(alone: Meshctl, meshctl: Meshctl) -> None:
    """EX-205: --all-projects latches every trader; a project must be named for the rest."""
    made = alone.json("halt", "set", "--direct", "--all-projects")
    assert made["key"] == "halt:all"
    error = alone.error("halt", "set", "--direct", "--all", code=2)
    assert "--project" in error["message"]
    assert alone.error("halt", "set", "--all-projects", code=2)["reason"] == "USAGE"
    _on_record(meshctl, made["halt_id"])


def test_ex_205_the_user_may_do_nothing_else(latch_url: str) -> None:
    """EX-205: who may halt cannot touch another key, nor administer Redis."""
    with redis.Redis.from_url(latch_url, protocol=2) as client:
        for command in (
            ("GET", "facts:strategy"),
            ("SET", "commands:trader:default:X", "1"),
            ("XADD", "facts:live_execution", "*", "a", "b"),
            ("CONFIG", "GET", "requirepass"),
            ("FLUSHALL",),
            ("DEL", KEY),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)


def test_ex_205_a_latch_out_of_reach(alone: Meshctl) -> None:
    """EX-205: that nothing was halted is said plainly, and never with the password."""
    alone.env["MESH_LATCH_URL"] = "redis://latch:pass-word-9@127.0.0.1:1"
    done = alone("halt", "set", *SCOPE, "--direct", "--project", "p", code=1)
    assert "LATCH_UNREACHABLE" in done.stderr
    assert "Nothing is halted" in done.stderr
    assert "pass-word-9" not in done.stderr + done.stdout
    alone.env["MESH_LATCH_URL"] = "pass-word-9"
    assert "pass-word-9" not in alone("halt", "ls", "--direct", code=2).stderr
    del alone.env["MESH_LATCH_URL"]
    assert alone.error("halt", "ls", "--direct", code=1)["reason"] == "LATCH_UNKNOWN"


def test_ex_205_the_package_is_an_extra(alone: Meshctl) -> None:
    """EX-205: without the package redis all else works, and --direct names the extra."""
    code = (
        "import sys; sys.modules['redis'] = None; sys.modules['redis.asyncio'] = None\n"
        "from meshclient.cli.main import run; run()"
    )
    command = [sys.executable, "-c", code, "halt", "ls", "--direct"]
    done = subprocess.run(command, env=alone.env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nautilus-mesh[latch]" in done.stderr
