"""One process of the mesh: started, watched, started again with back-off, and stopped in order."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.up.embedded.process import process_alive

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
STEADY_SECONDS = 30.0
"""A process that ran this long starts again without the pauses of before."""
GRACE = 20.0
"""Longer than a service's own grace for calls under way."""
LONGEST_LOG = 32 * 2**20
BAD_CONFIG = 2
"""The exit code of a service whose configuration is unfit: another start would not help."""

Probe = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class Spec:
    """What a process is: its command and environment, the address to show, how to see that it is
    healthy.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    address: str
    probe: Probe = field(repr=False)


class Failed(Exception):
    """A process did not become healthy; the text holds the end of its log."""


class Process:
    """A process that is kept alive from ``start`` to ``stop``."""

    def __init__(self, spec: Spec, run: Path, logs: Path, say: Callable[[str], None]) -> None:
        self.spec = spec
        self.log = logs / f"{spec.name}.log"
        self.starts = 0
        self._pid_file = run / f"{spec.name}.pid"
        self._say = say
        self._child: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Start the process and keep it alive."""
        await self._launch()
        self._keeper = asyncio.create_task(self._keep())

    async def healthy(self, seconds: float) -> None:
        """Wait until the process is healthy; raises ``Failed`` when it will not be in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if await self.spec.probe():
                return
            if self._keeper is None or self._keeper.done() or self.starts > 3:
                break
            await asyncio.sleep(0.05)
        raise Failed(f"{self.spec.name} did not start. The end of {self.log}:\n{self._tail()}")

    async def stop(self) -> None:
        """Ask the process to end, and end it when it has not after its grace."""
        self._stopping = True
        child = self._child
        if child is not None and child.returncode is None:
            child.terminate()
            try:
                await asyncio.wait_for(child.wait(), GRACE)
            except TimeoutError:
                child.kill()
                await child.wait()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._pid_file.unlink(missing_ok=True)

    async def _launch(self) -> None:
        with self.log.open("ab") as sink:
            self._child = await asyncio.create_subprocess_exec(
                *self.spec.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=dict(self.spec.env),
                start_new_session=True,  # Ctrl-C reaches us alone, and we stop all in order
            )
        self.starts += 1
        self._pid_file.write_text(f"{self._child.pid} {_start_time(self._child.pid)}")

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while self._child is not None:
            began = time.monotonic()
            code = await self._child.wait()
            if self._stopping or (code == BAD_CONFIG and self.starts == 1):
                return
            if time.monotonic() - began > STEADY_SECONDS:
                pause = FIRST_PAUSE
            self._say(f"{self.spec.name} ended with {code}; starting it again in {pause:g} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            await self._launch()

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-15:])


def _start_time(pid: int) -> str:
    """Return when a process was started, in ticks since boot: with its id, that names it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def rotate(logs: Path) -> None:
    """Put long logs of earlier starts aside, one for each process."""
    for log in logs.glob("*.log"):
        if log.stat().st_size > LONGEST_LOG:
            log.replace(log.with_suffix(".log.1"))


def end_leftovers(run: Path) -> None:
    """End the processes that a start which was killed has left behind, the last started first."""
    for pid_file in sorted(run.glob("*.pid"), key=lambda path: path.stat().st_mtime, reverse=True):
        _end(pid_file)
        pid_file.unlink()


def _end(pid_file: Path) -> None:
    try:
        number, started = pid_file.read_text().split()
    except (OSError, ValueError):
        return
    pid = int(number)
    for each, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        if _start_time(pid) != started or not process_alive(pid):
            return
        os.kill(pid, each)
        end = time.monotonic() + seconds
        while process_alive(pid) and time.monotonic() < end:
            time.sleep(0.02)
