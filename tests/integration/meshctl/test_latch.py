"""``meshctl halt --direct``: the kill switch past the mesh, on the mesh's own Redis."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest
import redis
import redis.exceptions

from integration.meshctl.conftest import Here
from mesh.execution.v1.safety_pb2 import HALT_SOURCE_LATCH, Halt
from meshclient import MeshClient, profiles
from running_mesh import RunningMesh

pytestmark = pytest.mark.timeout(300)

TRADER = "LATCH-001"
SCOPE = ("--trader", TRADER)
KEY = f"halt:default:trader:{TRADER}"


@pytest.fixture
def latch_url(mesh: RunningMesh) -> str:
    """Give the URL of the user who may set halts."""
    return profiles.load(env=mesh.env).latch_url


@pytest.fixture
def alone(here: Here, latch_url: str) -> Iterator[Here]:
    """Give ``meshctl`` without a profile, gateway or key, as when all services are down: only the
    latch. There is a trader to halt; the halts are reset and it is gone at the end.
    """
    here("trader", "create", TRADER, "--replay", "--sandbox", "SIM")
    config = str(here.folder / "none.toml")
    yield Here({**here.env, "MESH_CONFIG": config, "MESH_LATCH_URL": latch_url}, here.folder)
    for halt in here.json("halt", "ls"):
        here("halt", "reset", halt["halt_id"], "--yes")
    here("trader", "rm", TRADER, "--yes")


def test_ex_205_a_halt_past_the_mesh(mesh: RunningMesh, here: Here, alone: Here) -> None:
    """EX-205: without any service the latch is set and listed; the service puts it on record when
    it finds it, and a reset through the service clears it.
    """
    made = alone.json("halt", "set", *SCOPE, "--direct", "--project", "default", "--reason", "fire")
    assert made["key"] == KEY
    assert KEY in alone("halt", "ls", "--direct").stdout
    found = _found(mesh, made["halt_id"])
    assert (found.source, found.reason) == (HALT_SOURCE_LATCH, "fire")
    assert found.scope.trader_id == TRADER
    here("halt", "reset", made["halt_id"][:8], "--yes")
    assert KEY not in alone("halt", "ls", "--direct").stdout
    assert made["halt_id"] not in {each["halt_id"] for each in here.json("halt", "ls")}


def _found(mesh: RunningMesh, halt_id: str) -> Halt:
    """Return a halt of the latch once the service has put it on record."""

    async def look() -> Halt:
        async with MeshClient.from_profile(env=mesh.env) as client, asyncio.timeout(60):
            while True:
                for halt in await client.safety.list(active=True):
                    if halt.halt_id == halt_id:
                        return halt
                await asyncio.sleep(0.1)

    return asyncio.run(look())


def test_ex_205_a_latch_only_gets_stricter(alone: Here) -> None:
    """EX-205: a second halt of a scope never loosens the first one, and keeps its flatten."""
    # Of a trader that is not there: the service puts those that are in order with its own halts.
    options = ("--trader", "NOBODY-2", "--direct", "--project", "default")
    first = alone.json("halt", "set", *options, "--reducing", "--flatten")
    assert (first["reducing"], bool(first["flatten_id"])) == (True, True)
    second = alone.json("halt", "set", *options)
    assert (second["reducing"], second["flatten_id"]) == (False, first["flatten_id"])
    third = alone.json("halt", "set", *options, "--reducing")
    assert third["reducing"] is False
    kept = {each["key"]: each for each in alone.json("halt", "ls", "--direct")}
    assert kept[third["key"]]["halt_id"] == third["halt_id"]


def test_ex_205_the_whole_mesh(mesh: RunningMesh, alone: Here) -> None:
    """EX-205: --all-projects latches every trader; a project must be named for the rest."""
    made = alone.json("halt", "set", "--direct", "--all-projects")
    assert made["key"] == "halt:all"
    error = alone.error("halt", "set", "--direct", "--all", code=2)
    assert "--project" in error["message"]
    assert alone.error("halt", "set", "--all-projects", code=2)["reason"] == "USAGE"
    assert _found(mesh, made["halt_id"]).scope.all


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


def test_ex_205_a_latch_out_of_reach(alone: Here) -> None:
    """EX-205: that nothing was halted is said plainly, and never with the password."""
    alone.env["MESH_LATCH_URL"] = "redis://latch:pass-word-9@127.0.0.1:1"
    done = alone("halt", "set", *SCOPE, "--direct", "--project", "p", code=1)
    assert "LATCH_UNREACHABLE" in done.stderr
    assert "Nothing is halted" in done.stderr
    assert "pass-word-9" not in done.stderr + done.stdout
    alone.env["MESH_LATCH_URL"] = "pass-word-9"
    assert "pass-word-9" not in alone("halt", "ls", "--direct", code=2).stderr
    alone.env["MESH_LATCH_URL"] = ""
    assert alone.error("halt", "ls", "--direct", code=1)["reason"] == "LATCH_UNKNOWN"


def test_ex_205_the_package_is_an_extra(alone: Here) -> None:
    """EX-205: without the package redis all else works, and --direct names the extra."""
    code = (
        "import sys; sys.modules['redis'] = None; sys.modules['redis.asyncio'] = None\n"
        "from meshclient.cli.main import run; run()"
    )
    command = [sys.executable, "-c", code, "halt", "ls", "--direct"]
    done = subprocess.run(command, env=alone.env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nautilus-mesh[latch]" in done.stderr
