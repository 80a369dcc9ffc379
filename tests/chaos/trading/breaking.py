"""What is killed (-9) while orders flow: a trader, each service on an order's way, each store."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chaos.live.breaking import Place
from chaos.live.readers import until
from chaos.trading.stores import postmaster
from running_mesh import RunningMesh


@dataclass(frozen=True)
class Kill:
    """Something that is killed; ``name`` is for people."""

    name: str
    strike: Callable[[Place], Awaitable[None]]


def a_trader(trader_id: str) -> Kill:
    """Return the kill of a trader's process, as soon as it has one."""

    async def strike(at: Place) -> None:
        await until(lambda: processes(at.mesh, trader_id), f"{trader_id} has a process")
        with suppress(ProcessLookupError, IndexError):  # it has just ended by itself
            os.kill(processes(at.mesh, trader_id)[0], signal.SIGKILL)

    return Kill("trader", strike)


def a_service(name: str) -> Kill:
    """Return the kill of a service, of `valkey` or of the `gateway`; another one is there after."""

    async def strike(at: Place) -> None:
        await at.kill(name)

    return Kill(name, strike)


async def _kill_postgresql(at: Place) -> None:
    old = postmaster(at.mesh)
    os.kill(old, signal.SIGKILL)
    await until(lambda: postmaster(at.mesh) not in (0, old), "PostgreSQL is started again")


POSTGRESQL = Kill("postgresql", _kill_postgresql)
SERVICES = tuple(a_service(name) for name in ("live-execution", "market-data", "valkey", "gateway"))


def stores_away(seconds: float) -> Kill:
    """Return the kill of both stores, with nobody to start them again for so long."""

    async def strike(at: Place) -> None:
        supervisor = at.mesh.child
        supervisor.send_signal(signal.SIGSTOP)
        try:
            for pid in (at.pid("valkey"), postmaster(at.mesh)):
                os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(seconds)
        finally:
            supervisor.send_signal(signal.SIGCONT)

    return Kill(f"both stores for {seconds:g} s", strike)


def together(first: Kill, second: Kill) -> Kill:
    """Return two kills at once."""

    async def strike(at: Place) -> None:
        await asyncio.gather(first.strike(at), second.strike(at))

    return Kill(f"{first.name} and {second.name}", strike)


def processes(mesh: RunningMesh, trader_id: str) -> list[int]:
    """Return the living processes of a trader of this mesh."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (entry / "cmdline").read_bytes().split(b"\0")
            if f"default/{trader_id}".encode() in command and _is_of(mesh, entry):
                found.append(int(entry.name))
    return found


def _is_of(mesh: RunningMesh, process: Path) -> bool:
    """Whether a process writes its log into the folder of this mesh; a zombie writes none."""
    return str(mesh.data) in str((process / "fd" / "1").readlink())
