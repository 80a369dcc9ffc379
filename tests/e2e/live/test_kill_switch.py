"""EX-173 and EX-174: the kill switch in a whole mesh, as an operator uses it."""

import os
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
        safety = switch.at.client.safety
        await switch.open()
        await switch.signal("KS-002", signal.SIGKILL)
        made = await safety.halt(all=True, reason="drill", flatten=True)
        await switch.flat(made.flatten.flatten_id)
        await switch.refused()
        await switch.denied("KS-003", more=3)
        await switch.at.kill("live-execution")
        await switch.refused()
        await switch.nothing_open()
        await switch.heeded(made.halt.halt_id)
        await safety.reset(made.halt.halt_id)
        await switch.trade_again()


@pytest.mark.long
async def test_ex174_what_stands_still_does_not_hinder(live_mesh: RunningMesh) -> None:
    """EX-174: a trader that stands still is replaced by one in safety mode; with the service itself
    standing still the latch that is set past it halts and flattens, and goes on record.
    """
    async with three_traders(live_mesh, "KL") as switch:
        safety = switch.at.client.safety
        await switch.open()
        await switch.signal("KL-001", signal.SIGSTOP)
        made = await safety.halt(all=True, reason="drill", flatten=True)
        done = await switch.flat(made.flatten.flatten_id)
        assert {t.trader_id for t in done.traders if t.safety_mode} == {"KL-001"}
        await safety.reset(made.halt.halt_id)
        await switch.trade_again()
        service = switch.at.pid("live-execution")
        os.kill(service, signal.SIGSTOP)
        await switch.halt_past_the_mesh()
        os.kill(service, signal.SIGCONT)
        halt = await switch.found()
        await switch.flat(halt.flatten_id)
        await switch.refused()
        await safety.reset(halt.halt_id)
        await switch.trade_again()
