"""EX-233: a trader without its stores sends what makes it smaller, and nothing else."""

import pytest

from chaos.trading.away import outage
from integration.live_execution.outside.kit import World

pytestmark = pytest.mark.timeout(300)

SECONDS = 5.0


async def test_ex233_without_valkey_and_postgresql(world: World) -> None:
    """EX-233: both stores are away past the lease: no new or increasing order comes to the venue,
    orders are cancelled and positions reduced, the trader shows DEGRADED and its restriction, all
    of it is journalled, and stored when the stores are back; then it trades on.
    """
    async with outage(world) as scene:
        await scene.away(SECONDS)
        await scene.check()
