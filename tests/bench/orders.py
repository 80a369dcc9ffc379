"""Orders of traders: from a client and from a strategy; what starting a trader takes."""

import asyncio
import statistics
import time
from typing import Any

import psutil

from bench.figure import Figure, Measured
from bench.place import Place
from bench.trading import (
    PATIENCE,
    QUOTES_PER_S,
    TRADER,
    Desk,
    bare,
    desk,
    percentiles,
    text,
)
from bench.venue import INSTRUMENT
from mesh.execution.v1 import events_pb2 as events

ORDERS, WARM = 200, 20
RESTS = "1.00"
"""A price far below the market."""
STARTS = 5


async def ack_ms(place: Place) -> Measured:
    """Submit orders that rest, one after the other; against it: a strategy in a bare node."""
    async with desk(place) as here:
        async with here.trader() as trader_id:
            await here.venue.send(QUOTES_PER_S, stamp=False)
            told = percentiles(await _told(here, trader_id))
            replied = percentiles(await _replied(here, trader_id))
        config = {"orders": ORDERS, "warm": WARM, "price": RESTS}
        async with bare(place, here.venue, config, stock=True) as node:
            alone = await node.measured()
    value = told["p50"] / 1000
    against = f"{text(told)}; a reply that waits for ACCEPTED {text(replied)}; "
    ratio = told["p50"] / alone["p50"]
    against += f"in one process, a bare TradingNode and its strategy {text(alone)}: × {ratio:.0f}"
    return Measured(value, against)


async def _told(here: Desk, trader_id: str) -> list[float]:
    """Return seconds from each submission to its accepted event at a watcher."""
    taken: list[float] = []
    async with asyncio.timeout(PATIENCE), here.client.orders.watch(trader_id) as watch:
        await watch.attach()
        for _ in range(WARM + ORDERS):
            began = time.perf_counter()
            sent = here.client.orders.submit(trader_id, INSTRUMENT, "BUY", "0.01", price=RESTS)
            reply = asyncio.ensure_future(sent.send())
            async for told in watch:
                if _accepts(told.fact, sent.client_order_id):
                    break
            taken.append(time.perf_counter() - began)
            await reply
    return taken[WARM:]


def _accepts(fact: Any, client_order_id: str) -> bool:
    accepted: bool = fact.order.type == events.ORDER_EVENT_TYPE_ACCEPTED
    return accepted and fact.order.client_order_id == client_order_id


async def _replied(here: Desk, trader_id: str) -> list[float]:
    """Return seconds of each submission that waits until it is accepted."""
    taken: list[float] = []
    for _ in range(WARM + ORDERS):
        began = time.perf_counter()
        await here.client.orders.submit(
            trader_id, INSTRUMENT, "BUY", "0.01", price=RESTS, wait="accepted"
        )
        taken.append(time.perf_counter() - began)
    return taken[WARM:]


async def overhead(place: Place) -> Measured:
    """Divide submit to fill of a strategy in a trader by that in a bare node; in turn."""
    config = {"orders": ORDERS, "warm": WARM}
    ours, theirs = [], []
    async with desk(place) as here:
        await here.venue.send(QUOTES_PER_S, stamp=False)
        for _ in range(2):
            async with here.trader(config):
                ours.append(await here.measured())
            async with bare(place, here.venue, config) as node:
                theirs.append(await node.measured())
        async with bare(place, here.venue, config, stock=True) as node:
            stock = await node.measured()
    mine, bares = (min(side, key=lambda each: each["p50"]) for side in (ours, theirs))
    against = f"a trader {text(mine)}, a bare TradingNode with the same sandbox {text(bares)}, "
    against += f"with Nautilus' {text(stock)}"
    return Measured(mine["p50"] / bares["p50"], against)


async def start_ms(place: Place) -> Measured:
    """Time from StartTrader to a watcher's RUNNING; against it: a script with a bare node."""
    taken, alone = [], []
    async with desk(place) as here, here.trader({}):
        for _ in range(STARTS):
            await here.client.traders.stop(TRADER)
            await here.stopped()
            began = time.perf_counter()
            await here.client.traders.start(TRADER)
            await here.client.traders.wait(TRADER, "RUNNING")
            taken.append((time.perf_counter() - began) * 1000)
            began = time.perf_counter()
            async with bare(place, here.venue, {}, stock=True) as node:
                await node.started()
                alone.append((time.perf_counter() - began) * 1000)
    shown = ", ".join(f"{each:,.0f}" for each in sorted(taken))
    script = statistics.median(alone)
    value = statistics.median(taken)
    return Measured(
        value,
        f"{shown}; a process with a bare TradingNode, imports included, {script:,.0f} ms: "
        f"× {value / script:.2f}",
    )


async def memory_mb(place: Place) -> Measured:
    """Take what a trader's process has for itself; against it: a bare node's."""
    async with desk(place) as here, here.trader({}) as trader_id:
        pid = (await here.client.traders.get(trader_id)).process.pid
        ours = psutil.Process(pid).memory_full_info()
        async with bare(place, here.venue, {}, stock=True) as node:
            await node.started()
            theirs = node.memory
    shown = f"PSS {ours.pss / 2**20:.0f}; a bare TradingNode {theirs.uss / 2**20:.0f}, "
    shown += f"PSS {theirs.pss / 2**20:.0f}: × {ours.uss / theirs.uss:.2f}"
    return Measured(ours.uss / 2**20, shown)


FIGURES = [
    Figure("order_ack_ms", "ms", ack_ms, at_most=5),
    Figure("trader_overhead_ratio", "×", overhead, at_most=1.1),
    Figure("trader_start_ms", "ms", start_ms),
    Figure("trader_memory_mb", "MiB", memory_mb),
]
