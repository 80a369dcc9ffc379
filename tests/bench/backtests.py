"""Backtests through the mesh against stock Nautilus with stock dependencies."""

import asyncio
import statistics
import time
from pathlib import Path

from bench import made
from bench.figure import Figure, Measured
from bench.place import Place
from bench.runs import Job, by_mesh, by_stock
from mesh.backtest.v1 import backtest_pb2 as pb
from meshclient.client import MeshClient
from meshclient.strategies import source_from

QUOTES = 5_000_000
BARS = 125_000
LIGHT = Path(__file__).parent / "stock" / "light.py"
TINY = "TINY/JPY.SIM"
TINY_BARS = 500
STARTS = 30
TINY_RUNS = 9


async def ticks_ratio(place: Place) -> Measured:
    """Divide a run of quotes through the mesh by the same of a stock ``BacktestNode``."""
    instrument_id = "TICKS/JPY.SIM"
    async with place.client() as client:
        await client.instruments.ensure(made.pair(instrument_id))
        await made.load_quotes(client, place.folder, instrument_id, QUOTES)
        await client.strategies.add("light", source_from(LIGHT), kind="strategy")
        job = Job(
            "light",
            "light",
            "Light",
            {"instrument_id": instrument_id},
            [{"kind": "QUOTE_TICK", "instrument_id": instrument_id}],
        )
        runs: dict[str, list[tuple[float, float]]] = {"mesh": [], "stock": []}
        for side in ("mesh", "stock", "stock", "mesh"):  # a drift of the load hits both
            runs[side].append(await _quotes(place, client, job, by_the_mesh=side == "mesh"))
    seconds = {side: statistics.median(t for t, _ in each) for side, each in runs.items()}
    against = "; ".join(
        f"{side} {seconds[side]:.1f} s ({QUOTES / seconds[side]:,.0f}/s), "
        f"CPU {statistics.median(c for _, c in each):.1f} s"
        for side, each in runs.items()
    )
    return Measured(seconds["mesh"] / seconds["stock"], f"{against}; 2 runs each")


async def _quotes(
    place: Place, client: MeshClient, job: Job, *, by_the_mesh: bool
) -> tuple[float, float]:
    """Return the seconds of a run of quotes, and CPU seconds: the whole mesh's, or the run's."""
    if not by_the_mesh:
        seconds, _, output = await asyncio.to_thread(by_stock, place, job)
        assert output["events"] == QUOTES
        return seconds, float(output["cpu_seconds"])
    before = place.cpu_seconds()
    seconds, run = await by_mesh(client, job)
    assert run.result.iterations == QUOTES
    return seconds, place.cpu_seconds() - before


async def orders_ratio(place: Place) -> Measured:
    """Divide a run with many orders through the mesh by the same of stock Nautilus."""
    instrument_id = "ORDERS/JPY.SIM"
    async with place.client() as client:
        await client.instruments.ensure(made.pair(instrument_id))
        bar_types = await made.load_bars(client, place.folder, instrument_id, BARS)
        job = Job(
            "ema-cross",
            "ema_cross",
            "EmaCross",
            {"instrument_id": instrument_id, "bar_type": bar_types[0], "trade_size": "1000"},
            [{"kind": "BAR", "instrument_id": instrument_id, "bar_type": b} for b in bar_types],
        )
        ours, run = await by_mesh(client, job)
    theirs, _, output = await asyncio.to_thread(by_stock, place, job)
    orders = run.result.total_orders
    assert orders == output["orders"] >= 10_000
    return Measured(ours / theirs, f"{orders:,} orders: mesh {ours:.1f} s, stock {theirs:.1f} s")


async def start_ms(place: Place) -> Measured:
    """Time CreateBacktest until a watcher sees RUNNING, with a warm pool."""
    async with place.client() as client:
        job = await _tiny(place, client)
        await by_mesh(client, job)
        times = [await _start(client, job) for _ in range(STARTS)]
    return Measured(
        statistics.median(times),
        f"p50 of {STARTS}; p95 {sorted(times)[int(STARTS * 0.95)]:.0f} ms",
    )


async def _start(client: MeshClient, job: Job) -> float:
    started = time.perf_counter()
    made_run = await client.backtests.create(job.spec())
    seen = 0.0
    async for run in client.backtests.watch(made_run.backtest_id):
        if not seen and run.state != pb.BACKTEST_STATE_PENDING:
            seen = time.perf_counter()
    return (seen - started) * 1000


async def tiny_vs_spawn(place: Place) -> Measured:
    """Divide a tiny run end to end by spawning a Python process for it and parsing its JSON."""
    ours, theirs = [], []
    async with place.client() as client:
        job = await _tiny(place, client)
        await by_mesh(client, job)
        for _ in range(TINY_RUNS):  # interleaved, so that a busy machine is busy for both
            ours.append((await by_mesh(client, job))[0])
            theirs.append(by_stock(place, job)[1])
    mine, other = statistics.median(ours), statistics.median(theirs)
    return Measured(
        mine / other, f"mesh {mine * 1000:.0f} ms, spawn {other * 1000:.0f} ms, p50 of {TINY_RUNS}"
    )


async def _tiny(place: Place, client: MeshClient) -> Job:
    """Return a run of a few hundred bars."""
    await client.instruments.ensure(made.pair(TINY))
    sides = await made.load_bars(client, place.folder, TINY, TINY_BARS)
    return Job(
        "ema-cross",
        "ema_cross",
        "EmaCross",
        {"instrument_id": TINY, "bar_type": sides[0], "trade_size": "1000"},
        [{"kind": "BAR", "instrument_id": TINY, "bar_type": side} for side in sides],
    )


FIGURES = [
    Figure("backtest_ticks_ratio", "×", ticks_ratio, at_most=1.0),
    Figure("backtest_orders_ratio", "×", orders_ratio, at_most=0.2),
    Figure("backtest_start_ms", "ms", start_ms, at_most=100),
    Figure("backtest_tiny_vs_spawn", "×", tiny_vs_spawn, at_most=0.2),
]
