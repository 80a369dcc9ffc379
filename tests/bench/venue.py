"""The simulated Binance as a process of its own, whose quotes say when they were sent."""

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bench.figure import ROOT

SYMBOL = "BTCUSDT"
INSTRUMENT = f"{SYMBOL}.BINANCE"
STREAM = f"{SYMBOL.lower()}@bookTicker"
PLACES = 5
"""Decimals of a quantity."""
WRAP = 10**9
"""The ask's quantity, in lots, is the microsecond of its sending modulo this."""
PATIENCE = 60.0


class Venue:
    """What the process is asked and told, by HTTP."""

    def __init__(self, port: int) -> None:
        self.http = f"http://127.0.0.1:{port}"
        self.ws = f"ws://127.0.0.1:{port}/spot"

    @property
    def config(self) -> dict[str, Any]:
        """The adapter's config."""
        return {
            "account_type": "SPOT",
            "base_url_http": self.http,
            "base_url_ws": self.ws,
            "instrument_provider": {"load_all": True},
        }

    async def send(self, rate: float, total: int | None = None, *, stamp: bool = True) -> None:
        """Begin to send so many quotes; a reader who does not take them slows it."""
        body = {"quotes_per_s": rate, "symbols": [SYMBOL], "stamp": stamp, "total": total}
        await asyncio.to_thread(self._ask, "hose", body)

    async def stop(self) -> None:
        """Send no more."""
        await asyncio.to_thread(self._ask, "stop", {})

    async def subscribed(self) -> None:
        """Wait until somebody has subscribed to the quotes."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            state = await asyncio.to_thread(self._ask, "state")
            if any(STREAM in each["streams"] for each in state["connections"]):
                return
            await asyncio.sleep(0.05)
        raise TimeoutError(f"nobody has subscribed to {STREAM} in {PATIENCE:g} s")

    def _ask(self, what: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.http}/_sim/{what}", data, PATIENCE) as reply:
            return json.load(reply)


@asynccontextmanager
async def venue() -> AsyncIterator[Venue]:
    """Start the process; it ends with the block."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulators.binance", "--past", "60"),
        cwd=ROOT / "tests",
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
