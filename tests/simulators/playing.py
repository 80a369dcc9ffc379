"""A venue that invents its own events, for whoever wants to see something move."""

import asyncio
import random
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from simulators.exchange import Exchange
from simulators.market import Market

TURN_S = 0.02
TRADES = 0.3  # of all events


class Playing(Exchange):
    """An exchange with markets on which events can be invented at a rate."""

    _playing: asyncio.Task[None] | None = None

    @property
    @abstractmethod
    def listed(self) -> Mapping[str, Market]:
        """Give the markets by the name that channels end in or contain."""

    @abstractmethod
    async def quote(self, symbol: str) -> Any:
        """Publish an invented quote."""

    @abstractmethod
    async def trade(self, symbol: str) -> Any:
        """Publish an invented trade."""

    def commands(self) -> dict[str, Callable[..., Any]]:
        """Add the events that every venue has to the faults."""
        events = (self.quote, self.trade, self.play)
        return {**super().commands(), **{event.__name__: event for event in events}}

    def play(self, rate: float = 20.0) -> None:
        """Invent so many events a second on what is subscribed, until rate 0."""
        if self._playing is not None:
            self._playing.cancel()
        self._playing = asyncio.create_task(self._play(rate)) if rate else None

    async def _play(self, rate: float) -> None:
        due = 0.0
        while True:
            await asyncio.sleep(TURN_S)
            due += rate * TURN_S
            watched = self._watched()
            while due >= 1:
                due -= 1
                if watched:
                    event = self.trade if random.random() < TRADES else self.quote
                    await event(random.choice(watched))

    def _watched(self) -> list[str]:
        names = {part for s in self.sockets for c in s.channels for part in self.parts(c)}
        return sorted(names & self.listed.keys())

    @staticmethod
    @abstractmethod
    def parts(channel: str) -> list[str]:
        """Split a channel's name, so that the instrument stands alone."""

    async def __aexit__(self, *caught: object) -> None:
        self.play(0)
        await super().__aexit__(*caught)
