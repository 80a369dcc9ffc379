"""``meshctl credential`` against a whole mesh, and a search of all of it for the secrets."""

import os
import pty
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from integration.meshctl.conftest import ENTRY, Here, Meshctl, read_terminal
from running_mesh import RunningMesh

pytestmark = pytest.mark.timeout(300)

KEY, SECRET, NEW = "Vw7KeyThatIsTyped", "Vw7SecretThatIsTyped", "Vw7SecretOfTheRotation"


@pytest.fixture
def typed(meshctl: Meshctl) -> Iterator[str]:
    """Give a credential whose secrets were typed at the prompt; it is removed."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [*ENTRY, "credential", "create", "typed", "binance"],
        env={**meshctl.env, "TERM": "dumb"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    shown = ""
    for field, secret in (("api_key", KEY), ("api_secret", SECRET)):
        shown += read_terminal(ours, until=lambda text, field=field: field in text)
        _until_silent(theirs)
        os.write(ours, f"{secret}\n".encode())
    os.close(theirs)
    shown += read_terminal(ours, until=lambda text: False)
    assert child.wait(30) == 0, shown
    assert KEY not in shown  # what is typed is not echoed
    assert SECRET not in shown
    yield "typed"
    meshctl("credential", "rm", "typed", "--yes")


def _until_silent(terminal: int) -> None:
    """Wait until a terminal does not echo what is typed: the prompt comes a moment before that."""
    end = time.monotonic() + 30
    while termios.tcgetattr(terminal)[3] & termios.ECHO:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_ex_209_no_secret_is_anywhere_in_a_mesh(here: Here, mesh: RunningMesh, typed: str) -> None:
    """EX-209: secrets by prompt, file and stdin are in no file of a running mesh, its databases and
    logs among them, in no environment or argument of its processes, and in no output.
    """
    told = [here("credential", "get", typed).stdout, here("credential", "ls").stdout]
    (here.folder / "new.yaml").write_text(f"api_key: {NEW}\napi_secret: {NEW}\n")
    rotated = here.json("credential", "rotate", typed, "--from", "new.yaml", "--expires", "9d")
    assert rotated["rotated_time"]
    assert rotated["expire_time"]
    told.append(str(rotated))
    told.append(str(here.error("credential", "create", typed, "okx", "--from", "new.yaml", code=2)))
    secrets = [each.encode() for each in (KEY, SECRET, NEW)]
    for name, content in (*_processes(mesh), *_files(mesh.data), ("told", str(told).encode())):
        assert not [secret for secret in secrets if secret in content], name


def _processes(mesh: RunningMesh) -> Iterator[tuple[str, bytes]]:
    """Yield environment and arguments of every process of a mesh."""
    parent = psutil.Process(mesh.child.pid)
    for process in (parent, *parent.children(recursive=True)):
        for name in ("environ", "cmdline"):
            path = Path(f"/proc/{process.pid}/{name}")
            try:
                yield str(path), path.read_bytes()
            except OSError:  # it has ended meanwhile
                continue


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every file of a data folder: the databases' own, logs, keys."""
    for path in folder.rglob("*"):
        if path.is_file():
            try:
                yield str(path), path.read_bytes()
            except OSError:  # a log that was put aside, a segment that was recycled
                continue


def test_ex_209_bad_input_and_what_is_not_there(here: Here) -> None:
    """EX-209: secrets are not taken as arguments; bad ones and bad files are named, not shown."""
    assert here.error("credential", "get", "nope", code=4)["reason"] == "CREDENTIAL_NOT_FOUND"
    assert here.error("credential", "create", "x", "binance", code=2)["reason"] == "USAGE"
    (here.folder / "bad.yaml").write_text(f"api_key: [{SECRET}")
    done = here("credential", "create", "x", "binance", "--from", "bad.yaml", code=2)
    assert SECRET not in done.stdout + done.stderr
    (here.folder / "half.json").write_text(f'{{"api_key": "{SECRET}"}}')
    error = here.error("credential", "create", "x", "binance", "--from", "half.json", code=2)
    assert (error["reason"], error["metadata"]["field"]) == ("CREDENTIAL_INVALID", "api_secret")
    assert SECRET not in str(error)
    (here.folder / "swap.json").write_text(f'{{"{SECRET}": "api_key"}}')
    error = here.error("credential", "create", "x", "binance", "--from", "swap.json", code=2)
    assert SECRET not in str(error)
    assert here.json("credential", "ls") == []
