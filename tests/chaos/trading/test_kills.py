"""EX-230: nothing lost, nothing twice, whatever is killed while orders flow."""

import random

import pytest

from chaos.trading.breaking import POSTGRESQL, SERVICES, a_trader
from chaos.trading.scene import ordering, trading_scene
from running_mesh import RunningMesh

pytestmark = pytest.mark.timeout(600)

SEED = 230


async def test_ex230_orders_while_everything_is_killed(live_mesh: RunningMesh) -> None:
    """EX-230: traders, live-execution, market-data, Valkey, Envoy and PostgreSQL are killed (-9)
    while clients submit without pause and repeat what was not answered: each order exists once,
    positions and accounts are the sum of their fills, facts have no hole, watchers were told each
    once, and each trader is back by itself, in one process.
    """
    draw = random.Random(SEED)
    async with trading_scene(live_mesh, "CH", draw) as scene:
        kills = [a_trader(scene.traders[n % 2]) for n in range(3)] + [*SERVICES, POSTGRESQL]
        draw.shuffle(kills)
        async with ordering(scene):
            for kill in kills:
                await scene.kill(kill)
            await scene.recovered()
            await scene.answered(10)
        facts = await scene.checked()
        assert scene.killed.total() == len(kills)
        assert all(facts[name][-1].fence > 1 for name in scene.traders)
