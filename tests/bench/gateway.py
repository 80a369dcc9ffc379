"""What the gateway itself costs."""

import asyncio
from collections.abc import Awaitable, Callable

import psutil

from bench.figure import Figure, Measured
from bench.place import Place

CALLERS = 8
CALLS = 400
"""By each caller: few enough a second to stay below the burst limit."""


async def cpu_us(place: Place) -> Measured:
    """Divide Envoy's CPU time over many unary calls by their number, as it is shipped."""
    envoy = _envoy(place)
    async with place.client() as client:
        await _calls(client.who_am_i, 50)
        before = _cpu(envoy)
        await asyncio.gather(*(_calls(client.who_am_i, CALLS) for _ in range(CALLERS)))
        spent = _cpu(envoy) - before
    calls = CALLERS * CALLS
    return Measured(spent / calls * 1e6, f"CPU time of Envoy alone, {calls:,} calls of WhoAmI")


async def _calls(call: Callable[[], Awaitable[object]], count: int) -> None:
    for _ in range(count):
        await call()


def _envoy(place: Place) -> psutil.Process:
    processes = psutil.Process(place.mesh.child.pid).children(recursive=True)
    return next(p for p in processes if p.name() == "envoy")


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


FIGURES = [Figure("gateway_cpu_us", "µs", cpu_us, at_most=100)]
