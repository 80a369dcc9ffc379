"""Ctrl-C ends a command, whatever it is doing."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

PATIENCE_S = 3.0
"""Seconds that a command has to come to its end, and then once more."""


@contextmanager
def leaving(exit_code: int) -> Iterator[None]:
    """Within a running command: after a Ctrl-C it is told to end, told again, and then ended.

    The runner of asyncio cancels the command once; a library that takes the cancellation for its
    own, or waits while closing, would leave a person in front of a command that does not end.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    inner: Any = signal.getsignal(signal.SIGINT)

    def end() -> None:
        sys.stdout.flush()
        os._exit(exit_code)

    def again() -> None:
        if task is not None:
            task.cancel()
        loop.call_later(PATIENCE_S, end)

    def asked(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(loop.call_later, PATIENCE_S, again)
        inner(number, frame)

    if not callable(inner):  # ignored from outside, as by nohup
        yield
        return
    signal.signal(signal.SIGINT, asked)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, inner)
