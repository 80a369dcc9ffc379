"""The child's side of loading: step aside, import Nautilus, take the task, set the limits, answer.

It writes two lines to its pipe: ``ready`` once Nautilus is imported, so that the time limit counts
user code alone, and the answer.
"""

import importlib
import json
import os
import resource
import sys

from meshkit import confine

MB = 2**20


def main() -> None:
    """Answer the one task on standard input through the pipe whose number is the argument."""
    pipe = int(sys.argv[1])
    confine.enter()
    # Imported here: threads that Nautilus may start would be lost when `enter` forks.
    answer = importlib.import_module("services.strategy.engine.answer").answer
    _write(pipe, b"ready\n")
    task = json.loads(sys.stdin.buffer.read())
    nonce = task.pop("nonce")
    _limit(task.pop("memory_mb"), task.pop("cpu_seconds"))
    _write(pipe, json.dumps({"nonce": nonce, **answer(task)}).encode() + b"\n")
    os._exit(0)  # threads and exit handlers of user code have no say


def _write(pipe: int, line: bytes) -> None:
    while line:
        line = line[os.write(pipe, line) :]


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
    ):
        resource.setrlimit(limit, (value, value))


if __name__ == "__main__":
    main()
