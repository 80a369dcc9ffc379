"""A process of this host by its pidfd, which never means another one."""

import asyncio
import os
import select
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress

from services.live_execution.launching.secrets import SecretsServer
from services.live_execution.trader.lease import start_ticks
from services.live_execution.trader.ports import Ticket


class LocalProcess:
    """A trader's process; a ``ports.Running``.

    ``child`` and ``secrets`` are those of a process that this one started. ``ended`` is called on
    the loop once it is dead.
    """

    def __init__(
        self,
        pid: int,
        pidfd: int,
        ended: Callable[[], None],
        child: "subprocess.Popen[bytes] | None" = None,
        secrets: SecretsServer | None = None,
    ) -> None:
        self.pid = pid
        self.started = start_ticks(pid)
        self.code: int | None = None
        self._pidfd, self._child, self._secrets = pidfd, child, secrets
        self._ended = ended
        self._dead = self._forgotten = False
        asyncio.get_running_loop().add_reader(pidfd, self._look)

    @classmethod
    def find(cls, pid: int, started: int, ended: Callable[[], None]) -> "LocalProcess | None":
        """Return a living process by pid and start; None when there is none."""
        pidfd = _open(pid, started)
        return None if pidfd is None else cls(pid, pidfd, ended)

    @property
    def dead(self) -> bool:
        """Whether it has ended for certain; a zombie has."""
        self._look()
        return self._dead

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._signal(signal.SIGKILL)

    def hand(self, ticket: Ticket) -> None:
        """Send the ticket and serve secrets."""
        assert self._secrets is not None  # it was started here
        self._secrets.hand(ticket)

    def close(self) -> None:
        """Let go of it; a child is still waited for, or it would stay a zombie."""
        if self._secrets is not None:
            self._secrets.close()
        if self._child is None:
            self._forget()

    def _signal(self, number: int) -> None:
        if not self.dead:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def _look(self) -> None:
        if self._dead or not _is_over(self._pidfd):
            return
        self._dead = True
        if self._child is not None:
            self.code = self._child.wait()  # at once: it is over
        self._forget()
        self._ended()

    def _forget(self) -> None:
        if not self._forgotten:
            self._forgotten = True
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)


def is_alive(pid: int, started: int) -> bool:
    """Whether a process of this host lives; a zombie does not."""
    pidfd = _open(pid, started)
    if pidfd is not None:
        os.close(pidfd)
    return pidfd is not None


def _open(pid: int, started: int) -> int | None:
    """Return the pidfd of a living process by pid and start, None when there is none."""
    if pid <= 0:
        return None
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        if start_ticks(pid) == started and not _is_over(pidfd):
            return pidfd
    except (OSError, ValueError, IndexError):  # it has gone in between
        pass
    os.close(pidfd)
    return None


def _is_over(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))
