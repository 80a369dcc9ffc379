"""Halts in both stores: cases EX-175 to EX-180."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import redis

from integration.failures import failure
from integration.live_execution.orders.kit import Api, new_id, opened_api, ticket, until
from integration.live_execution.outside.kit import Way
from mesh.execution.v1 import safety_pb2 as pb
from mesh.execution.v1 import safety_service_pb2 as rpc
from mesh.execution.v1.safety_pb2 import SafetyScope, StrategyScope
from mesh.execution.v1.safety_service_pb2_grpc import SafetyServiceStub

EVERYTHING = SafetyScope(all=True)
KEY = "halt:default:all"


def _halt(scope: SafetyScope = EVERYTHING, **values: Any) -> rpc.HaltRequest:
    return rpc.HaltRequest(**{"request_id": new_id(), "scope": scope, "reason": "drill", **values})


def _reset(halt_id: str) -> rpc.ResetHaltRequest:
    return rpc.ResetHaltRequest(request_id=new_id(), halt_id=halt_id)


async def _key(api: Api, key: str = KEY) -> dict[str, Any] | None:
    raw = await api.redis.get(key)
    return json.loads(raw) if raw else None


async def _found(api: Api, halt_id: str) -> pb.Halt:
    found: pb.Halt = (await api.safety.GetHalt(rpc.GetHaltRequest(halt_id=halt_id))).halt
    return found


async def test_ex175_a_halt_is_in_both_stores(api: Api) -> None:
    """EX-175: a halt answers when it is in both stores, tells which traders heed it, forbids
    orders, and ends in both by a reset alone; each call is done once.
    """
    key = await api.add()
    async with api.trader(key):
        request = _halt()
        halt = (await api.safety.Halt(request)).halt
        assert (halt.state, halt.source) == (pb.HALT_STATE_ACTIVE, pb.HALT_SOURCE_CALLER)
        assert (halt.set_by, halt.reason) == ("tester", "drill")
        said = await _key(api)
        assert said is not None
        assert (said["halt_id"], said["reducing"]) == (halt.halt_id, False)
        assert (await api.safety.Halt(request)).halt.halt_id == halt.halt_id
        told = await failure(api.submit(ticket()))
        assert (told.reason, told.metadata["halt_id"]) == ("TRADER_HALTED", halt.halt_id)

        async def heeded() -> bool:
            return list((await _found(api, halt.halt_id)).acknowledged_trader_ids) == ["T-001"]

        await until(heeded)
        ended = (await api.safety.ResetHalt(_reset(halt.halt_id))).halt
        assert (ended.state, ended.reset_by) == (pb.HALT_STATE_RESET, "tester")
        assert await _key(api) is None
        again = (await api.safety.Halt(request)).halt  # a late repeat halts nothing anew
        assert again.halt_id == halt.halt_id
        assert await _key(api) is None
        await api.submit(ticket())
    missing = await failure(api.safety.ResetHalt(_reset(new_id())))
    assert (missing.code, missing.reason) == ("NOT_FOUND", "HALT_NOT_FOUND")


async def test_ex176_several_halts_on_a_scope(api: Api) -> None:
    """EX-176: of several halts of one scope the strictest counts, and the scope is halted until
    the last is reset; a reducing one lets orders through to the trader.
    """
    await api.add()
    mild = (await api.safety.Halt(_halt(reducing=True))).halt
    assert (await _key(api) or {})["reducing"] is True
    await api.submit(ticket("reduces", reduce_only=True))
    hard = (await api.safety.Halt(_halt())).halt
    said = await _key(api) or {}
    assert (said["halt_id"], said["reducing"]) == (hard.halt_id, False)
    assert (await failure(api.submit(ticket()))).reason == "TRADER_HALTED"
    await api.safety.ResetHalt(_reset(hard.halt_id))
    said = await _key(api) or {}
    assert (said["halt_id"], said["reducing"]) == (mild.halt_id, True)
    await api.safety.ResetHalt(_reset(mild.halt_id))
    assert await _key(api) is None
    pages = [await api.safety.ListHalts(rpc.ListHaltsRequest(page_size=1))]
    token = pages[0].next_page_token
    pages.append(await api.safety.ListHalts(rpc.ListHaltsRequest(page_size=1, page_token=token)))
    assert [h.halt_id for p in pages for h in p.halts] == [hard.halt_id, mild.halt_id]
    active = rpc.ListHaltsRequest(state=pb.HALT_STATE_ACTIVE)
    assert not (await api.safety.ListHalts(active)).halts


async def test_ex177_scopes(api: Api) -> None:
    """EX-177: a halt reaches what its scope says; an unknown trader or strategy is told."""
    await api.add()
    tag = SafetyScope(strategy=StrategyScope(trader_id="T-001", order_id_tag="001"))
    other = (await api.safety.Halt(_halt(tag))).halt
    assert await _key(api, "halt:default:strategy:T-001:001")
    assert other.scope == tag
    await api.submit(ticket("free"))  # not of this strategy
    for scope, key in (
        (SafetyScope(venue="SIM"), "halt:default:venue:SIM"),
        (SafetyScope(trader_id="T-001"), "halt:default:trader:T-001"),
    ):
        halt = (await api.safety.Halt(_halt(scope))).halt
        assert await _key(api, key)
        assert (await failure(api.submit(ticket()))).reason == "TRADER_HALTED"
        await api.safety.ResetHalt(_reset(halt.halt_id))
    for scope, reason in (
        (SafetyScope(trader_id="T-009"), "TRADER_NOT_FOUND"),
        (
            SafetyScope(strategy=StrategyScope(trader_id="T-001", order_id_tag="9")),
            "TRADER_STRATEGY_NOT_FOUND",
        ),
        (SafetyScope(), "INVALID_FIELD"),
    ):
        assert (await failure(api.safety.Halt(_halt(scope)))).reason == reason
    stranger = await api.stub(SafetyServiceStub, projects=["other"])
    assert not (await stranger.ListHalts(rpc.ListHaltsRequest())).halts
    assert (await failure(stranger.ResetHalt(_reset(other.halt_id)))).reason == "HALT_NOT_FOUND"


async def test_ex178_what_is_found_in_redis(api: Api) -> None:
    """EX-178: a wiped Redis gets its halts back; one that an operator set there goes on record as
    a latch, readable or not, and ends by a reset.
    """
    await api.add()
    halt = (await api.safety.Halt(_halt())).halt
    await api.redis.flushall()
    await until(lambda: _key(api))
    by_hand = {"halt_id": new_id(), "reason": "panic", "by": "direct:me", "reducing": False}
    await api.redis.set(KEY, json.dumps(by_hand))
    await api.redis.set("halt:default:venue:SIM", "stop!")

    async def on_record() -> list[pb.Halt]:
        wanted = rpc.ListHaltsRequest(state=pb.HALT_STATE_ACTIVE)
        found = (await api.safety.ListHalts(wanted)).halts
        return [each for each in found if each.source == pb.HALT_SOURCE_LATCH]

    async def both() -> list[pb.Halt]:
        found = await on_record()
        return found if len(found) == 2 else []

    found = {each.scope.venue: each for each in await until(both)}
    assert (found[""].halt_id, found[""].reason) == (by_hand["halt_id"], "panic")
    assert found["SIM"].set_by == ""
    for each in (halt, *found.values()):
        assert await _key(api)
        await api.safety.ResetHalt(_reset(each.halt_id))
        if each.scope.venue:
            assert await _key(api, "halt:default:venue:SIM") is None
    assert await _key(api) is None
    told = await api.sql("SELECT 1 FROM facts WHERE stream = 'facts:live_execution'")
    assert len(told) == 6


async def test_ex178_set_by_hand_again(api: Api) -> None:
    """EX-178: what an operator sets a second time is a halt again, whatever his clock says; and a
    reset is one reset.
    """
    await api.add()
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    readable = json.dumps({"halt_id": new_id(), "reason": "panic", "by": "me", "time": ahead})
    for value in ("1", "1", readable, readable):
        await api.redis.set(KEY, value)
        halt = await until(lambda: _in_force(api))
        assert halt is not None  # it was waited for
        await api.safety.ResetHalt(_reset(halt.halt_id))
        assert (await _key(api), await _in_force(api)) == (None, None)


async def _in_force(api: Api) -> pb.Halt | None:
    wanted = rpc.ListHaltsRequest(state=pb.HALT_STATE_ACTIVE)
    found = (await api.safety.ListHalts(wanted)).halts
    assert len(found) < 2
    return found[0] if found else None


async def test_ex179_a_halt_of_the_mesh(api: Api) -> None:
    """EX-179: the latch over everything is shown to every project, and reset only by a caller who
    may use all of them.
    """
    await api.add()
    await api.add(project="other")
    await api.redis.set("halt:all", json.dumps({"halt_id": new_id(), "by": "direct:me"}))

    async def look() -> list[pb.Halt]:
        return list((await api.safety.ListHalts(rpc.ListHaltsRequest())).halts)

    halt = (await until(look))[0]
    assert (halt.scope.all, halt.meta.project) == (True, "*")
    assert (await failure(api.submit(ticket()))).metadata["halt_id"] == halt.halt_id
    refused = await failure(api.safety.ResetHalt(_reset(halt.halt_id)))
    assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "PROJECT_FORBIDDEN")
    everywhere = await api.stub(SafetyServiceStub, projects=["default", "other"])
    await everywhere.ResetHalt(_reset(halt.halt_id))
    assert await _key(api, "halt:all") is None
    await api.submit(ticket())


@pytest.fixture
async def cut(
    database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[tuple[Api, Way, Way]]:
    """Give the API with ways to Redis and to PostgreSQL that can be cut."""
    given = redis.ConnectionPool.from_url(redis_url).connection_kwargs
    folder, _, query = database_url.partition("?host=")
    here = tmp_path / "way.sock"
    store = f"{query.partition('&')[0]}/.s.PGSQL.5432"
    way = Way(str(given["path"]), here)
    to_postgres = Way(store, tmp_path / ".s.PGSQL.5432")
    async with way, to_postgres:
        url = f"unix://:{given['password']}@{here}"
        dsn = f"{folder}?host={tmp_path}"
        async with opened_api(dsn, url, tmp_path) as api:
            yield api, way, to_postgres


async def test_ex180_one_store_is_away(cut: tuple[Api, Way, Way]) -> None:
    """EX-180: with one store away a halt is set in the other and says so; when both are there it
    is in both, once, and a reset that met only one ends in both as well.
    """
    api, to_redis, to_postgres = cut
    await api.add()
    await to_redis.cut()
    request = _halt()
    told = await failure(api.safety.Halt(request))
    assert (told.reason, told.metadata["store"]) == ("STORE_UNAVAILABLE", "redis")
    assert (await failure(api.submit(ticket()))).reason == "TRADER_HALTED"
    await to_redis.mend()
    await until(lambda: _key(api))
    halt = (await api.safety.Halt(request)).halt
    await to_redis.cut()
    reset = _reset(halt.halt_id)
    assert (await failure(api.safety.ResetHalt(reset))).metadata["store"] == "redis"
    await to_redis.mend()

    async def gone() -> bool:
        return await _key(api) is None

    await until(gone)
    assert (await api.safety.ResetHalt(reset)).halt.state == pb.HALT_STATE_RESET
    await to_postgres.cut()
    request = _halt()
    told = await failure(api.safety.Halt(request))
    assert (told.reason, told.metadata["store"]) == ("STORE_UNAVAILABLE", "postgresql")
    assert await _key(api)
    await to_postgres.mend()

    async def again() -> pb.Halt | None:
        found = [h for h in (await api.safety.ListHalts(rpc.ListHaltsRequest())).halts]
        return next((h for h in found if h.state == pb.HALT_STATE_ACTIVE), None)

    found = await until(lambda: _without_error(again))
    answered = (await api.safety.Halt(request)).halt
    assert found is not None
    assert (answered.halt_id, answered.source) == (found.halt_id, pb.HALT_SOURCE_CALLER)
    await api.safety.ResetHalt(_reset(answered.halt_id))
    assert await _key(api) is None


async def _without_error(look: Any) -> Any:
    try:
        return await look()
    except grpc.aio.AioRpcError:
        return None
