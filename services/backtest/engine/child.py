"""A run's process: takes one task by its pipe, runs it, tells progress, answers, ends. Runs user
code.
"""

import gc
import json
import os
import resource
import sys
import threading
import time
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.common.component import set_backtest_force_stop

from services.backtest.engine.run import RunFailed, run
from services.backtest.task import RunTask

PERIOD = 0.2
"""Seconds between looks at progress and at the pipe."""

CANCEL = b"cancel"
MB = 2**20


def main(pipe: Connection) -> None:
    """Wait for a task, run it and end the process, whatever user code left behind."""
    os.setsid()  # a group of its own, to be killed whole
    os.environ.clear()
    try:
        task = pipe.recv()
    except EOFError:
        os._exit(0)
    _run(pipe, task)
    os._exit(0)


def _run(pipe: Connection, task: RunTask) -> None:
    gc.disable()  # a run makes few cycles, and looking for them costs a tenth of its time
    _redirect(Path(task.output) / "run.log")
    _limit(task.memory_mb)
    monitor = _Monitor(pipe, task)
    monitor.start()
    try:
        answer = {"type": "done", **run(task, monitor.follow)}
    except RunFailed as error:
        answer = {
            "type": "failed",
            "reason": error.reason,
            "message": error.message,
            "file": error.file,
            "line": error.line,
        }
    except MemoryError:
        answer = {
            "type": "failed",
            "reason": "MEMORY_EXCEEDED",
            "message": f"The run took more than {task.memory_mb} MB.",
        }
    monitor.finish(answer)


def _redirect(log: Path) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(descriptor, number)
    os.close(descriptor)


def _limit(memory_mb: int) -> None:
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[5]) * resource.getpagesize()
    most = used + memory_mb * MB
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class _Monitor(threading.Thread):
    """Tells progress, heeds a cancellation, and ends the process when its parent is gone."""

    def __init__(self, pipe: Connection, task: RunTask) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self._task = task
        self._engine: BacktestEngine | None = None
        self._finished = threading.Event()
        self._wake, self._waker = os.pipe()
        self._cancelled = False
        self._last = (time.monotonic(), 0)

    def follow(self, engine: BacktestEngine) -> None:
        """Begin to tell the progress of an engine."""
        self._engine = engine
        self._last = (time.monotonic(), 0)

    def run(self) -> None:
        """Look at pipe and engine until the run is finished."""
        while True:
            self._heed(PERIOD)
            if self._finished.is_set():
                return
            if self._engine is not None and not self._cancelled:
                self._send(self._progress(self._engine))

    def finish(self, answer: dict[str, Any]) -> None:
        """Send the answer as the last message."""
        self._finished.set()
        os.write(self._waker, b".")  # a tiny run must not wait for the end of a period
        self.join()
        if self._engine is not None:
            self._send(self._progress(self._engine))
        self._send({"type": "cancelled"} if self._cancelled else answer)

    def _heed(self, seconds: float) -> None:
        """Wait for the parent's word, the end of the run or the time to pass."""
        try:
            if self._pipe in wait([self._pipe, self._wake], seconds):
                self._cancelled |= self._pipe.recv_bytes() == CANCEL
        except (EOFError, OSError):
            os._exit(1)  # the worker is gone: somebody else will run this
        if self._cancelled:
            set_backtest_force_stop(True)  # again and again: the start of a run clears the flag

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._pipe.send_bytes(json.dumps(message).encode())
        except OSError:
            os._exit(1)

    def _progress(self, engine: BacktestEngine) -> dict[str, Any]:
        now, events = time.monotonic(), engine.iteration
        then, before = self._last
        self._last = (now, events)
        simulated = engine.kernel.clock.timestamp_ns()
        span = max(1, self._task.end - self._task.start)
        return {
            "type": "progress",
            "fraction": min(1.0, max(0.0, (simulated - self._task.start) / span)),
            "simulated_time": simulated,
            "events": events,
            "events_per_second": (events - before) / max(1e-6, now - then),
            "orders": engine.cache.orders_total_count(),
            "positions": engine.cache.positions_total_count(),
        }
