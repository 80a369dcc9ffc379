"""Watches of facts: what happened, once each, through restarts of the mesh."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from google.protobuf.message import Message

from mesh.events.v1.events_pb2 import Event


@dataclass(frozen=True)
class Told[Payload: Message]:
    """One fact: what happened, and its place in its stream."""

    event: Event
    fact: Payload

    @property
    def project(self) -> str:
        """Project of the resource."""
        return self.event.project

    @property
    def subject(self) -> str:
        """Id of the resource: with facts of traders the trader's."""
        return self.event.subject

    @property
    def number(self) -> int:
        """Number in its stream, from 1, without holes."""
        return self.event.number

    @property
    def time(self) -> datetime:
        """When it was committed, in UTC."""
        return self.event.time.ToDatetime()


class FactWatch[Payload: Message]:
    """Yields facts until it is closed; it goes on by its cursor by itself when the mesh restarts.

    ``cursor`` is where it is: another watch of the same filter goes on there. It moves when all
    of a message was taken, so what comes after it may be seen twice by who stops within one, and
    is never missed. Use it as a context manager, or close it.
    """

    def __init__(
        self,
        messages: AsyncGenerator[Any, None],
        unpack: Callable[[Event], Payload | None],
        cursor: str = "",
    ) -> None:
        self.cursor = cursor
        self._messages = messages
        self._unpack = unpack
        self._first: Any = None
        self._items = self._read()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Told[Payload]:
        return await anext(self._items)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def attach(self) -> None:
        """Wait until the mesh has answered: what is read elsewhere from now on has no hole to what
        this watch yields.
        """
        if self._first is None:
            self._first = await anext(self._messages)

    async def close(self) -> None:
        """End the watch."""
        await self._items.aclose()
        await self._messages.aclose()

    async def _read(self) -> AsyncGenerator[Told[Payload], None]:
        await self.attach()
        for told in self._facts(self._first):
            yield told
        self.cursor = self._first.cursor or self.cursor
        async for message in self._messages:
            for told in self._facts(message):
                yield told
            self.cursor = message.cursor or self.cursor

    def _facts(self, message: Any) -> list[Told[Payload]]:
        found = [(event, self._unpack(event)) for event in message.events]
        return [Told(event, fact) for event, fact in found if fact is not None]


def unpacker(*kinds: type[Message]) -> Callable[[Event], Any]:
    """Return what unpacks an event's payload of one of these types; None for another one, which
    only a newer mesh knows.
    """

    def unpack(event: Event) -> Message | None:
        for kind in kinds:
            fact = kind()
            if event.payload.Unpack(fact):
                return fact
        return None

    return unpack
