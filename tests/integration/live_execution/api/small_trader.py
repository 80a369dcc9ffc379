"""A trader's process without an engine: ticket, lease, journal and commands as a real one has.

What it does beside living is said by the instruments of its spec: ``DIE.X`` ends with code 1 when
it has the lease, ``GIVEUP.X`` says that it FAILED, ``STAY.X`` does not heed SIGTERM, ``SECRET.X``
asks for the secrets of its first venue and says in its log how many it got.
"""

import asyncio
import signal
import socket
import sys
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.execution.v1 import trader_pb2 as pb
from mesh.execution.v1.events_pb2 import CommandTaken, TraderFact
from services.live_execution.trader import start
from services.live_execution.trader.errors import LeaseHeld
from services.live_execution.trader.outside import open_outside
from services.live_execution.trader.ports import SecretsRefused, Ticket


async def live(ticket: Ticket, connected: socket.socket) -> int:
    """Live until told to stop; return the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    spec = pb.TraderSpec.FromString(ticket.spec)
    wants = {each.partition(".")[0] for each in spec.data.instrument_ids}
    loop.add_signal_handler(signal.SIGTERM, stop.set if "STAY" not in wants else lambda: None)
    print(f"begins with {len(ticket.components)} strategies", flush=True)
    try:
        async with open_outside(ticket, connected, loop) as outside:
            print(f"fence {outside.fence} safety {ticket.safety_mode}", flush=True)
            if "DIE" in wants:
                print("it dies of this", flush=True)
                sys.stdout.flush()
                import os

                os._exit(1)
            if "GIVEUP" in wants:
                outside.record(state(ticket, "FAILED", "STRATEGY_LOAD_FAILED", "Mend it."))
                return 3
            if "SECRET" in wants:
                await ask(outside, spec.venues[0].live.credential_id)
            outside.record(state(ticket, "RUNNING"))
            taking = asyncio.create_task(take(outside))
            await stop.wait()
            taking.cancel()
            outside.record(state(ticket, "STOPPED"))
    except LeaseHeld:
        return 4
    return 0


async def take(outside: Any) -> None:
    """Carry out every command: say that it was."""
    async for command in outside.commands():
        print(f"takes {command.WhichOneof('command')}", flush=True)
        outside.record(TraderFact(command=CommandTaken(command_id=command.command_id)))


async def ask(outside: Any, credential_id: str) -> None:
    """Ask for secrets and tell how many came."""
    try:
        print(f"{len(await outside.secrets(credential_id))} secrets", flush=True)
    except SecretsRefused as refused:
        print(f"no secrets: {refused.reason}", flush=True)


def state(ticket: Ticket, name: str, reason: str = "", message: str = "") -> TraderFact:
    """Return the fact that the trader has a state."""
    now = Timestamp()
    now.GetCurrentTime()
    trader = pb.Trader(
        trader_id=ticket.trader_id,
        state=pb.TraderState.Value(f"TRADER_STATE_{name}"),
        state_time=now,
        reason=reason,
        message=message,
    )
    return TraderFact(trader=pb.TraderChanged(trader=trader))


def main() -> None:
    """Take the ticket and live."""
    fd = int(sys.argv[1])
    try:
        ticket = start.receive(fd)
    except ConnectionError:
        sys.exit(0)
    sys.exit(asyncio.run(live(ticket, socket.socket(fileno=fd))))


main()
