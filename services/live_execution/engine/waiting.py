"""Waits for what Nautilus tells nobody of."""

import asyncio
import time
from collections.abc import Callable

POLL_S = 0.005


async def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition, at most so long; say whether it came true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        await asyncio.sleep(POLL_S)
    return True
