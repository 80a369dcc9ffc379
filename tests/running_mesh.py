"""The whole mesh as a user starts it, in a data folder and on ports of its own."""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PORTS = 8
"""The gateway's and seven for metrics."""


@dataclass
class RunningMesh:
    """A ``python -m services.up`` with what it printed so far."""

    data: Path
    env: dict[str, str]
    gateway: str
    child: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    _incoming: "queue.Queue[str | None]" = field(default_factory=queue.Queue)

    def wait_for(self, start: str, seconds: float = 240.0) -> str:
        """Return the first new line that begins so; raises when the mesh ends or time is up."""
        end = time.monotonic() + seconds
        while (line := self._incoming.get(timeout=max(0.0, end - time.monotonic()))) is not None:
            if line.startswith(start):
                return line
        raise AssertionError(f"the mesh ended without saying {start!r}:\n{self.said()}")

    def said(self) -> str:
        """Return everything that was printed."""
        return "\n".join(self.lines)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and return the exit code."""
        self.child.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait for the end and return the exit code."""
        code = self.child.wait(240)
        self._reader.join(10)
        return code

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self.lines.append(line.rstrip("\n"))
            self._incoming.put(line.rstrip("\n"))
        self._incoming.put(None)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()


def start_mesh(
    data: Path,
    *options: str,
    ports: int | None = None,
    settings: Mapping[str, str] | None = None,
) -> RunningMesh:
    """Start a mesh on a data folder; its profiles are in ``<data>.profiles.toml``.

    ``settings`` are variables of its services.
    """
    base = ports or free_ports(PORTS)
    gateway = f"127.0.0.1:{base}"
    ours = {k: v for k, v in os.environ.items() if not k.startswith("MESH_")}
    for configured in ("REDIS_URL", "DATABASE_URL"):  # tests never touch a configured store
        ours.pop(configured, None)
    env = {
        **ours,
        "MESH_DATA": str(data),
        "MESH_CONFIG": f"{data}.profiles.toml",
        "MESH_GATEWAY_LISTEN": gateway,
        "MESH_HTTP_BASE_PORT": str(base + 1),
        **(settings or {}),
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "services.up", *options],
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return RunningMesh(data, env, gateway, child)


def free_ports(count: int) -> int:
    """Return the first of ``count`` ports in a row that are free now, below the ephemeral ones."""
    for first in range(20_000 + os.getpid() % 1000 * 10, 32_000, count):
        if all(_free(port) for port in range(first, first + count)):
            return first
    raise AssertionError("no ports are free")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
