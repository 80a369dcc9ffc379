"""Stepping aside before code of users runs: the exit code comes out, and nothing stays behind."""

import secrets
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import meshkit

HERE = {"PYTHONPATH": str(Path(meshkit.__file__).parents[1])}
ENTER = "from meshkit import confine\ninside = confine.enter()\n"
REFUSED = "import os\ndef refuse(_): raise PermissionError\nos.unshare = refuse\n"
NAMED = """
import ctypes, os, time
ctypes.CDLL(None).prctl(15, b'{name}', 0, 0, 0)
"""
DETACHED = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: time.sleep(3600)
    os._exit(0)
os.wait()
"""


def ended(script: str) -> int:
    """Run a script and return its exit code."""
    done = subprocess.run([sys.executable, "-c", script], env=HERE, timeout=30, check=False)
    return done.returncode


def named(name: str) -> list[psutil.Process]:
    """Return the processes of that name."""
    return [process for process in psutil.process_iter() if process.name() == name]


@pytest.mark.parametrize("before", ["", REFUSED])
@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("import os; os._exit(7)", 7),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 139),
        ("raise SystemExit(3)", 3),
    ],
)
def test_the_exit_code_comes_out(before: str, end: str, code: int) -> None:
    """The process that was started ends as the one that went on inside, signals as 128 + n."""
    assert ended(before + ENTER + end) == code


@pytest.mark.parametrize("before", ["", REFUSED])
def test_nothing_stays_behind(before: str) -> None:
    """A process that detached itself ends too, with namespaces and without."""
    name = secrets.token_hex(6)
    assert ended(before + ENTER + NAMED.format(name=name) + DETACHED) == 0
    assert not named(name)


@pytest.mark.parametrize("before", ["", REFUSED])
def test_it_ends_with_its_starter(before: str) -> None:
    """When the process that started it is killed, nothing inside lives on."""
    name = secrets.token_hex(6)
    inside = before + ENTER + NAMED.format(name=name) + "print('in', flush=True); time.sleep(3600)"
    starter = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inside!r}])"
    command = [sys.executable, "-c", starter]
    with subprocess.Popen(command, env=HERE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        left = named(name)
        assert left
        process.kill()
    _, alive = psutil.wait_procs(left, timeout=10)
    assert not alive


def test_inside_is_alone() -> None:
    """Inside, only its own two processes are seen, and no network device is up."""
    alone = "import os; pids = [p for p in os.listdir('/proc') if p.isdigit()]\n"
    assert ended(ENTER + alone + "raise SystemExit(0 if inside and len(pids) == 2 else 1)") == 0
