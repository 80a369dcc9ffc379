"""The parent's side of loading: a child with limits, an answer by pipe, a typed error for each
way to fail.

The child gets an empty environment, an empty folder, no open files but its pipes, and a process
group of its own that is killed whole. What user code prints is not read; the answer comes by a pipe
and carries a nonce that was sent on standard input.
"""

import asyncio
import json
import os
import secrets
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from services.strategy.domain import Classes, Source
from services.strategy.errors import LoadExited, LoadMemory, LoadTimeout, SourceInvalid

ANSWER_BYTES = 4 * 2**20
ROOT = Path(__file__).resolve().parents[3]


class Loading:
    """Loads sources, a bounded number at once."""

    def __init__(self, seconds: float, memory_mb: int, at_once: int) -> None:
        self._seconds = seconds
        self._memory_mb = memory_mb
        self._slots = asyncio.Semaphore(at_once)

    async def load(self, kind: str, source: Source) -> Classes:
        """Return what the source holds; raises a typed error that says what is wrong where."""
        nonce = secrets.token_hex(16)
        task = {
            "nonce": nonce,
            "kind": kind,
            "version": source.version(kind),
            "files": source.files,
            "importable_path": source.importable_path,
            "class_name": source.class_name,
            "memory_mb": self._memory_mb,
            "cpu_seconds": int(self._seconds) + 5,
        }
        async with self._slots:
            answer, exit_code = await self._run(json.dumps(task).encode())
        found = _parse(answer, nonce)
        if found is None:
            raise LoadExited(
                f"The code ended its process (exit code {exit_code}) while it was loaded. "
                "Do not exit at import.",
                metadata={"exit_code": str(exit_code)},
            )
        return self._classes(found)

    async def _run(self, task: bytes) -> tuple[bytes, int]:
        read_end, write_end = os.pipe()
        with tempfile.TemporaryDirectory(prefix="mesh-load-") as folder:
            try:
                child = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "services.strategy.engine.child",
                    str(write_end),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,
                    pass_fds=(write_end,),
                    env={
                        "PATH": os.defpath,
                        "PYTHONPATH": f"{ROOT}:{ROOT / 'libs'}",
                        "HOME": folder,
                    },
                    cwd=folder,
                    start_new_session=True,
                )
            finally:
                os.close(write_end)
            try:
                async with asyncio.timeout(self._seconds):
                    return await _talk(child, task, read_end)
            except TimeoutError:
                raise LoadTimeout(
                    f"The code was not loaded within {self._seconds:g} s. Do no work at import.",
                    metadata={"seconds": f"{self._seconds:g}"},
                ) from None
            finally:
                _kill_group(child.pid)
                await child.wait()

    def _classes(self, found: dict[str, Any]) -> Classes:
        match found:
            case {"error": "memory"}:
                raise LoadMemory(
                    f"Loading the code took more than {self._memory_mb} MB. "
                    "Allocate in on_start, not at import.",
                    metadata={"limit_mb": str(self._memory_mb)},
                )
            case {"error": "exit", "message": message}:
                raise LoadExited(
                    f"The code ended its process while it was loaded ({message}). "
                    "Do not exit at import.",
                    metadata={"file": found["file"], "line": str(found["line"])},
                )
            case {"error": stage, "message": message}:
                where = f"{found['file']}, line {found['line']}: " if found["line"] else ""
                raise SourceInvalid(
                    where + message,
                    metadata={"stage": stage, "file": found["file"], "line": str(found["line"])},
                )
        return Classes(found["class_name"], found["config_class_name"], found["config_schema"])


async def _talk(child: asyncio.subprocess.Process, task: bytes, read_end: int) -> tuple[bytes, int]:
    assert child.stdin is not None  # asked for above
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=ANSWER_BYTES)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", 0)
    )
    try:
        child.stdin.write(task)
        child.stdin.close()
        try:
            answer = await reader.readuntil(b"\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            answer = b""
        # After its answer the child has nothing to say: threads of user code must not hold it.
        exit_code = 0 if answer else await child.wait()
        return answer, exit_code
    finally:
        transport.close()


def _parse(answer: bytes, nonce: str) -> dict[str, Any] | None:
    try:
        found = json.loads(answer)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("nonce") == nonce else None


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
