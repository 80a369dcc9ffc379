"""What is sent and what is not while a store is away, and while a halt is in force."""

import asyncio
import resource
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import redis.asyncio

from integration.live_execution.outside.kit import (
    KEY,
    VENUE,
    Way,
    World,
    first_command,
    initialized,
    latch,
    publishing,
    until,
)
from mesh.execution.v1.order_pb2 import TraderCommand
from services.live_execution.names import EVERYTHING
from services.live_execution.names import latch as latch_key
from services.live_execution.trader.errors import JournalBroken
from services.live_execution.trader.latch import Latch
from services.live_execution.trader.outside import TraderOutside
from services.live_execution.trader.ports import HaltNotice, Standing

TERMS = {"lease_s": 1.2, "margin_s": 0.3}


@dataclass
class Far:
    """The world with its stores behind ways that can be cut."""

    world: World
    near: World
    postgresql: Way
    redis: Way


@pytest.fixture
async def far(world: World) -> AsyncIterator[Far]:
    """Give the world, and the same one with stores that are there directly."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mesh-w-")))
        there = world.dsn.partition("host=")[2]
        valkey = world.redis_url.rpartition("@")[2]
        socket = ".s.PGSQL.5432"
        ways = [Way(f"{there}/{socket}", folder / socket), Way(valkey, folder / "valkey.sock")]
        for way in ways:
            await stack.enter_async_context(way)
        cut = replace(
            world,
            dsn=world.dsn.replace(there, str(folder)),
            redis_url=world.redis_url.replace(valkey, str(folder / "valkey.sock")),
        )
        yield Far(cut, world, *ways)


def _may(outside: TraderOutside, **changes: bool) -> str:
    """Return the reason of a refusal, empty for none."""
    order = {"reducing": False, **changes}
    refusal = outside.refusal(venue=VENUE, order_id_tag="001", **order)
    return refusal.reason if refusal else ""


def _held(outside: TraderOutside) -> list[str]:
    return outside._stores.latch.held


def _standings(outside: TraderOutside) -> list[Standing]:
    seen: list[Standing] = []
    outside.on_standing(seen.append)
    return seen


async def test_ex_112_without_postgresql_past_the_lease_only_what_reduces(far: Far) -> None:
    """EX-112: new orders are refused, cancels and reducing ones pass, the journal goes on; when
    PostgreSQL is back all of it is shipped and orders pass.
    """
    async with far.world.outside(**TERMS) as outside:
        seen = _standings(outside)
        outside.record(initialized("before"))
        await until(lambda: _may(outside) == "")
        await far.postgresql.cut()
        outside.record(initialized("during"))
        await until(lambda: _may(outside) == "LEASE_LOST")
        await until(lambda: _may(outside, reducing=True) == _may(outside, cancel=True) == "")
        await until(lambda: seen[-1].lease == "AWAY")
        last = [outside.record(initialized(f"away {n}")) for n in range(2000)][-1]
        assert await far.near.head() <= 2
        await far.postgresql.mend()
        await until(lambda: _may(outside) == "")
        await until(lambda: _shipped(far.near, last))
        await until(lambda: seen[-1] == Standing("HELD", postgresql=True, redis=True))
    assert [n for n, _ in await far.near.stored()] == list(range(1, last + 1))


async def test_ex_113_without_redis_the_last_known_halts_and_postgresql_count(far: Far) -> None:
    """EX-113: orders pass on, halts of either store are kept, commands come when it is back."""
    client = redis.asyncio.Redis.from_url(far.near.redis_url)
    key = latch_key(KEY.project, "venue:OTHER")
    async with far.world.outside() as outside, publishing(far.near):
        seen = _standings(outside)
        outside.refusal(venue="OTHER", order_id_tag="001", reducing=False)  # it is known from now
        await client.set(key, latch())
        halts: list[list[HaltNotice]] = []
        outside.on_halt(lambda found: halts.append(list(found)))
        await until(lambda: halts)
        await far.redis.cut()
        await until(lambda: not seen[-1].redis)
        assert _may(outside) == ""
        elsewhere = outside.refusal(venue="OTHER", order_id_tag="001", reducing=False)
        assert elsewhere is not None
        await far.near.halt(f"trader:{KEY.trader_id}")
        await until(lambda: _may(outside) == "TRADER_HALTED")
        assert [halt.scope for halt in halts[-1]] == ["trader:TEST-001", "venue:OTHER"]
        command_id = await far.near.command(TraderCommand())
        await client.delete(key)  # by nobody who may: it was not reset
        await far.near.connection.execute("UPDATE halts SET active = false")
        await far.redis.mend()
        assert (await first_command(outside)).command_id == command_id
        await until(lambda: _may(outside) == "")
        await until(lambda: [halt.scope for halt in halts[-1]] == ["venue:OTHER"])
        await far.near.reset_latched()
        await until(lambda: halts[-1] == [])
        assert outside.refusal(venue="OTHER", order_id_tag="001", reducing=False) is None
    await client.aclose()


async def test_ex_114_without_both_stores_it_journals_and_reduces(far: Far) -> None:
    """EX-114: with both away it is as without PostgreSQL; an end then loses nothing."""
    async with far.world.outside(grace=0.1, **TERMS) as outside:
        seen = _standings(outside)
        outside.record(initialized("a"))
        await until(lambda: _shipped(far.near, 1))
        await asyncio.gather(far.postgresql.cut(), far.redis.cut())
        await until(lambda: _may(outside) == "LEASE_LOST")
        await until(lambda: _may(outside, reducing=True) == _may(outside, cancel=True) == "")
        outside.record(initialized("b"))
        await until(lambda: seen[-1] == Standing("AWAY", postgresql=False, redis=False))
    await asyncio.gather(far.postgresql.mend(), far.redis.mend())
    await far.near.expire_lease()
    async with far.world.outside(**TERMS) as outside:
        assert len((await outside.restored()).facts) == 2
    assert [n for n, _ in await far.near.stored()] == [1, 2]


async def test_ex_101_nothing_is_sent_that_cannot_be_journalled(world: World) -> None:
    """EX-101: with a full disk a record is refused, and so is all sending, cancels too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with world.outside() as outside:
        outside.record(initialized("a"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
        try:
            with pytest.raises(JournalBroken):
                outside.record(initialized("b" * 300))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert _may(outside) == _may(outside, cancel=True) == "TRADER_FAILED"
    assert [n for n, _ in await world.stored()] == [1]


SCOPES = ["all", f"venue:{VENUE}", f"trader:{KEY.trader_id}", f"strategy:{KEY.trader_id}:001"]
OTHERS = ["venue:ELSE", "trader:TEST-002", f"strategy:{KEY.trader_id}:002", "trader:TEST-0011"]


async def test_ex_115_a_latch_in_redis_alone_halts_at_once(world: World) -> None:
    """EX-115: the next order is refused, of whatever scope the latch is and whatever it holds."""
    client = redis.asyncio.Redis.from_url(world.redis_url)
    await world.reset_latched()
    async with world.outside() as outside:
        keys = [EVERYTHING, *(latch_key(KEY.project, scope) for scope in SCOPES)]
        for key in keys:
            await client.set(key, latch() if key != keys[-1] else "not JSON")
            assert _may(outside) == "TRADER_HALTED", key
            assert _may(outside, reducing=True) == "TRADER_HALTED"
            assert _may(outside, cancel=True) == ""
            safe = outside.refusal(venue=VENUE, order_id_tag="SAFETY", reducing=True)
            assert safe is None
            await client.set(key, latch(reducing=True))
            assert (_may(outside), _may(outside, reducing=True)) == ("TRADER_HALTED", "")
            await client.delete(key)
            await until(lambda: _may(outside) == "")
        for scope in OTHERS:
            await client.set(latch_key(KEY.project, scope), latch())
        await client.set(latch_key("other", "all"), latch())
        assert _may(outside) == ""
    await client.aclose()


async def test_ex_115_a_halt_in_postgresql_alone_halts(world: World) -> None:
    """EX-115: from the start on, and until the row is reset; of the mesh or of the project."""
    for scope in OTHERS:
        await world.halt(scope)
    await world.halt("all", project="other")
    first = await world.halt("all", project="*")
    async with world.outside(lease_s=6.0) as outside:
        halts: list[list[HaltNotice]] = []
        outside.on_halt(lambda found: halts.append(list(found)))
        assert _may(outside) == "TRADER_HALTED"
        await until(lambda: halts and first in [halt.halt_id for halt in halts[-1]])
        await world.connection.execute("UPDATE halts SET active = false WHERE project = '*'")
        await until(lambda: _may(outside) == "")
        await world.halt(f"trader:{KEY.trader_id}", reducing=True)
        await until(lambda: _may(outside) == "TRADER_HALTED")
        assert _may(outside, reducing=True) == ""


async def test_ex_115_a_redis_that_was_emptied_resets_nothing(world: World) -> None:
    """EX-115: a halt that Redis alone had is kept after Redis lost it, until it is reset."""
    client = redis.asyncio.Redis.from_url(world.redis_url)
    async with world.outside() as outside:
        halts: list[list[HaltNotice]] = []
        outside.on_halt(lambda found: halts.append(list(found)))
        await client.set(latch_key(KEY.project, "all"), latch())
        await until(lambda: halts and halts[-1])
        await client.flushall()
        await until(lambda: _held(outside))
        assert _may(outside) == "TRADER_HALTED"
        await world.reset_latched()
        await until(lambda: _may(outside) == "")
    await client.aclose()


async def test_ex_115_the_scope_of_a_halt_in_postgresql(world: World) -> None:
    """EX-115: a halt reaches what its scope says and nothing else."""
    found = Latch(KEY, world.redis_url)
    for scope in OTHERS:
        found.stored([HaltNotice("h", scope, False, "", "")])
        assert found.check(VENUE, "001", False) is None, scope
    for scope in SCOPES:
        found.stored([HaltNotice("h", scope, True, "", "")])
        halt = found.check(VENUE, "001", False)
        assert halt is not None, scope
        assert halt.scope == scope
        assert found.check(VENUE, "001", True) is None
        assert found.check(VENUE, "SAFETY", True) is None
    found.close()


async def _shipped(world: World, number: int) -> bool:
    return await world.head() >= number
