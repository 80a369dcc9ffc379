"""Traders as child processes of this service, in sessions of their own: they outlive it."""

import asyncio
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from services.live_execution.config import Launching
from services.live_execution.domain import Trader
from services.live_execution.launching.process import LocalProcess
from services.live_execution.launching.secrets import HandOver, SecretsServer
from services.live_execution.logs import TraderLogs

PROGRAM = (sys.executable, "-m", "services.live_execution.engine.trader")

KEPT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "MESH_LOG_LEVEL",
)
"""Variables that a trader gets; none holds a secret, and nothing else of ours reaches it."""


class LocalLauncher:
    """Starts and adopts processes on this host; a ``ports.Launcher``.

    ``ended`` is called when one has died. ``program`` is what to run, for tests.
    """

    def __init__(
        self,
        config: Launching,
        logs: TraderLogs,
        hand_over: HandOver,
        ended: Callable[[], None],
        environ: Mapping[str, str],
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self._config, self._logs = config, logs
        self._hand_over, self._ended = hand_over, ended
        self._environ = {name: environ[name] for name in KEPT if name in environ}
        self._program = tuple(program)

    async def start(self, trader: Trader) -> LocalProcess:
        """Start a process that waits for its ticket."""
        ours, theirs = socket.socketpair()
        try:
            child = await asyncio.to_thread(self._spawn, trader, theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        server = SecretsServer(trader.key, ours, self._hand_over)
        return LocalProcess(child.pid, os.pidfd_open(child.pid), self._ended, child, server)

    def adopt(self, pid: int, started: int) -> LocalProcess | None:
        """Return a process of an earlier life."""
        return LocalProcess.find(pid, started, self._ended)

    def _spawn(self, trader: Trader, theirs: socket.socket) -> "subprocess.Popen[bytes]":
        output = self._logs.open_for_writing(trader)
        try:
            child = subprocess.Popen(
                [*self._program, str(theirs.fileno()), f"{trader.project}/{trader.trader_id}"],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**self._environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # a Ctrl-C is for the service
            )
        finally:
            os.close(output)
        if self._config.memory_mb:
            most = self._config.memory_mb * 2**20
            with suppress(ProcessLookupError):  # it has ended already
                resource.prlimit(child.pid, resource.RLIMIT_DATA, (most, most))
        return child
