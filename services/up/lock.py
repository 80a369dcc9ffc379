"""One mesh on a data folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyRunning(Exception):
    """Another process holds the data folder."""


@contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Hold the data folder until the block ends; raises ``AlreadyRunning`` when another has it.

    The lock is the kernel's: it ends with the process, however that ends.
    """
    with (data / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise AlreadyRunning(
                f"A mesh runs already on {data} (process {holder}). Use it, stop it with Ctrl-C or "
                f"`kill {holder}`, or name another folder in MESH_DATA."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
