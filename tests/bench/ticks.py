"""Live quotes of a replay to clients through the gateway, none lost."""

import asyncio
import statistics
from contextlib import AsyncExitStack

from bench import cpu, made
from bench.figure import Figure, Measured
from bench.live import Reader, subscribed, watching
from bench.place import Place

QUOTES = 1_000_000
INSTRUMENTS = [f"LIVE{n}/JPY.SIM" for n in range(8)]
"""So many that what is kept of each, 8 MiB, is all of its quotes: a replay at full speed does not
wait for readers, and on a busy machine they are far behind it at times.
"""
MANY = 16


async def per_s(place: Place) -> Measured:
    """Count rows a second at one client, from its first to its last."""
    return await _measure(place, 1)


async def per_s_16(place: Place) -> Measured:
    """Count rows a second at each of 16 clients at once."""
    return await _measure(place, MANY)


async def _measure(place: Place, clients: int) -> Measured:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(place.client())
        for each in INSTRUMENTS:
            await client.instruments.ensure(made.pair(each))
            await made.load_quotes(client, place.folder, each, QUOTES // len(INSTRUMENTS))
        config = {"instruments": INSTRUMENTS, "speed": 0, "paused": True}
        wanted = [f"{each}:quotes" for each in INSTRUMENTS]
        subscription_id = await stack.enter_async_context(
            subscribed(client, "bench-replay", "REPLAY", config, *wanted)
        )
        readers = [
            Reader(QUOTES, step=made.STEP, at=lambda: cpu.by_part(place)) for _ in range(clients)
        ]
        tasks = []
        for reader in readers:
            other = await stack.enter_async_context(place.client())
            entered = watching(other, subscription_id, reader)
            tasks.append(await stack.enter_async_context(entered))
        await client.feeds.resume("bench-replay")
        await asyncio.gather(*tasks)
    return _measured(readers)


def _measured(readers: list[Reader]) -> Measured:
    one = readers[0]
    rate = statistics.median(reader.rate for reader in readers)
    parts = ", ".join(f"{part} {one.spent[part] / one.measured * 1e6:.2f}" for part in one.spent)
    told = f"{QUOTES:,} quotes, no gap; {one.rows / one.batches:.0f} a batch; CPU µs: {parts}"
    if len(readers) > 1:
        told = f"each; the {len(readers)} together {sum(r.rate for r in readers):,.0f}/s; {told}"
    return Measured(rate, told)


FIGURES = [
    Figure("ticks_per_s", "rows/s", per_s, at_least=100_000),
    Figure("ticks_per_s_16", "rows/s", per_s_16),
]
