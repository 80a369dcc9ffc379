"""Commands that a feed's process answers, by their ids."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from services.market_data.live.errors import VenueAnswer
from services.market_data.live.frames import Answer, Command, HistoryRows

Send = Callable[[Command], None]
Make = Callable[[int], Command]


class Asking:
    """Waits for answers; all who wait are told when the process ends."""

    def __init__(self) -> None:
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Queue[Any]] = {}

    def __bool__(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    def next_id(self) -> int:
        """Return an id that nobody has."""
        return next(self._ids)

    def told(self, id_: int, answer: object) -> None:
        """Hand an answer to who asked; nobody when it was too late."""
        if id_ in self._waiting:
            self._waiting[id_].put_nowait(answer)

    def fail(self, error: Exception) -> None:
        """End all questions with an error."""
        for queue in self._waiting.values():
            queue.put_nowait(error)

    async def one(self, send: Send, make: Make, seconds: float) -> Any:
        """Send a command and return its answer.

        Raises ``VenueAnswer`` for a refusal, ``TimeoutError``, and what ``fail`` was given.
        """
        with self._queue() as (id_, queue):
            send(make(id_))
            async with asyncio.timeout(seconds):
                return _checked(await queue.get())

    async def rows(self, send: Send, make: Make, seconds: float) -> AsyncIterator[HistoryRows]:
        """Send a command and yield the rows before its answer, each within the time."""
        with self._queue() as (id_, queue):
            send(make(id_))
            while True:
                async with asyncio.timeout(seconds):
                    told = _checked(await queue.get())
                if not isinstance(told, HistoryRows):
                    return
                yield told

    @contextmanager
    def _queue(self) -> Iterator[tuple[int, asyncio.Queue[Any]]]:
        id_ = self.next_id()
        queue = self._waiting[id_] = asyncio.Queue()
        try:
            yield id_, queue
        finally:
            del self._waiting[id_]


def _checked(told: Any) -> Any:
    if isinstance(told, Exception):
        raise told
    if isinstance(told, Answer) and told.reason:
        raise VenueAnswer(told.reason, told.message, told.retry_after)
    return told
