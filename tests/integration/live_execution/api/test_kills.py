"""Kills at random moments of what starts traders and of traders themselves: case EX-148."""

import asyncio
import os
import random
import signal
from contextlib import suppress

from integration.live_execution.api.conftest import Api, until

KILLS = int(os.environ.get("KILLS", "5"))
TRADERS = 3


async def test_ex148_whoever_is_killed_each_trader_runs_once(unserved: Api) -> None:
    """EX-148: the service is killed while it starts traders, and traders while they start; in the
    end each runs in one process, and its facts have no hole. ``KILLS=200`` is a longer one.
    """
    api, chance = unserved, random.Random(148)
    api.environment |= {
        "MESH_TRADER_DEATHS": "1000",
        "MESH_TRADER_LONGEST_BACK_OFF_S": "0.2",
    }
    await api.start()
    names = [f"K-{number}" for number in range(TRADERS)]
    for name in names:
        await api.create(name)
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0, 0.6))  # the moment of the kill is the test
        if chance.random() < 0.4:
            api.kill(api.processes[-1])
            await api.start()
        else:
            await _kill(api, chance.choice(names), chance.choice([signal.SIGKILL, signal.SIGTERM]))
    for name in names:
        await api.reaches("RUNNING", name)
    await until(lambda: _settled(api))
    async with api.database.connection() as tx:
        streams = await tx.fetch("SELECT count(*), max(number) FROM facts GROUP BY stream")
    assert all(count == last for count, last in streams)


async def _kill(api: Api, name: str, number: int) -> None:
    if pid := (await api.get(name)).process.pid:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


async def _settled(api: Api) -> bool:
    return api.trader_processes() == TRADERS
