"""History and live data of strategies in one trader; in a process of their own."""

import asyncio
from pathlib import Path

from nautilus_trader.model.data import Bar

from integration.live_execution.strategies.rows import MINUTES, bar
from integration.live_execution.strategies.scene import Client, Scene, component, running, until
from services.live_execution.trader.ports import Component

WARMED = (Path(__file__).parent / "warmed.py").read_text()
SECOND = 1_000_000_000
Told = dict[str, list[int]]


def told() -> Told:
    """Return the numbers of the bars that each strategy has heard, of twelve that there were."""
    return asyncio.run(_told())


def _warmed(tag: str, order: str) -> Component:
    config = {"bar_type": str(MINUTES), "order": order}
    files = (("main.py", WARMED),)
    return component(tag, "Warmed", files=files, version="12" * 32, config=config)


async def _told() -> Told:
    """Bars 0 to 3 were before; 4 to 7 come while requests wait, and are in their answers too."""
    Client.gate = asyncio.Event()
    async with running(_warmed("LIVE", "only subscribe"), wall=True) as scene:
        now = scene.node.kernel.clock.timestamp_ns()
        bars = [bar(now + (number - 8) * SECOND) for number in range(12)]
        Client.history = bars[:8]
        scene.strategies.add(_warmed("FIRST", "subscribe first"))
        scene.strategies.add(_warmed("THEN", "request first"))
        await _live(scene, bars[4:8])
        Client.gate.set()
        await until(lambda: len(Client.asked) == 2)
        await _live(scene, bars[8:10])
        await until(lambda: scene.made("THEN").seen[-1:] == [bars[9].ts_event])
        await _live(scene, bars[10:])
        number = {each.ts_event: at for at, each in enumerate(bars)}
        await until(lambda: all(scene.made(tag).seen[-1] == bars[11].ts_event for tag in TAGS))
        return {tag: [number[ts] for ts in scene.made(tag).seen] for tag in TAGS}


TAGS = ("LIVE", "FIRST", "THEN")


async def _live(scene: Scene, bars: list[Bar]) -> None:
    for each in bars:
        scene.node.kernel.data_engine.process(each)
    await until(lambda: scene.made("LIVE").seen[-1:] == [bars[-1].ts_event])
