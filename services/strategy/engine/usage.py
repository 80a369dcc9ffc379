"""What a process and its descendants use, as the kernel counts it."""

from dataclasses import dataclass
from pathlib import Path

import psutil

_OWN = ("RssAnon:", "RssShmem:")


@dataclass(frozen=True)
class Usage:
    """Resident bytes of their own (pages of files left out), and the number of processes."""

    resident: int
    processes: int


def usage(pid: int) -> Usage:
    """Return what process ``pid`` and its descendants use; nothing when it has ended.

    Shared memory counts for each process that touched it, and so does what a fork shares.
    """
    try:
        outer = psutil.Process(pid)
        pids = [pid, *(child.pid for child in outer.children(recursive=True))]
    except psutil.NoSuchProcess:
        return Usage(0, 0)
    return Usage(sum(map(_resident, pids)), len(pids))


def _resident(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(_OWN))
