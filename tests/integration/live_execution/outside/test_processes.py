"""Traders in processes of their own: killed, stopped, and two for one trader."""

import asyncio
import random
from pathlib import Path

import pytest
import redis.asyncio

from integration.live_execution.outside import worker
from integration.live_execution.outside.kit import World, initialized, until
from mesh.events.v1.events_pb2 import Event
from mesh.execution.v1.events_pb2 import TraderFact
from services.live_execution.trader.errors import LeaseHeld

KILLS = 8


def _names(facts: list[tuple[int, bytes]]) -> dict[int, str]:
    return {n: TraderFact.FromString(body).order.client_order_id for n, body in facts}


def _told(path: Path) -> dict[int, str]:
    """Return what the processes saw recorded; a line may be torn by a kill."""
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return {int(line[0]): line[1] for line in lines if len(line) == 2}


async def test_ex_110_kills_lose_nothing_and_double_nothing(world: World) -> None:
    """EX-110: processes that record without pause are killed (-9) at any moment: the numbers have
    no hole, what was recorded is there once, and PostgreSQL equals the journal.
    """
    ticket = world.ticket(lease_s=30.0)
    told = worker.told(ticket)
    random.seed(110)
    for _ in range(KILLS):
        before = len(_told(told))
        with worker.trading(ticket):
            await until(lambda: len(_told(told)) > before)  # noqa: B023  # called in this turn
            await asyncio.sleep(random.uniform(0, 0.1))  # the moment of the kill, not a wait
        await world.expire_lease()
    async with world.outside() as outside:
        restored = await outside.restored()
        outside.record(initialized("last"))
    facts = [*restored.facts]
    assert [number for number, _ in facts] == list(range(1, restored.number + 1))
    names = _names(facts)
    assert len(set(names.values())) == len(names)
    seen = _told(told)
    assert {number: names[number] for number in seen} == seen
    assert len(seen) > KILLS
    stored = await world.stored()
    assert stored[:-1] == facts
    assert await world.connection.fetchval("SELECT count(*) FROM orders") == len(stored)


async def test_ex_111_who_was_stopped_past_its_lease_sends_nothing(
    world: World, redis_url: str
) -> None:
    """EX-111: while a process lives, a second is refused. Stopped past its lease, it has a
    successor; let go on, it sends nothing, ships nothing and knows that it has lost.
    """
    terms: dict[str, float] = {"lease_s": 2.0, "margin_s": 0.5}
    client = redis.asyncio.Redis.from_url(redis_url)
    counter = worker.sent(1)
    with worker.trading(world.ticket(**terms)) as process:
        await until(lambda: client.exists(counter))
        with pytest.raises(LeaseHeld) as refused:
            await _open_once(world, **terms)
        assert refused.value.retry_after
        worker.stop(process)
        await until(lambda: _opens(world, **terms))
        async with world.outside(**terms) as successor:
            outcome = await client.hgetall(counter)
            head = successor.record(initialized("of the successor"))
            await until(lambda: _has(world, head))
            worker.go_on(process)
            await asyncio.to_thread(process.join, 20)
            assert process.exitcode == worker.LOST
            await until(
                lambda: successor.refusal(venue="SIM", order_id_tag="1", reducing=False) is None
            )
    assert await client.hgetall(counter) == outcome
    rows = await world.connection.fetch("SELECT event FROM facts ORDER BY number")
    fences = [Event.FromString(row["event"]).fence for row in rows]
    assert fences == sorted(fences)
    assert len(await world.stored()) == head
    await client.aclose()


async def _open_once(world: World, **terms: float) -> None:
    async with world.outside(**terms):
        pass


async def _opens(world: World, **terms: float) -> bool:
    try:
        await _open_once(world, **terms)
    except LeaseHeld:
        return False
    return True


async def _has(world: World, number: int) -> bool:
    return await world.head() >= number
