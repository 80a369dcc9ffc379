"""Where a figure is measured: a mesh of its own, with the sample loaded."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from meshclient.client import MeshClient
from running_mesh import RunningMesh, start_mesh


@dataclass(frozen=True)
class Place:
    """A running mesh and a folder for what a figure makes."""

    mesh: RunningMesh
    folder: Path

    def client(self) -> MeshClient:
        """Return a client of the mesh, through its gateway."""
        return MeshClient.from_profile(env=self.mesh.env)

    def cpu_seconds(self) -> float:
        """Return the CPU time of the whole mesh so far, its ended processes included."""
        ours = psutil.Process(self.mesh.child.pid)
        return sum(sum(each.cpu_times()[:4]) for each in [ours, *ours.children(recursive=True)])


@contextmanager
def place() -> Iterator[Place]:
    """Start a mesh in a folder that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="mesh-b-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        mesh = start_mesh(folder / "data")
        try:
            mesh.wait_for("mesh ready")
            yield Place(mesh, folder)
        finally:
            mesh.stop()
