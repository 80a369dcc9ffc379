"""Processes that the tests kill and stop: a trader that records and sends without pause."""

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import redis

from integration.live_execution.outside.kit import KEY, TAG, VENUE, initialized
from services.live_execution.trader.outside import TraderOutside, open_outside
from services.live_execution.trader.ports import Ticket

LOST = 7
"""Exit code of a trader whose lease another process has."""


def sent(fence: int) -> str:
    """Return the counter of what a process has sent to its venue."""
    return f"{KEY.commands}:sent:{fence}"


def told(ticket: Ticket) -> Path:
    """Return the file in which processes write what was recorded, after it was."""
    return Path(ticket.journal) / "told"


def _main(ticket: Ticket) -> None:
    os._exit(asyncio.run(_trade(ticket)))


async def _trade(ticket: Ticket) -> int:
    loop = asyncio.get_running_loop()
    async with open_outside(ticket, None, loop) as outside:
        over: asyncio.Future[None] = loop.create_future()
        wanted_stop: list[bool] = []
        loop.add_signal_handler(signal.SIGUSR1, wanted_stop.append, True)
        outside.on_standing(
            lambda now: over.set_result(None) if now.lease == "LOST" and not over.done() else None
        )
        with redis.Redis.from_url(ticket.redis_url) as venue, told(ticket).open("ab", 0) as file:
            for count in range(10_000_000):
                if over.done():
                    return LOST
                if wanted_stop:
                    wanted_stop.clear()
                    os.kill(os.getpid(), signal.SIGSTOP)
                _send(outside, venue)
                name = f"{outside.fence}-{count}"
                number = outside.record(initialized(name))
                file.write(f"{number} {name}\n".encode())
                await asyncio.sleep(0 if count % 50 else 0.002)
    return 0


def _send(outside: TraderOutside, venue: redis.Redis) -> None:
    if outside.refusal(venue=VENUE, order_id_tag=TAG, reducing=False) is None:
        venue.hincrby(sent(outside.fence), "count")  # what its user may do


@contextmanager
def trading(ticket: Ticket) -> Iterator[BaseProcess]:
    """Run a trader in a process of its own; it is killed at the end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_main, args=(ticket,), daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def stop(process: BaseProcess) -> None:
    """Let it stop itself (SIGSTOP) between two orders, and wait until it has.

    Between the last look and the sending nothing in a process can guard it: the launcher kills a
    process before it starts another.
    """
    assert process.pid
    os.kill(process.pid, signal.SIGUSR1)
    ends = time.monotonic() + 20
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < ends, "it does not stop"


def go_on(process: BaseProcess) -> None:
    """SIGCONT."""
    assert process.pid
    os.kill(process.pid, signal.SIGCONT)
