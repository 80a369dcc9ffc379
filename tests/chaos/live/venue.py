"""The counting venue as a process, and what it is commanded."""

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from running_mesh import ROOT

PATIENCE = 120.0
"""Seconds for an answer: a command that sends much is answered at its end."""


class Venue:
    """The venue by its port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.config = {
            "account_type": "SPOT",
            "base_url_http": f"http://127.0.0.1:{port}",
            "base_url_ws": f"ws://127.0.0.1:{port}/spot",
            "instrument_provider": {"load_all": True},
            "use_agg_trade_ticks": True,
        }

    async def do(self, command: str, **arguments: Any) -> Any:
        """Command something; gives the answer."""
        body = json.dumps(arguments).encode()
        return (await asyncio.to_thread(self._ask, command, body))["result"]

    async def state(self) -> dict[str, Any]:
        """Give the venue's counters and connections."""
        state: dict[str, Any] = await asyncio.to_thread(self._ask, "state", None)
        return state

    async def last(self) -> dict[str, int]:
        """Give the number last sent, by channel: `BTCUSDT.BINANCE:quotes`."""
        last = await self.do("last")
        return {name.replace(":", ".BINANCE:"): number for name, number in last.items()}

    def _ask(self, what: str, body: bytes | None) -> Any:
        url = f"{self.config['base_url_http']}/_sim/{what}"
        with urllib.request.urlopen(url, body, PATIENCE) as reply:
            return json.load(reply)


@asynccontextmanager
async def running_venue(made_up: int = 0) -> AsyncIterator[Venue]:
    """Run a venue while the block lasts."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chaos.live.numbered", "--made-up", str(made_up)),
        cwd=ROOT / "tests",
        env={"PYTHONPATH": str(ROOT / "tests"), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        yield Venue(int(await child.stdout.readline()))
    finally:
        child.stdin.close()
        await child.wait()
