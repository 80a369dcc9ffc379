"""Quotes of the simulated Binance to a client, against a TradingNode with its own adapter."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import cpu
from bench.figure import Figure, Measured
from bench.live import Reader, subscribed, watching
from bench.place import Place
from bench.runs import STOCK
from bench.venue import INSTRUMENT, PLACES, WRAP, venue

RATE = 10_000
SECONDS = 15
WARM = 3 * RATE
LISTEN = Path(__file__).parent / "stock" / "listen.py"
FLOOD = 200_000
"""Quotes a second that nobody can take: the venue waits for its reader."""
FLOODED = 400_000


@dataclass(frozen=True)
class Side:
    """What one side measured over rows: latencies in µs, CPU seconds by part."""

    rows: int
    seconds: float
    spent: dict[str, float]
    latencies: Any

    def ms(self, percent: float) -> float:
        """Return a percentile of the latencies."""
        return float(np.percentile(self.latencies, percent)) / 1000

    def us(self, part: str) -> float:
        """Return the CPU time of a part for a row."""
        return self.spent[part] / self.rows * 1e6

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds

    def __str__(self) -> str:
        shown = (f"{p:g} {self.ms(p):.2f}" for p in (50, 99, 99.9))
        return "p" + ", p".join(shown) + " ms"


async def by_mesh(place: Place, rate: float, total: int, warm: int) -> Side:
    """Read the quotes of a simulated venue through the gateway."""

    reader = Reader(total, warm, stamped=True, at=lambda: cpu.by_part(place))
    async with venue() as there, place.client() as client:
        wanted = f"{INSTRUMENT}:quotes"
        async with (
            subscribed(client, "bench-binance", "BINANCE", there.config, wanted) as made,
            watching(client, made, reader) as reading,
        ):
            await there.subscribed()
            await there.send(rate, total)
            await reading
    return Side(reader.measured, reader.seconds, reader.spent, reader.latencies)


async def by_node(place: Place, rate: float, total: int, warm: int, stamped: bool = True) -> Side:
    """Read the same by a stock TradingNode in a process of its own."""
    async with venue() as there:
        spec = place.folder / "listen.json"
        what = {
            "client": there.config,
            "instrument_id": INSTRUMENT,
            "total": total,
            "warm": warm,
            "stamped": stamped,
            "places": PLACES,
            "wrap": WRAP,
        }
        spec.write_text(json.dumps(what))
        child = await asyncio.create_subprocess_exec(
            *(STOCK, LISTEN, spec),
            stdout=asyncio.subprocess.DEVNULL,  # its log
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "HOME": str(place.folder)},
        )
        try:
            await there.subscribed()
            await there.send(rate, total)
            _, said = await asyncio.wait_for(child.communicate(), 180)
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
    got = json.loads(said.decode().splitlines()[-1])
    spent = {"node": got["cpu_seconds"]}
    return Side(total - warm, got["seconds"], spent, np.array(got["latencies"]))


async def latency_ms(place: Place) -> Measured:
    """Measure from the venue's sending to the client's having it, 10,000 quotes a second."""
    total = WARM + RATE * SECONDS
    ours = await by_mesh(place, RATE, total, WARM)
    theirs = await by_node(place, RATE, total, WARM)
    return Measured(ours.ms(99), f"{ours}; a bare TradingNode {theirs}; {ours.rate:,.0f}/s")


async def cpu_us(place: Place) -> Measured:
    """Divide the CPU time of the whole mesh at 10,000 quotes a second by the quotes."""
    total = WARM + RATE * SECONDS
    ours = await by_mesh(place, RATE, total, WARM)
    theirs = await by_node(place, RATE, total, WARM)
    parts = ", ".join(f"{part} {ours.us(part):.1f}" for part in ours.spent)
    mesh = sum(ours.us(part) for part in ours.spent if part != "client")
    return Measured(mesh, f"{parts}; a bare TradingNode {theirs.us('node'):.1f}")


async def venue_ratio(place: Place) -> Measured:
    """Divide the quotes a second that come through the mesh, of a flood, by a bare node's."""
    ours = await by_mesh(place, FLOOD, FLOODED, FLOODED // 6)
    theirs = await by_node(place, FLOOD, FLOODED, FLOODED // 6, stamped=False)
    against = f"mesh {ours.rate:,.0f}/s, a bare TradingNode {theirs.rate:,.0f}/s"
    return Measured(ours.rate / theirs.rate, f"{against}: the adapter is the limit of both")


FIGURES = [
    Figure("tick_latency_ms", "ms", latency_ms, at_most=10),
    Figure("tick_cpu_us", "µs", cpu_us),
    Figure("venue_ticks_ratio", "×", venue_ratio),
]
