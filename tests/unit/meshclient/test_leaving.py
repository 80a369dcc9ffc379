"""Ctrl-C ends a command, whatever it is doing."""

import signal
import subprocess
import sys

import pytest

COMMAND = """
import asyncio, sys
from meshclient.cli import leaving
leaving.PATIENCE_S = 0.2

async def main():
    with leaving.leaving(130):
        {}

async def deaf(times):
    while times:
        try:
            print("here", flush=True)
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            times -= 1
    print("left", flush=True)

try:
    asyncio.run(main())
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(("work", "last"), [("await deaf(2)", "left"), ("await deaf(99)", "here")])
def test_what_does_not_listen_is_told_again_and_ended(work: str, last: str) -> None:
    """A command that lost the first request to end hears the second; a deaf one is ended."""
    child = subprocess.Popen(
        [sys.executable, "-c", COMMAND.format(work)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "here\n"
    child.send_signal(signal.SIGINT)
    said = child.communicate(timeout=30)[0]
    assert said.split()[-1] == last
    assert child.returncode in {0, 130}
    assert (child.returncode == 130) == (last == "here")
