"""What the keeping of traders needs of whoever runs their processes."""

from typing import Protocol

from services.live_execution.domain import Trader
from services.live_execution.trader.ports import Ticket


class Running(Protocol):
    """A process of a trader, ours or adopted."""

    @property
    def pid(self) -> int:
        """Its process id on the host of the launcher."""

    @property
    def started(self) -> int:
        """When it began, in clock ticks since boot: tells it from a later one of the same pid."""

    @property
    def dead(self) -> bool:
        """Whether it has ended for certain."""

    @property
    def code(self) -> int | None:
        """Exit code, negative for a signal; None while it lives or when it is not known."""

    def terminate(self) -> None:
        """Ask it to stop in order; nothing when it is dead."""

    def kill(self) -> None:
        """End it at once; nothing when it is dead."""

    def hand(self, ticket: Ticket) -> None:
        """Give a process that was started its ticket, and from then on the secrets it may have."""

    def close(self) -> None:
        """Let go of it; it lives on."""


class Launcher(Protocol):
    """Runs processes: children of this one on one machine, later pods."""

    async def start(self, trader: Trader) -> Running:
        """Start a process, which waits for its ticket and ends when it is let go before that."""

    def adopt(self, pid: int, started: int) -> Running | None:
        """Return a process that an earlier life of the service started; None when it is dead."""
