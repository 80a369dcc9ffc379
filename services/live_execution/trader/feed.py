"""What waits to be shipped: in memory while it fits, and always in the journal."""

import asyncio
from collections import deque

from services.live_execution.trader.journal import Journal, Reader
from services.live_execution.trader.journal_file import Record

MOST = 16 * 2**20
"""Bytes kept in memory; what comes beyond is read from the journal again."""

BATCH = 512
"""Facts in one transaction."""


class Feed:
    """One thread puts, the store thread takes."""

    def __init__(self, journal: Journal, loop: asyncio.AbstractEventLoop) -> None:
        self._journal = journal
        self._reader = Reader(journal)
        self._loop = loop
        self._waiting: deque[Record] = deque()
        self._put = self._taken = 0  # bytes; each written by one thread alone
        self._news = asyncio.Event()
        self._idle = False

    def put(self, number: int, bodies: list[bytes]) -> None:
        """Say that records were journalled, the last with this number."""
        if self._put - self._taken < MOST:
            first = number - len(bodies) + 1
            self._waiting.extend(enumerate(bodies, first))
            self._put += sum(map(len, bodies))
        if self._idle:
            self._idle = False
            self._loop.call_soon_threadsafe(self._news.set)

    def take(self, after: int) -> list[Record]:
        """Return the next records above ``after``; they stay in the journal.

        Raises ``JournalBroken`` when they are not there.
        """
        waiting = self._waiting
        while waiting and waiting[0][0] <= after:
            self._pop()
        if not waiting or waiting[0][0] != after + 1:
            return self._reader.read(after)[:BATCH]
        batch: list[Record] = []
        while waiting and len(batch) < BATCH and waiting[0][0] == after + 1 + len(batch):
            batch.append(self._pop())
        return batch

    async def news(self, after: int, seconds: float) -> None:
        """Wait until there are records above ``after``, at most so long."""
        self._news.clear()
        self._idle = True
        if self._journal.last > after:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass

    def wake(self) -> None:
        """Wake who waits; on the store thread."""
        self._news.set()

    def close(self) -> None:
        """Close the files."""
        self._reader.close()

    def _pop(self) -> Record:
        record = self._waiting.popleft()
        self._taken += len(record[1])
        return record
