"""The process of a trader: from its ticket to its last fact."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable
from typing import Any

import uvloop

from mesh.execution.v1 import trader_pb2 as pb
from meshclient.errors import MeshClientError
from meshkit.errors import MeshError
from meshkit.logs import configure
from services.live_execution.engine.beginning import first_row
from services.live_execution.engine.node import (
    begins_anywhere,
    credential_ids,
    is_real,
    make_node,
    open_mesh,
)
from services.live_execution.engine.remembering import Remembering
from services.live_execution.engine.restoring import clock_of
from services.live_execution.engine.running import Running
from services.live_execution.engine.states import States
from services.live_execution.trader.errors import LeaseHeld, StaleFence
from services.live_execution.trader.outside import open_outside
from services.live_execution.trader.ports import Outside, SecretsRefused, Ticket
from services.live_execution.trader.start import receive

log = logging.getLogger("trader")

PASSING = {"SERVICE_UNAVAILABLE", "STORE_UNAVAILABLE", "STALE_FENCE"}
"""Reasons that a later start need not meet again."""

STOPPED, DIED, FAILED, HELD = 0, 1, 3, 4
"""Return codes: stopped in order; to be started again; not to be started again, it has said why;
another process has the lease."""


def run(fd: int) -> int:
    """Run the trader of the ticket that comes over a socket; return the process's code."""
    configure("trader")
    try:
        ticket = receive(fd)
    except ConnectionError:
        return STOPPED  # nobody wants it any more
    with (
        socket.socket(fileno=fd) as connected,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(_live(ticket, connected))


async def _live(ticket: Ticket, connected: socket.socket) -> int:
    try:
        async with open_outside(ticket, connected, asyncio.get_running_loop()) as outside:
            return await live(ticket, outside)
    except LeaseHeld as held:
        log.warning("not started: %s", held)
        return HELD
    except MeshError as error:
        log.error("ended: %s", error)
        return DIED


async def live(
    ticket: Ticket, outside: Outside, made: Callable[[Running], None] = lambda trader: None
) -> int:
    """Run a trader until it is told to stop; return the process's code.

    ``made`` is told of the trader before it starts.
    """
    spec = pb.TraderSpec.FromString(ticket.spec)
    kept = Remembering(outside)
    states = States(kept, ticket.trader_id, real=is_real(spec))
    states.become(pb.TRADER_STATE_STARTING)
    stop = asyncio.Event()
    try:
        trader = await _make(ticket, spec, kept, states, stop)
    except (MeshError, SecretsRefused) as error:
        if error.reason in PASSING:
            states.become(pb.TRADER_STATE_STARTING, error.reason, str(error))
            return DIED
        return _failed(states, error.reason, str(error))
    except MeshClientError as error:
        states.become(pb.TRADER_STATE_STARTING, "DATA_UNAVAILABLE", str(error))
        return DIED
    except Exception:
        log.exception("the trader could not be made")
        text = "The trader could not be made of its spec. Its log says why."
        return _failed(states, "TRADER_FAILED", text)
    made(trader)
    return await _serve(ticket, trader, stop)


def _failed(states: States, reason: str, message: str) -> int:
    log.error("failed: %s: %s", reason, message)
    states.become(pb.TRADER_STATE_FAILED, reason, message)
    return FAILED


async def _make(
    ticket: Ticket, spec: pb.TraderSpec, outside: Remembering, states: States, stop: asyncio.Event
) -> Running:
    needed = credential_ids(spec, data=not ticket.safety_mode)
    secrets = {each: await outside.secrets(each) for each in sorted(needed)}
    restored = await outside.restored()
    loop = asyncio.get_running_loop()
    clock_ns = clock_of(restored)
    first_ns = 0
    if begins_anywhere(spec) and not clock_ns and not ticket.safety_mode:
        async with open_mesh(ticket) as mesh:
            first_ns = await first_row(mesh, spec, ticket.components)
    node = make_node(
        ticket,
        spec,
        secrets,
        life=outside.fence,
        clock_ns=clock_ns,
        first_ns=first_ns,
        loop=loop,
    )
    _own_signals(loop, stop)
    trader = Running(node, ticket, spec, outside, states)
    trader.build(restored)
    return trader


def _own_signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Take the signals back that the node took: they drain the trader."""
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
        loop.add_signal_handler(number, stop.set)
    loop.remove_signal_handler(signal.SIGABRT)
    signal.signal(signal.SIGABRT, signal.SIG_DFL)


async def _serve(ticket: Ticket, trader: Running, stop: asyncio.Event) -> int:
    states = trader.states
    states.become(pb.TRADER_STATE_RECONCILING)
    starting = asyncio.ensure_future(trader.start())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not starting.done() or stop.is_set():
        return await _drain(trader, [starting, stopping], STOPPED)
    trouble = starting.result()
    if trouble is not None and trouble.lasting and not ticket.safety_mode:
        await _drain(trader, [stopping], DIED)
        return _failed(states, trouble.reason, trouble.message)
    if trouble is not None and not ticket.safety_mode:
        states.become(pb.TRADER_STATE_RECONCILING, trouble.reason, trouble.message)
        return await _drain(trader, [stopping], DIED)
    states.become(pb.TRADER_STATE_RUNNING)
    if trouble is not None:
        states.trouble("start", trouble)  # in safety mode it says what it cannot reach
    gc.collect()
    gc.freeze()  # what was loaded is there to stay
    work: list[asyncio.Future[Any]] = [
        stopping,
        asyncio.ensure_future(trader.commands.run()),
        asyncio.ensure_future(trader.keep()),
        asyncio.ensure_future(trader.resolve()),
        asyncio.ensure_future(trader.health.lost.wait()),
    ]
    if trouble is None:
        work.append(asyncio.ensure_future(trader.health.watch()))
    done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
    return await _drain(trader, work, _code(trader, stopping, done))


def _code(
    trader: Running, stopping: "asyncio.Future[Any]", done: set["asyncio.Future[Any]"]
) -> int:
    for task in done:
        error = task.exception()
        if isinstance(error, StaleFence):
            trader.health.lost.set()
        elif error is not None:
            log.error("a part of the trader ended", exc_info=error)
    return STOPPED if stopping in done else DIED


async def _drain(trader: Running, work: "list[asyncio.Future[Any]]", code: int) -> int:
    lost = trader.health.lost.is_set()
    if not lost and code == STOPPED:
        trader.states.become(pb.TRADER_STATE_DRAINING)
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)
    if lost:
        log.error("another process has the trader: this one ends")
        return HELD
    await trader.drain()
    trader.snapshot()
    if code == STOPPED:
        trader.states.become(pb.TRADER_STATE_STOPPED)
    return code
