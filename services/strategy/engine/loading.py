"""The parent's side of loading: a child within limits, and a typed error for each way to fail."""

import asyncio
import json
import secrets
import signal
from typing import Any, Never

from meshkit.schema import fault
from services.strategy.domain import Classes, Json, Source, Violations
from services.strategy.engine.child_process import ChildProcess, started
from services.strategy.engine.usage import usage
from services.strategy.errors import LoadExited, LoadMemory, LoadTimeout, SourceInvalid

MB = 2**20
PROCESSES = 32
WATCH_SECONDS = 0.1
LONGEST_TEXT = 1_000
"""Characters of what user code says that go into an error: a reply's trailers are bounded."""
LONGEST_SCHEMA = 256 * 1024


class Loading:
    """Loads sources, a bounded number at once."""

    def __init__(self, seconds: float, memory_mb: int, at_once: int) -> None:
        self._seconds = seconds
        self._memory_mb = memory_mb
        self._slots = asyncio.Semaphore(at_once)

    async def load(self, kind: str, source: Source) -> Classes:
        """Return what the source holds; raises a typed error that says what is wrong where."""
        found = await self._ask(kind, source, None)
        classes = Classes(
            str(found.get("class_name")),
            str(found.get("config_class_name")),
            found.get("config_schema") or {},
        )
        wrong = _too_large(classes.config_schema) or fault(classes.config_schema)
        if wrong:
            _refuse(source, "config", f"the config has no schema: {wrong}")
        return classes

    async def check(self, kind: str, source: Source, config: Json) -> Violations:
        """Return what is wrong with a config when the component is made with it; raises as
        ``load`` does.
        """
        found = await self._ask(kind, source, config)
        return [(str(path), _short(str(what))) for path, what in found.get("violations", ())]

    async def _ask(self, kind: str, source: Source, config: Json | None) -> dict[str, Any]:
        nonce = secrets.token_hex(16)
        task = {
            "nonce": nonce,
            "kind": kind,
            "version": source.version(kind),
            "files": source.files,
            "importable_path": source.importable_path,
            "class_name": source.class_name,
            "config": config,
            "memory_mb": self._memory_mb,
            "cpu_seconds": int(self._seconds) + 1,
        }
        async with self._slots, started() as child:
            line, exit_code = await self._within_limits(child, json.dumps(task).encode())
        answer = _parse(line, nonce)
        if answer is None:
            self._tell_exit(exit_code)
        if "error" in answer:
            self._tell_error(source, answer)
        return answer

    async def _within_limits(self, child: ChildProcess, task: bytes) -> tuple[bytes, int]:
        talk = asyncio.ensure_future(child.answer(task))
        watch = asyncio.ensure_future(self._watch(child.pid))
        try:
            done, _ = await asyncio.wait(
                {talk, watch}, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                self._tell_timeout()
            return talk.result() if talk in done else watch.result()
        finally:
            talk.cancel()
            watch.cancel()

    async def _watch(self, pid: int) -> Never:
        """Raise when all processes together take too much: rlimits count each for itself, and
        shared memory not at all.
        """
        before = usage(pid).resident
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            now = usage(pid)
            if now.processes > PROCESSES:
                raise SourceInvalid(
                    "The code starts processes when it is imported. Start none.",
                    metadata={"stage": "import"},
                )
            if now.resident - before > 1.25 * self._memory_mb * MB:  # the rlimit comes first
                self._tell_memory({})

    def _tell_timeout(self) -> Never:
        raise LoadTimeout(
            f"The code was not loaded within {self._seconds:g} s. Do no work at import.",
            metadata={"seconds": f"{self._seconds:g}"},
        )

    def _tell_memory(self, where: dict[str, str]) -> Never:
        raise LoadMemory(
            f"Loading the code took more than {self._memory_mb} MB. "
            "Allocate in on_start, not at import.",
            metadata={"limit_mb": str(self._memory_mb), **where},
        )

    def _tell_exit(self, exit_code: int) -> Never:
        if exit_code == 128 + signal.SIGXCPU:
            self._tell_timeout()
        raise LoadExited(
            f"The code ended its process (exit code {exit_code}) while it was loaded. "
            "Do not exit at import.",
            metadata={"exit_code": str(exit_code)},
        )

    def _tell_error(self, source: Source, answer: dict[str, Any]) -> Never:
        stage, text = str(answer["error"]), _short(str(answer.get("message", "")))
        file, line = str(answer.get("file", "")), int(answer.get("line", 0))
        if stage == "memory":
            self._tell_memory(_where(source, file, line))
        if stage == "exit":
            raise LoadExited(
                f"The code ended its process while it was loaded ({text}). Do not exit at import.",
                metadata=_where(source, file, line),
            )
        _refuse(source, stage, text, file, line)


def _refuse(source: Source, stage: str, text: str, file: str = "", line: int = 0) -> Never:
    prefix = f"{file}, line {line}: " if line else ""
    metadata = {"stage": stage, **_where(source, file, line)}
    raise SourceInvalid(prefix + text, metadata=metadata)


def _where(source: Source, file: str, line: int) -> dict[str, str]:
    """Return file, line and the text of the line, as far as they are known."""
    if not file:
        return {}
    lines = dict(source.files).get(file, "").splitlines()
    found = {"file": file, "line": str(line)}
    if 0 < line <= len(lines):
        found["snippet"] = lines[line - 1].strip()[:200]
    return found


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"


def _too_large(schema: object) -> str:
    try:
        size = len(json.dumps(schema, allow_nan=False))
    except ValueError:
        return "it holds numbers that JSON does not have"
    return "it is too large" if size > LONGEST_SCHEMA else ""


def _parse(answer: bytes, nonce: str) -> dict[str, Any] | None:
    try:
        found = json.loads(answer)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("nonce") == nonce else None
