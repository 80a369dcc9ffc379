"""What both stores share: private folders, a child that is waited for, and adoption of one that
runs.
"""

import hashlib
import os
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST_SOCKET_FOLDER = 80
"""A Unix socket's path has at most 107 bytes; a folder of this length leaves room for the names."""


class EmbeddedError(Exception):
    """An embedded store did not start; the text says why and what to do."""


@dataclass(frozen=True)
class Identity:
    """The user that a store runs as."""

    uid: int
    gid: int

    @property
    def is_us(self) -> bool:
        """Whether that is the present user."""
        return self.uid == os.geteuid()

    def step_down(self) -> dict[str, Any]:
        """Return the options of ``subprocess`` that make a child run as that user."""
        if self.is_us:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": ()}


OURSELVES = Identity(os.geteuid(), os.getegid())


def private_folder(path: Path, owner: Identity = OURSELVES) -> Path:
    """Make a folder that only its owner may enter, or check that an existing one is so.

    Folders above it are made where missing; the modes of those that exist are never changed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
        if not owner.is_us:
            os.chown(path, owner.uid, owner.gid)
    except FileExistsError:
        found = path.lstat()
        private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
        if not private or found.st_uid != owner.uid:
            raise EmbeddedError(
                f"{path} is there and is not a private folder of user {owner.uid}. "
                "Move it away and start again."
            ) from None
    return path


def socket_folder(wanted: Path, owner: Identity = OURSELVES) -> Path:
    """Return a private folder for sockets: the wanted one, or a short one where its path is too
    long.
    """
    if len(os.fsencode(wanted)) <= LONGEST_SOCKET_FOLDER:
        return private_folder(wanted, owner)
    digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]
    return private_folder(Path(tempfile.gettempdir()) / f"nautilus-mesh-{digest}", owner)


class Running:
    """A store that runs: our child, or one of an earlier start that was adopted."""

    def __init__(self, pid: int, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self._child = child

    def alive(self) -> bool:
        """Whether the process is there and not a zombie."""
        if self._child is not None:
            return self._child.poll() is None
        return process_alive(self.pid)

    def stop(self, number: signal.Signals, grace: float = 30.0) -> None:
        """Ask the process to end, and end it when it has not after ``grace`` seconds."""
        for each, seconds in ((number, grace), (signal.SIGKILL, 10.0)):
            if not self.alive():
                return
            os.kill(self.pid, each)
            end = time.monotonic() + seconds
            while self.alive() and time.monotonic() < end:
                time.sleep(0.02)


def process_alive(pid: int) -> bool:
    """Whether a process of that id runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def launch(command: Sequence[str | Path], log: Path, owner: Identity = OURSELVES) -> Running:
    """Start a store in a session of its own, so that Ctrl-C reaches only us; its output goes to
    ``log``.
    """
    with log.open("ab") as sink:
        child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            cwd="/",
            **owner.step_down(),
        )
    return Running(child.pid, child)


def wait_ready(ready: Callable[[], bool], running: Running, what: str, log: Path) -> None:
    """Wait until a store is ready; raises ``EmbeddedError`` with the end of its log when it will
    not be.
    """
    end = time.monotonic() + 60
    while time.monotonic() < end and running.alive():
        if ready():
            return
        time.sleep(0.02)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise EmbeddedError(f"{what} did not start. The end of {log}:\n{tail}")
