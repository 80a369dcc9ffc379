"""The child's side of loading: take the task, set the limits, load, answer. Runs user code."""

import json
import os
import resource
import sys
from typing import Any

from meshkit.nautilus.loader import Loaded, LoadError, load, user_frame

MB = 2**20


def main() -> None:
    """Answer the one task on standard input through the pipe whose number is the argument."""
    pipe = int(sys.argv[1])
    task = json.loads(sys.stdin.buffer.read())
    nonce = task.pop("nonce")
    _limit(task.pop("memory_mb"), task.pop("cpu_seconds"))
    answer = json.dumps({"nonce": nonce, **_answer(task)}).encode() + b"\n"
    while answer:
        answer = answer[os.write(pipe, answer) :]
    os._exit(0)  # threads and exit handlers of user code have no say


def _limit(memory_mb: int, cpu_seconds: int) -> None:
    """Limit what user code may take on top of what importing Nautilus took."""
    with open("/proc/self/statm") as statm:
        data_pages = int(statm.read().split()[5])
    data = data_pages * resource.getpagesize() + memory_mb * MB
    used = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
    for limit, value in (
        (resource.RLIMIT_DATA, data),
        (resource.RLIMIT_CPU, used + cpu_seconds),
        (resource.RLIMIT_FSIZE, 16 * MB),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))


def _answer(task: dict[str, Any]) -> dict[str, Any]:
    try:
        loaded = load(**task)
        return _describe(loaded)
    except MemoryError:
        return {"error": "memory"}
    except LoadError as error:
        return {
            "error": error.stage,
            "message": error.message,
            "file": error.file,
            "line": error.line,
        }


def _describe(loaded: Loaded) -> dict[str, Any]:
    try:
        schema = loaded.config.json_schema()  # type: ignore[attr-defined]  # of NautilusConfig
    except Exception as error:  # msgspec raises several kinds for a type without a schema
        file, line = user_frame(error)
        raise LoadError(
            "config", f"{loaded.config.__name__} has no schema: {error}", file, line
        ) from None
    return {
        "class_name": loaded.component.__name__,
        "config_class_name": loaded.config.__name__,
        "config_schema": schema,
    }


if __name__ == "__main__":
    main()
