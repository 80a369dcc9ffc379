"""All processes of the mesh together: started at once, reported one by one, stopped in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from services.up.process import Process, Spec

START_SECONDS = 120.0
"""Ten times what it takes: a machine may be busy."""


@asynccontextmanager
async def supervised(
    specs: Sequence[Spec], run: Path, logs: Path, say: Callable[[str], None]
) -> AsyncIterator[list[Process]]:
    """Run processes until the block ends: healthy when it begins, stopped from the last to the
    first after it. Raises ``Failed`` when one does not become healthy.
    """
    processes = [Process(spec, run, logs, say) for spec in specs]
    try:
        for process in processes:
            await process.start()
        for process in processes:
            await process.healthy(START_SECONDS)
            say(f"{process.spec.name:<16} {process.spec.address}  healthy")
        yield processes
    finally:
        await asyncio.shield(_stop(processes))


async def _stop(processes: Sequence[Process]) -> None:
    """Stop one after the other: who calls is gone before who is called."""
    for process in reversed(processes):
        await process.stop()
