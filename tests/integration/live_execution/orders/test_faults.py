"""Orders through faults of the stores: cases EX-170 and EX-171."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from integration.live_execution.orders.kit import Api, opened_api, ticket, until
from integration.live_execution.outside.kit import Way
from mesh.execution.v1 import order_pb2 as pb
from mesh.execution.v1 import order_service_pb2 as rpc
from services.live_execution.names import TraderKey


async def _all_done(api: Api, key: TraderKey, count: int) -> None:
    """Check that so many orders exist, each once, and that nothing is left on its way."""
    query = "SELECT 1 FROM commands WHERE state = 'DONE'"

    async def look() -> bool:
        return len(await api.sql(query)) == count and not await api.sql(
            "SELECT 1 FROM outbox WHERE NOT done"
        )

    await until(look)
    assert len(await api.sql("SELECT 1 FROM orders")) == count


async def _committed(api: Api, count: int) -> None:
    async def look() -> bool:
        return len(await api.sql("SELECT 1 FROM order_keys")) == count

    await until(look)


async def test_ex170_what_redis_forgets_comes_again(api: Api) -> None:
    """EX-170: commands that were committed reach the trader once though Redis is emptied between
    the answer and the trader, and the caller dies and asks again.
    """
    key = await api.add()
    for number in range(5):
        call = asyncio.ensure_future(api.submit(ticket(f"o-{number}"), wait_for=1))
        await _committed(api, number + 1)
        call.cancel()  # the caller is gone with the commit
        await asyncio.gather(call, return_exceptions=True)
    await api.redis.flushall()
    again = [api.submit(ticket(f"o-{number}")) for number in range(5)]
    assert {each.command.state for each in await asyncio.gather(*again)} == {
        pb.COMMAND_STATE_ACCEPTED
    }
    async with api.trader(key) as trader:
        await _all_done(api, key, 5)
        ids = [each.submit.orders[0].client_order_id for each in trader.taken]
        assert sorted(ids) == [f"o-{number}" for number in range(5)]
        assert ids == sorted(ids)  # in the order in which they were committed


@pytest.fixture
async def cut(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[tuple[Api, Way]]:
    """Give the API with a way to Redis that can be cut."""
    pool = redis.ConnectionPool.from_url(redis_url)
    given = pool.connection_kwargs
    here = tmp_path / "way.sock"
    async with Way(str(given["path"]), here) as way:
        url = f"unix://:{given['password']}@{here}"
        async with opened_api(database_url, url, tmp_path) as api:
            yield api, way


async def test_ex171_redis_away(cut: tuple[Api, Way]) -> None:
    """EX-171: with Redis away an order is committed and answered, and sent when Redis is back;
    a wait ends as UNKNOWN.
    """
    api, way = cut
    key = await api.add()
    async with api.trader(key):
        await api.submit(ticket("before"), wait_for=rpc.WAIT_FOR_ACCEPTED)
        await way.cut()
        first = await api.submit(ticket("a"))
        assert first.outcome == rpc.OUTCOME_COMMITTED
        second = await api.submit(ticket("b"), wait_for=1, wait_bound={"nanos": 10**8})
        assert second.outcome == rpc.OUTCOME_UNKNOWN
        await way.mend()
        await _all_done(api, key, 3)
        known = await api.submit(ticket("b"), wait_for=rpc.WAIT_FOR_ACCEPTED)
        assert known.outcome == rpc.OUTCOME_REACHED
