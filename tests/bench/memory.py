"""Memory of the idle mesh."""

from collections.abc import Iterable

import psutil

from bench.figure import Figure, Measured
from bench.place import Place


async def measure(place: Place) -> Measured:
    """Add up the resident memory of every process, shared pages once."""
    ours = psutil.Process(place.mesh.child.pid)
    processes = [ours, *ours.children(recursive=True)]
    pss = sum(process.memory_full_info().pss for process in processes)
    return Measured(
        _resident(processes) / 2**20, f"{len(processes)} processes; sum of PSS {pss / 2**20:.0f}"
    )


def _resident(processes: Iterable[psutil.Process]) -> int:
    """Return bytes: what is the processes' own, and of each mapped file the largest part once.

    The sum of PSS alone would be too low wherever others run the same Python: the kernel gives
    them a share of the libraries.
    """
    own, files = 0, dict[tuple[str, str, int], int]()
    for process in processes:
        for part in process.memory_maps(grouped=False):
            if not part.path.startswith("/") or part.path.endswith("(deleted)"):
                own += part.pss  # heap, stack, shared memory: nobody else has them
                continue
            own += part.private_dirty
            key = (part.path, part.perms, part.size)
            files[key] = max(files.get(key, 0), part.rss - part.private_dirty)
    return own + sum(files.values())


FIGURES = [Figure("mesh_memory_mb", "MiB", measure, at_most=900)]
