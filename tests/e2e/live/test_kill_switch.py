"""EX-173: the kill switch in a whole mesh, as an operator uses it."""

import signal

import pytest

from chaos.orders.switch import three_traders
from running_mesh import RunningMesh

pytestmark = pytest.mark.timeout(300)


async def test_ex173_halt_all_and_flatten(live_mesh: RunningMesh) -> None:
    """EX-173: with positions and resting orders in three traders, one of them killed, a halt with a
    flatten ends flat, read back; nobody trades, a strategy that goes on is denied, also after the
    service was killed; only a reset lets them trade again.
    """
    async with three_traders(live_mesh, "KS") as switch:
        await switch.open()
        await switch.signal("KS-002", signal.SIGKILL)
        made = await switch.at.client.safety.halt(all=True, reason="drill", flatten=True)
        done = await switch.flat(made.flatten.flatten_id)
        assert [each.safety_mode for each in done.traders] == [False, True, False]
        await switch.refused()
        await switch.denied("KS-003", more=3)
        await switch.at.kill("live-execution")
        await switch.refused()
        await switch.nothing_open()
        halt = await switch.at.client.safety.get(made.halt.halt_id)
        assert set(halt.acknowledged_trader_ids) == set(switch.names)
        await switch.at.client.safety.reset(halt.halt_id)
        await switch.trade_again()
