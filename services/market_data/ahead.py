"""Work of a thread, ahead of the one who takes it."""

import asyncio
from collections.abc import AsyncIterator, Iterator

AHEAD = 4
"""Items made ahead of a reader."""


async def ahead[Item](made: Iterator[Item]) -> AsyncIterator[Item]:
    """Yield what a thread makes, which makes the next while these are sent."""
    making = asyncio.create_task(asyncio.to_thread(_take, made))
    try:
        while True:
            some = await making
            if len(some) == AHEAD:
                making = asyncio.create_task(asyncio.to_thread(_take, made))
            for item in some:
                yield item
            if len(some) < AHEAD:
                return
    finally:
        making.cancel()


def _take[Item](made: Iterator[Item]) -> list[Item]:
    return [item for _, item in zip(range(AHEAD), made, strict=False)]
