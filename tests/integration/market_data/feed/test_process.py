"""The process of a feed as its parent sees it: its environment, its log, and its end."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.market_data.live.ports import FeedSpec
from services.market_data.live.process import Processes
from simulators.scripted import NAME, Script

PARENT = """
import asyncio, os, sys, json
from pathlib import Path
from services.market_data.live.ports import FeedSpec
from services.market_data.live.process import Processes

async def main():
    start = Processes(Path(sys.argv[1]), os.environ, frozenset())
    process, reader, writer = await start(FeedSpec("p", "f", "SCRIPTED", sys.argv[2], 0.0, ""))
    await reader.readexactly(4)
    print(process.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_it_dies_with_its_parent(venue: Script, tmp_path: Path) -> None:
    """A service that is killed leaves no feed behind."""
    paths = ":".join([str(tmp_path / "site"), *(path for path in sys.path if path)])
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path), json.dumps(venue.config),
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert parent.stdout is not None
    child = int(await asyncio.wait_for(parent.stdout.readline(), 30))
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    async with asyncio.timeout(10):
        while _is_alive(child):
            await asyncio.sleep(0.02)


def _is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_it_ends_when_the_socket_does(venue: Script, start: Callable[..., Any]) -> None:
    """The end of the service's side is the end of the feed."""
    async with start(NAME, venue.config) as feed:
        await feed.state("CONNECTED")
        feed.hang_up()
        assert await asyncio.wait_for(feed.process.wait(), 15) == 0


async def test_its_environment(tmp_path: Path) -> None:
    """It gets the variables of venues, and none of the service's secrets."""
    secrets = {"DATABASE_URL": "postgres://secret", "BINANCE_API_KEY": "k", "OTHER": "o"}
    environ = {**os.environ, **secrets}
    start = Processes(tmp_path, environ, frozenset({"BINANCE_API_KEY"}))
    process, _, writer = await start(FeedSpec("p", "f", "NOWHERE", "{}", 0.0, ""))
    given = Path(f"/proc/{process.pid}/environ").read_text().split("\0")
    names = {each.partition("=")[0] for each in given if each}
    assert "BINANCE_API_KEY" in names
    assert not names & {"DATABASE_URL", "OTHER"}
    assert await asyncio.wait_for(process.wait(), 30) == 3
    writer.close()
    log = start.log_of(FeedSpec("p", "f", "NOWHERE", "{}", 0.0, ""))
    assert "NOWHERE" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0
