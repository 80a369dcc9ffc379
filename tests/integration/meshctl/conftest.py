"""A whole mesh for the tests of ``meshctl``: started once, with its sample and first run."""

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from meshclient.cli.main import app
from running_mesh import RunningMesh, start_mesh

ENTRY = [sys.executable, "-c", "from meshclient.cli.main import run; run()"]


@dataclass
class Meshctl:
    """Runs ``meshctl`` against the mesh, in a folder of its own."""

    env: dict[str, str]
    folder: Path

    def __call__(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command and return what it printed; its exit code must be ``code``."""
        done = subprocess.run(
            [*ENTRY, *arguments],
            env=self.env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == code, f"{arguments}: {done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: str) -> Any:
        """Run a command with ``--json`` and return the document."""
        return json.loads(self(*arguments, "--json").stdout)

    def error(self, *arguments: str, code: int) -> dict[str, Any]:
        """Run a command that fails and return its error; stdout must stay empty."""
        done = self(*arguments, "--json", code=code)
        assert done.stdout == ""
        return dict(json.loads(done.stderr)["error"])

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and return its process."""
        return subprocess.Popen(
            [*ENTRY, *arguments],
            env=self.env,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


class Here(Meshctl):
    """Runs ``meshctl`` in this process: a start of an interpreter takes longer than most commands.

    Not within an event loop: a command runs one of its own.
    """

    def __call__(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command and return what it printed; its exit code must be ``code``."""
        with contextlib.chdir(self.folder):
            done = CliRunner().invoke(app, list(arguments), env=self.env, prog_name="meshctl")
        assert done.exit_code == code, f"{arguments}: {done.output}"
        assert "Traceback" not in done.stderr
        return subprocess.CompletedProcess(arguments, code, done.stdout, done.stderr)


def read_terminal(terminal: int, until: Any) -> str:
    """Return what a terminal shows until a condition holds, or its program has ended."""
    text, end = "", time.monotonic() + 60
    while not until(text):
        ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
        assert ready, f"nothing more came after: {text!r}"
        try:
            text += os.read(terminal, 65536).decode(errors="replace")
        except OSError:  # how a terminal says that nobody is there any more
            break
    return text


@pytest.fixture(scope="session")
def mesh() -> Iterator[RunningMesh]:
    """Give a mesh that has done its first run; it is stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="mesh-ctl-") as name:
        Path(name).chmod(0o711)  # PostgreSQL's own user passes through
        running = start_mesh(Path(name) / "data")
        try:
            running.wait_for("mesh ready")
            yield running
        finally:
            if running.child.poll() is None:
                assert running.stop() == 0, running.said()


@pytest.fixture
def meshctl(mesh: RunningMesh, tmp_path: Path) -> Meshctl:
    """Give ``meshctl`` with the profile that the mesh wrote, in an empty folder."""
    env = {key: value for key, value in mesh.env.items() if key not in ("COLUMNS", "LINES")}
    return Meshctl({**env, "PYTHONPATH": ":".join(sys.path)}, tmp_path)


@pytest.fixture
def here(meshctl: Meshctl) -> Here:
    """Give ``meshctl`` in this process, with the profile that the mesh wrote."""
    return Here(meshctl.env, meshctl.folder)
