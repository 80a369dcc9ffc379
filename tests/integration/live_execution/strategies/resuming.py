"""The sample strategy in one life and in two; in a process of their own."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nautilus_trader.core.data import Data

import services.strategy.examples as examples
from integration.live_execution.strategies.rows import MINUTES, bar, trade
from integration.live_execution.strategies.scene import Memory, Scene, component, running
from integration.nautilus.witness import BTC, MINUTE, START
from services.live_execution.trader.ports import Component

SAMPLES = {
    "EmaCross": "ema_cross.py",
    "MeanReversion": "mean_reversion.py",
    "BreakoutBracket": "breakout_bracket.py",
}
FIRST = START - START % MINUTE + MINUTE
INTERNAL = f"{BTC.id}-1-MINUTE-LAST-INTERNAL"
Told = list[tuple[Any, ...]]
CASES = ("external", "internal", "sparse")
KILLS = ((0.3, 0.5), (0.5, 0.5), (0.11, 0.777))
"""Where in the data the state was last saved, and where the process ended."""


def told() -> dict[tuple[Any, ...], Told]:
    """Return what each strategy has kept after one life, and after two for every case and kill."""
    return asyncio.run(_told())


async def _told() -> dict[tuple[Any, ...], Told]:
    found: dict[tuple[Any, ...], Told] = {}
    for case in CASES:
        bar_type = str(MINUTES) if case == "external" else INTERNAL
        data = {"external": _bars, "internal": _trades, "sparse": _sparse}[case]()
        found[case, "whole"] = await _one_life(bar_type, data)
        for saved, killed in KILLS:
            at = int(saved * len(data)), int(killed * len(data))
            found[case, saved, killed] = await _two_lives(bar_type, data, *at)
    return found


def _bars() -> list[Data]:
    walk = 30_000 + np.cumsum(np.random.default_rng(3).normal(0, 20, 200))
    return [bar(FIRST + n * MINUTE, float(close)) for n, close in enumerate(walk)]


def _trades(count: int = 2_000, most_ns: int = 12 * 10**9) -> list[Data]:
    random = np.random.default_rng(4)
    times = FIRST + np.cumsum(random.integers(1, most_ns, count))
    walk = 30_000 + np.cumsum(random.normal(0, 5, count))
    return [trade(int(ts), float(price)) for ts, price in zip(times, walk, strict=True)]


def _sparse() -> list[Data]:
    """Return trades with whole minutes without any between them."""
    return _trades(200, 10 * MINUTE)


def _samples(bar_type: str) -> list[Component]:
    """Return strategies that watch the same bars, the first of them twice."""
    config = {"instrument_id": str(BTC.id), "bar_type": bar_type, "trade_size": "0.1"}
    folder = Path(examples.__file__).parent
    made = []
    for number, name in enumerate(("EmaCross", *SAMPLES)):
        text = (folder / SAMPLES[name]).read_text()
        files, version = (("main.py", text),), f"{number:02}" * 32
        made.append(component(f"S{number}", name, files=files, version=version, config=config))
    return made


async def _one_life(bar_type: str, data: Sequence[Data]) -> Told:
    async with running(*_samples(bar_type), start_ns=FIRST) as scene:
        await scene.play(*data)
        return _kept(scene)


async def _two_lives(bar_type: str, data: Sequence[Data], saved: int, killed: int) -> Told:
    """Save the state at one row, end at a later one without a word, and go on from there.

    Time has run on to right before the next row by then, as by the rows of other instruments.
    """
    async with running(*_samples(bar_type), start_ns=FIRST) as scene:
        await scene.play(*data[:saved])
        scene.strategies.save_all()
        await scene.play(*data[saved:killed])
        memory = Memory.of(scene.outside.facts)
    lived, now_ns = data[:killed], data[killed].ts_init - 1
    components = _samples(bar_type)
    async with running(*components, memory=memory, start_ns=now_ns, history=lived) as scene:
        await scene.play(*data[killed:])
        return _kept(scene)


def _kept(scene: Scene) -> Told:
    """Return the state of each, and for the averages their values and numbers of bars."""
    ema = scene.made("S1")
    values = (ema.fast.value, ema.slow.value, ema.slow.count, ema.last_ns)
    states = [scene.made(f"S{number}").on_save() for number in range(1 + len(SAMPLES))]
    return [values, *(tuple(sorted(state.items())) for state in states)]
