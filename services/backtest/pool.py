"""Processes for runs: fresh ones from a forkserver, a few of them ready before they are needed."""

import asyncio
import json
import logging
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from services.backtest.task import RunTask

log = logging.getLogger("backtest.pool")

PRELOAD = "services.backtest.engine.preload"
KEPT = ("PATH", "PYTHONPATH", "LANG", "HOME")
"""What the forkserver needs of the environment; its children see no more, not even in /proc."""

SETTINGS = {
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    # Nautilus walks sets of linked orders: with another seed of hashes a run with brackets has
    # other numbers, and an equal manifest would not mean an equal result.
    "PYTHONHASHSEED": "0",
}


def _child_main(pipe: Connection) -> None:
    from services.backtest.engine.child import main  # only the forkserver has Nautilus

    main(pipe)


@dataclass(frozen=True)
class Outcome:
    """How a process ended: its last message (``done``, ``failed``, ``cancelled``), or its exit
    code.
    """

    message: dict[str, Any] | None
    exit_code: int


class Pool:
    """Fresh processes, each for one run; ``ready`` of them wait."""

    def __init__(self, ready: int) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._idle: list[_Process] = []
        self._ready = ready
        self._filling: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, ready: int) -> AsyncIterator["Pool"]:
        """Start the forkserver with a bare environment and make processes ready; ends them all."""
        for name in set(os.environ) - set(KEPT):
            del os.environ[name]
        os.environ |= SETTINGS
        pool = cls(ready)
        pool._context.set_forkserver_preload([PRELOAD])
        await pool._fill()
        try:
            yield pool
        finally:
            if pool._filling is not None:
                await asyncio.gather(pool._filling, return_exceptions=True)
            for process in pool._idle:
                process.kill()

    async def run(
        self,
        task: RunTask,
        progress: Callable[[dict[str, Any]], None],
        cancel: asyncio.Event,
        started: Callable[[int], None],
    ) -> Outcome:
        """Run a task in a process; ``cancel`` stops it with an answer of its own.

        ``progress`` gets each progress message, ``started`` the process id. A cancellation of this
        coroutine kills the process.
        """
        process = await self._take()
        started(process.pid)
        try:
            process.give(task)
            return await process.follow(progress, cancel)
        finally:
            process.kill()
            self._refill()

    async def _take(self) -> "_Process":
        while self._idle:
            process = self._idle.pop()
            if process.alive():
                return process
            process.kill()
        return await asyncio.to_thread(_Process, self._context)

    async def _fill(self) -> None:
        while len(self._idle) < self._ready:
            self._idle.append(await asyncio.to_thread(_Process, self._context))

    def _refill(self) -> None:
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(self._fill())


class _Process:
    def __init__(self, context: Any) -> None:
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_child_main, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self.pid = int(self._process.pid)

    def alive(self) -> bool:
        return bool(self._process.is_alive())

    def give(self, task: RunTask) -> None:
        self._pipe.send(task)

    async def follow(
        self, progress: Callable[[dict[str, Any]], None], cancel: asyncio.Event
    ) -> Outcome:
        """Read messages until the last one or the end of the process."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._pipe.fileno(), readable.set)
        # uvloop made the pipe non-blocking, and half a message would count as the process' death.
        os.set_blocking(self._pipe.fileno(), True)
        cancelling = asyncio.create_task(self._cancel_when(cancel))
        last: dict[str, Any] | None = None
        try:
            while last is None:
                await readable.wait()
                readable.clear()
                last = self._read(progress)
        except (EOFError, OSError):
            pass  # the process died without a last word
        finally:
            loop.remove_reader(self._pipe.fileno())
            cancelling.cancel()
        # After its last word a process has nothing to do but end, which nobody needs to wait for.
        return Outcome(last, 0 if last else await asyncio.to_thread(self._exit_code))

    def _read(self, progress: Callable[[dict[str, Any]], None]) -> dict[str, Any] | None:
        while self._pipe.poll():
            message: dict[str, Any] = json.loads(self._pipe.recv_bytes())
            if message["type"] != "progress":
                return message
            progress(message)
        return None

    async def _cancel_when(self, cancel: asyncio.Event) -> None:
        await cancel.wait()
        self._pipe.send_bytes(b"cancel")

    def _exit_code(self) -> int:
        self._process.join(10)
        code = self._process.exitcode
        return -signal.SIGKILL if code is None else int(code)

    def kill(self) -> None:
        """End the process and all that it started."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            self._process.kill()
        self._pipe.close()
