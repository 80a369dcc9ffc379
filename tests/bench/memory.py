"""Memory of the idle mesh."""

import psutil

from bench.figure import Figure, Measured
from bench.place import Place


async def measure(place: Place) -> Measured:
    """Sum the proportional set size of every process: shared pages count once."""
    ours = psutil.Process(place.mesh.child.pid)
    processes = [ours, *ours.children(recursive=True)]
    total = sum(process.memory_full_info().pss for process in processes)
    return Measured(total / 2**20, f"{len(processes)} processes")


FIGURES = [Figure("mesh_memory_mb", "MiB", measure, at_most=900)]
