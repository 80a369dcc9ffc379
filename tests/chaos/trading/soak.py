"""`make chaos`: orders flow without pause through 200 kills, and counts are printed.

``python -m chaos.trading.soak [--kills 200] [--seed N]``: exit code 1 when anything was lost or
done twice.
"""

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from chaos.trading.away import outage
from chaos.trading.books import Fact
from chaos.trading.breaking import POSTGRESQL, SERVICES, Kill, a_trader, stores_away, together
from chaos.trading.scene import Scene, ordering, trading_scene
from integration.live_execution.outside.kit import make_database, world
from running_mesh import start_mesh
from services.up.embedded.postgres import postgres
from services.up.embedded.valkey import valkey

TRADERS = 3
SETTINGS = {"MESH_TRADER_DEATHS": "1000000", "MESH_TRADER_LONGEST_BACK_OFF_S": "0.5"}
"""Traders are started again however often they die: that is what is tried."""
PAIRS = 0.2
"""Share of the kills that another one follows at once."""
EVERY = 20
"""Kills between two times that everything must have recovered."""

AWAY_S = 60.0
"""How long both stores are away at the end."""


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def drawn(scene: Scene, count: int) -> list[Kill]:
    """Return so many kills, a third of them of traders; two at once count as two."""
    draw, found = scene.draw, list[Kill]()
    while count > 0:
        trader = a_trader(draw.choice(scene.traders))
        one = draw.choice((trader, trader, trader, *SERVICES, POSTGRESQL))
        if count > 1 and one is not trader and draw.random() < PAIRS:
            one = together(trader, one)
        found.append(one)
        count -= 1 + one.name.count(" and ")
    return found


async def soak(scene: Scene, kills: int) -> None:
    """Kill one thing after another while orders flow, and check it all at the end."""
    began = time.monotonic()
    async with ordering(scene):
        for number, kill in enumerate(drawn(scene, kills), start=1):
            await scene.kill(kill)
            if number % EVERY == 0:
                await scene.recovered()
                orders = sum(each.answered for each in scene.clients)
                say(f"{number:>4} strokes, {orders} orders, {time.monotonic() - began:.0f} s")
        await scene.kill(stores_away(AWAY_S))
        await scene.recovered()
        await scene.answered(10)
    report(scene, await scene.checked())


def report(scene: Scene, facts: Mapping[str, Sequence[Fact]]) -> None:
    """Print what happened."""
    clients, watchers = scene.clients, scene.watchers
    killed = Counter[str]()
    for name, count in scene.killed.items():
        killed.update(dict.fromkeys(name.split(" and "), count))
    all_ = [each for found in facts.values() for each in found]
    fills = sum(1 for each in all_ if each.fact.order.HasField("filled"))
    broken = sum((each.broken for each in clients), Counter[str]())
    say(f"\nkills    {killed.total()}: {dict(killed)}")
    say(
        f"orders   {sum(len(each.submitted) for each in clients)} submitted by "
        f"{sum(each.calls for each in clients)} calls, {fills} fills; not answered: {dict(broken)}"
    )
    lives = {(name, each.fence) for name, found in facts.items() for each in found}
    say(f"facts    {len(all_)}, by {len(lives)} processes of {len(facts)} traders")
    say(
        f"watches  {sum(len(each.breaks) for each in watchers)} broken and resumed, "
        f"{sum(each.visits - 1 for each in watchers)} left and come back to"
    )
    say("each order once, positions and accounts the sum of fills, no hole, no fact told twice")


async def without_stores(folder: Path) -> None:
    """Let a trader at the simulated Binance go on without its stores, and check what it sends."""
    with (
        postgres(folder / "pg", folder / "pg.log", secrets.token_hex(8)) as server,
        valkey(folder / "v", folder / "run", folder / "v.log", secrets.token_hex(8)) as redis_url,
    ):
        await make_database(server, "away")
        dsn = server.replace("/postgres?", "/away?")
        async with (
            world(dsn, redis_url, folder) as found,
            outage(found, millis=200, lease_s=10.0, margin_s=2.0) as scene,
        ):
            await scene.away(AWAY_S)
            await scene.check()
    say(f"\n{AWAY_S:g} s without stores: nothing larger was sent past the lease, and all is stored")


async def run(kills: int, seed: int) -> None:
    """Run it on a mesh of its own."""
    with tempfile.TemporaryDirectory(prefix="mesh-k-") as name:
        Path(name).chmod(0o711)  # PostgreSQL's user passes through
        mesh = start_mesh(Path(name) / "data", "--bare", settings=SETTINGS)
        try:
            mesh.wait_for("mesh ready")
            say(f"seed {seed}")
            async with trading_scene(mesh, "SOAK", random.Random(seed), traders=TRADERS) as scene:
                await soak(scene, kills)
        finally:
            mesh.stop()
        await without_stores(Path(name))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="chaos.trading.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    given = parser.parse_args()
    try:
        asyncio.run(run(given.kills, given.seed))
    except AssertionError as fault:
        sys.exit(f"seed {given.seed}: {fault}")
