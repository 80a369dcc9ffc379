"""What can be broken in a running mesh, and what a reader may be told of it."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psutil

from chaos.live.readers import until
from chaos.live.venue import Venue
from mesh.marketdata.v1 import live_pb2 as pb
from meshclient.client import MeshClient
from running_mesh import RunningMesh

RESTARTED, DISCONNECTED, SILENT = "FEED_RESTARTED", "VENUE_DISCONNECTED", "VENUE_SILENT"


@dataclass(frozen=True)
class Place:
    """A mesh with a feed of a venue, seen by a client."""

    mesh: RunningMesh
    client: MeshClient
    venue: Venue
    feed_id: str

    def pid(self, name: str) -> int:
        """Return the process of a service, of the `gateway`, or of `valkey`."""
        folder = "valkey" if name == "valkey" else "run"
        return int((self.mesh.data / folder / f"{name}.pid").read_text().split()[0])

    def feed_pid(self) -> int:
        """Return the process of the feed: the service's child that is connected to the venue."""
        for child in psutil.Process(self.pid("market-data")).children(recursive=True):
            ends = (each.raddr for each in child.net_connections())
            if any(end and end.port == self.venue.port for end in ends):
                return child.pid
        raise AssertionError("no process is connected to the venue")

    async def kill(self, name: str) -> None:
        """kill -9 a process, and wait until there is another."""
        old = self.pid(name)
        os.kill(old, signal.SIGKILL)
        await until(lambda: self._is_another(name, old), f"{name} is started again")

    def _is_another(self, name: str, old: int) -> bool:
        try:
            return self.pid(name) != old
        except (OSError, ValueError, IndexError):  # being written
            return False

    async def state(self, *states: pb.FeedState.ValueType, reason: str = "") -> None:
        """Wait until the feed is in one of the states, for that reason if one is given."""
        async with asyncio.timeout(60):
            while True:
                feed = await self.client.feeds.get(self.feed_id)
                if feed.state in states and reason in ("", feed.reason):
                    return
                await asyncio.sleep(0.05)


async def kill_service(place: Place) -> None:
    """kill -9 of the market-data service; its feeds die with it."""
    await place.kill("market-data")


async def kill_feed(place: Place) -> None:
    """kill -9 of the process of the feed alone."""
    os.kill(place.feed_pid(), signal.SIGKILL)


async def kill_valkey(place: Place) -> None:
    """kill -9 of Valkey."""
    await place.kill("valkey")


async def kill_gateway(place: Place) -> None:
    """kill -9 of Envoy."""
    await place.kill("gateway")


async def drop(place: Place) -> None:
    """End every connection at the venue."""
    assert await place.venue.do("drop", abruptly=True)


async def refuse(place: Place) -> None:
    """End every connection, and refuse new ones until the feed has said so."""
    await place.venue.do("refuse")
    await place.venue.do("drop")
    await place.state(pb.FEED_STATE_DISCONNECTED, pb.FEED_STATE_FAILED)
    await place.venue.do("refuse", seconds=1.0)


async def silence(place: Place) -> None:
    """Let the venue say nothing over open connections until the feed has noticed."""
    await place.venue.do("silence")
    await place.state(pb.FEED_STATE_DISCONNECTED, reason=SILENT)
    await place.venue.do("heal")


@dataclass(frozen=True)
class Fault:
    """Something that breaks; ``causes`` are the gaps that may be said of it, the first must be.

    ``breaks_streams`` says that the clients' own streams end with it.
    """

    name: str
    strike: Callable[[Place], Awaitable[None]]
    causes: tuple[str, ...] = ()
    breaks_streams: bool = False


def combined(first: Fault, second: Fault) -> Fault:
    """Return one thing breaking before another has recovered."""

    async def both(place: Place) -> None:
        await first.strike(place)
        await second.strike(place)

    causes = sorted({*first.causes, *second.causes}, key=lambda cause: cause != RESTARTED)
    breaks = first.breaks_streams or second.breaks_streams
    return Fault(f"{first.name}, {second.name}", both, tuple(causes), breaks)


FAULTS = (
    Fault("kill -9 of the service", kill_service, (RESTARTED,), True),
    Fault("kill -9 of the feed", kill_feed, (RESTARTED,)),
    Fault("kill -9 of Valkey", kill_valkey),
    Fault("kill -9 of Envoy", kill_gateway, (), True),
    Fault("connections dropped", drop, (DISCONNECTED,)),
    Fault("connections refused", refuse, (DISCONNECTED,)),
    Fault("a silent venue", silence, (SILENT, DISCONNECTED)),
)

SERVICE, FEED, VALKEY, ENVOY, DROPPED, REFUSED, SILENCED = FAULTS
PAIRS = (
    *(combined(first, ENVOY) for first in FAULTS),
    *(combined(first, VALKEY) for first in (SERVICE, FEED, DROPPED)),
    *(combined(first, SERVICE) for first in (SERVICE, FEED, VALKEY, DROPPED, REFUSED)),
)
"""What is broken together; the second never needs what the first has broken."""
