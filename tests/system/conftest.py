"""One mesh for all tests that come with programs of their own."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from running_mesh import RunningMesh, start_mesh

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="session")
def mesh() -> Iterator[RunningMesh]:
    """Give a mesh that is ready."""
    with tempfile.TemporaryDirectory(prefix="mesh-s-") as name:
        Path(name).chmod(0o711)
        running = start_mesh(Path(name) / "data")
        try:
            running.wait_for("mesh ready")
            yield running
        finally:
            running.stop()


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Install what package-lock.json pins, and return the folder."""
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=NODE, check=True)
    return NODE
