"""One child that loads user code: started, talked with, killed with all that it started.

The child gets an empty environment, an empty folder, no open files but its pipes, and namespaces of
its own where the kernel has them. What user code prints is not read: the answer comes by a pipe.
"""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO

ANSWER_BYTES = 4 * 2**20
ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 60.0
"""Time to import Nautilus, which is no fault of user code: a second, more on a busy machine."""
KILL_SECONDS = 2.0


class ChildProcess:
    """A child that has imported Nautilus and waits for its task."""

    def __init__(self, process: asyncio.subprocess.Process, answers: asyncio.StreamReader) -> None:
        self._process = process
        self._answers = answers

    @property
    def pid(self) -> int:
        """Process id; all that user code starts descends from it."""
        return self._process.pid

    async def answer(self, task: bytes) -> tuple[bytes, int]:
        """Send the task; return the answer and 0, or nothing and the exit code of a child that
        ended without one: 128 + n for signal n.
        """
        assert self._process.stdin is not None  # asked for in `_start`
        self._process.stdin.write(task)
        self._process.stdin.close()
        line = await _line(self._answers)
        # After its answer the child has nothing to say: threads of user code must not hold it.
        code = 0 if line else await self._process.wait()
        return line, code if code >= 0 else 128 - code


@asynccontextmanager
async def started() -> AsyncIterator[ChildProcess]:
    """Give a ready child; kill it with all its descendants at the end."""
    read_end, write_end = os.pipe()
    with tempfile.TemporaryDirectory(prefix="mesh-load-") as home:
        with os.fdopen(write_end, "wb", 0):
            process = await _start(write_end, home)
        try:
            # The transport owns the pipe from here and alone closes it: closed a second time, its
            # number may be another child's pipe by then.
            reader, transport = await _reader(os.fdopen(read_end, "rb", 0))
            try:
                yield await _ready(process, reader)
            finally:
                transport.close()
        finally:
            await _kill(process)


async def _start(write_end: int, home: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.strategy.engine.child",
        str(write_end),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        pass_fds=(write_end,),
        env={"PATH": os.defpath, "PYTHONPATH": f"{ROOT}:{ROOT / 'libs'}", "HOME": home},
        cwd=home,
        start_new_session=True,
    )


async def _reader(pipe: BinaryIO) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    reader = asyncio.StreamReader(limit=ANSWER_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    return reader, transport


async def _ready(process: asyncio.subprocess.Process, reader: asyncio.StreamReader) -> ChildProcess:
    with suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            if await _line(reader) == b"ready\n":
                return ChildProcess(process, reader)
    raise RuntimeError("the process that loads strategies did not start")


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return b""


async def _kill(process: asyncio.subprocess.Process) -> None:
    """End the namespaces, which leaves nothing alive in them, and then the process group."""
    with suppress(ProcessLookupError, TimeoutError):
        process.terminate()
        async with asyncio.timeout(KILL_SECONDS):
            await process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
