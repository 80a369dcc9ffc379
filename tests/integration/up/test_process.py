"""Processes are kept alive, reported, and stopped in order."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from services.up.embedded.process import process_alive
from services.up.process import Failed, Spec, end_leftovers
from services.up.supervisor import supervised

SERVES = """
import pathlib, signal, sys, time
name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
def end(*_):
    with (folder / "ended").open("a") as file:
        file.write(name + " ")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
(folder / name).touch()
while True:
    time.sleep(60)
"""
"""A process that is healthy when its file is there, and tells when it ends."""


def _spec(name: str, folder: Path, script: str = SERVES) -> Spec:
    return Spec(
        name=name,
        command=(sys.executable, "-c", script, name, str(folder)),
        env=dict(os.environ),
        address="nowhere",
        probe=_exists(folder / name),
    )


def _exists(path: Path) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        return path.exists()

    return probe


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


def _pid(folder: Path, name: str) -> int:
    return int((folder / f"{name}.pid").read_text().split()[0])


async def test_a_process_that_dies_is_started_again(tmp_path: Path) -> None:
    """Death is said, and a new process takes its place."""
    said: list[str] = []
    async with supervised([_spec("one", tmp_path)], tmp_path, tmp_path, said.append) as processes:
        (tmp_path / "one").unlink()
        os.kill(_pid(tmp_path, "one"), signal.SIGKILL)
        await _until((tmp_path / "one").exists)
        assert processes[0].starts == 2
        assert "one ended with -9; starting it again in 0.2 s" in said


async def test_the_last_started_is_stopped_first(tmp_path: Path) -> None:
    """Who calls is gone before who is called, and nothing is left."""
    specs = [_spec(name, tmp_path) for name in ("one", "two", "three")]
    async with supervised(specs, tmp_path, tmp_path, lambda text: None):
        pids = [_pid(tmp_path, spec.name) for spec in specs]
    assert (tmp_path / "ended").read_text() == "three two one "
    assert not any(process_alive(pid) for pid in pids)
    assert not list(tmp_path.glob("*.pid"))


async def test_a_process_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    """A bad configuration is not tried again, and what the process said is in the error."""
    spec = _spec("one", tmp_path, "import sys; print('MESH_X is not set'); sys.exit(2)")
    with pytest.raises(Failed, match="MESH_X is not set"):
        async with supervised([spec], tmp_path, tmp_path, lambda text: None):
            pass


async def test_what_a_killed_start_left_is_ended(tmp_path: Path) -> None:
    """After kill -9 of the one who started them, processes give way to their successors."""
    spec = _spec("one", tmp_path)
    left = subprocess.Popen(spec.command, env=spec.env)  # noqa: ASYNC220 - it is not waited for
    await _until((tmp_path / "one").exists)
    started = Path(f"/proc/{left.pid}/stat").read_text().rpartition(")")[2].split()[19]
    (tmp_path / "one.pid").write_text(f"{left.pid} {started}")
    end_leftovers(tmp_path)
    assert left.wait(10) == 0
    assert not list(tmp_path.glob("*.pid"))


def test_another_process_of_that_number_is_left_alone(tmp_path: Path) -> None:
    """A pid file from before a reboot does not kill whoever has the number now."""
    (tmp_path / "one.pid").write_text(f"{os.getpid()} 1")
    end_leftovers(tmp_path)
    assert not list(tmp_path.glob("*.pid"))
