"""Flattens from order to report: cases EX-181 to EX-187."""

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg

from integration.failures import failure
from integration.live_execution.orders.kit import (
    BTC,
    QUICK,
    Api,
    new_id,
    opened_api,
    position,
    ticket,
    until,
)
from mesh.execution.v1 import order_service_pb2 as order_rpc
from mesh.execution.v1 import safety_pb2 as pb
from mesh.execution.v1 import safety_service_pb2 as rpc
from mesh.execution.v1.safety_pb2 import SafetyScope

ALL = SafetyScope(all=True)
FLAT, NOT_FLAT = pb.FLATTEN_STATE_FLAT, pb.FLATTEN_STATE_NOT_FLAT


async def _begin(api: Api, scope: SafetyScope = ALL) -> pb.Flatten:
    request = rpc.FlattenRequest(request_id=new_id(), scope=scope, reason="drill")
    made: pb.Flatten = (await api.safety.Flatten(request)).flatten
    assert (await api.safety.Flatten(request)).flatten.flatten_id == made.flatten_id
    return made


async def _get(api: Api, flatten_id: str) -> pb.Flatten:
    wanted = rpc.GetFlattenRequest(flatten_id=flatten_id)
    found: pb.Flatten = (await api.safety.GetFlatten(wanted)).flatten
    return found


async def _ended(api: Api, flatten_id: str) -> pb.Flatten:
    async def look() -> pb.Flatten | None:
        found = await _get(api, flatten_id)
        return None if found.state == pb.FLATTEN_STATE_RUNNING else found

    found = await until(look)
    assert found is not None
    return found


async def _safe(api: Api, trader_id: str, safety_mode: bool) -> None:
    query = "SELECT 1 FROM traders WHERE trader_id = $1 AND safety_mode = $2"
    await until(lambda: api.sql(query, trader_id, safety_mode))


async def test_ex181_traders_report(api: Api) -> None:
    """EX-181: a flatten is FLAT when every trader in its reach has read back flat, and NOT FLAT
    with what is left and why when one has not; it can be watched, and resumed by cursor.
    """
    first, second = await api.add(), await api.add("T-002")
    call = api.safety.WatchSafety(rpc.WatchSafetyRequest())
    start = (await call.read()).cursor
    async with api.trader(first), api.trader(second) as other:
        done = await _ended(api, (await _begin(api)).flatten_id)
        assert (done.state, done.end_time.seconds > 0) == (FLAT, True)
        assert [(t.trader_id, t.state) for t in done.traders] == [("T-001", FLAT), ("T-002", FLAT)]
        assert done.traders[0].results[0].instrument_id == BTC
        other.flat = False
        left = await _ended(api, (await _begin(api)).flatten_id)
        assert left.state == NOT_FLAT
        assert left.traders[1].results[0].reason == "MARKET_CLOSED"
        venue = await _ended(api, (await _begin(api, SafetyScope(venue="SIM"))).flatten_id)
        assert venue.state == NOT_FLAT
        assert other.taken[-1].flatten.venue == "SIM"
    call.cancel()
    told: list[pb.SafetyChanged] = []
    again = api.safety.WatchSafety(rpc.WatchSafetyRequest(after_cursor=start))
    async with asyncio.timeout(20):
        while (
            not told
            or told[-1].flatten.flatten_id != venue.flatten_id
            or not told[-1].flatten.end_time.seconds
        ):
            events = (await again.read()).events
            told += [pb.SafetyChanged.FromString(each.payload.value) for each in events]
    again.cancel()
    states = [each.flatten.state for each in told if each.flatten.flatten_id == done.flatten_id]
    assert (states[0], states[-1]) == (pb.FLATTEN_STATE_RUNNING, FLAT)
    missing = rpc.GetFlattenRequest(flatten_id=new_id())
    assert (await failure(api.safety.GetFlatten(missing))).reason == "FLATTEN_NOT_FOUND"
    nobody = rpc.FlattenRequest(request_id=new_id(), scope=SafetyScope(trader_id="T-009"))
    assert (await failure(api.safety.Flatten(nobody))).reason == "TRADER_NOT_FOUND"


async def test_ex182_who_cannot_is_started_in_safety_mode(api: Api) -> None:
    """EX-182: a stopped, a dead and a wedged trader are wanted in safety mode; their successors do
    it, and afterwards are wanted as before.
    """
    stopped = await api.add("T-001", wanted=False, state="STOPPED", real=True, fence=1)
    dead = await api.add("T-002", fence=1, state="PENDING")
    wedged = await api.add("T-003")
    async with api.trader(wedged) as deaf:
        deaf.deaf = True
        made = await _begin(api)
        for trader_id in ("T-001", "T-002", "T-003"):
            await _safe(api, trader_id, True)
        assert not await api.sql("SELECT 1 FROM traders WHERE trader_id = 'T-001' AND wanted")
    async with api.trader(stopped), api.trader(dead), api.trader(wedged):
        done = await _ended(api, made.flatten_id)
    assert done.state == FLAT
    assert all(each.safety_mode for each in done.traders)
    for trader_id in ("T-001", "T-002", "T-003"):
        await _safe(api, trader_id, False)
    assert await api.sql("SELECT 1 FROM traders WHERE trader_id = 'T-003' AND wanted")


async def test_ex183_nobody_answers(database_url: str, redis_url: str, tmp_path: Path) -> None:
    """EX-183: a trader that does not report in time is NOT FLAT, with what was last known."""
    quick = type(QUICK)(flatten_s=1.0, answer_s=0.3, dead_s=0.2, look_s=0.1)
    async with opened_api(database_url, redis_url, tmp_path, quick) as api:
        key = await api.add()
        async with api.trader(key) as trader:
            await api.submit(ticket("a"), wait_for=order_rpc.WAIT_FOR_ACCEPTED)
            trader.outside.record(position("P-1", "-2"))
            await until(lambda: api.sql("SELECT 1 FROM positions"))
            trader.deaf = True
            done = await _ended(api, (await _begin(api)).flatten_id)
        [part] = done.traders
        assert (part.state, part.reason) == (NOT_FLAT, "TRADER_UNRESPONSIVE")
        [line] = part.results
        assert (line.instrument_id, line.orders_left, line.left_qty) == (BTC, 1, "-2")
        await _safe(api, "T-001", False)
        assert not await api.sql("SELECT 1 FROM outbox WHERE NOT done")  # nor will it be done later


async def test_ex184_a_flatten_survives_its_service(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """EX-184: a flatten that was at work when the service ended is gone on with by the next one."""
    async with opened_api(database_url, redis_url, tmp_path) as api:
        key = await api.add()
        flatten_id = (await _begin(api)).flatten_id
        assert (await _get(api, flatten_id)).state == pb.FLATTEN_STATE_FLAT  # it never ran
        await api.sql("UPDATE traders SET fence = 1, lease_until = now() + interval '1 hour'")
        flatten_id = (await _begin(api)).flatten_id
    await _forget_lease(database_url)
    (tmp_path / "api.sock").unlink(missing_ok=True)
    async with opened_api(database_url, redis_url, tmp_path) as api, api.trader(key):
        assert (await _ended(api, flatten_id)).state == FLAT


async def _forget_lease(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE live_execution.traders SET lease_until = '-infinity'")
    await connection.close()


async def test_ex185_a_halt_flattens(api: Api) -> None:
    """EX-185: a halt with a flatten does both; its key tells traders to flatten by themselves, for
    as long as it is at work.
    """
    key = await api.add()
    async with api.trader(key) as trader:
        trader.flattens = False
        request = rpc.HaltRequest(request_id=new_id(), scope=ALL, flatten=True)
        made = await api.safety.Halt(request)
        assert made.halt.flatten_id == made.flatten.flatten_id
        said = json.loads(await api.redis.get("halt:default:all"))
        assert said["flatten_id"] == made.flatten.flatten_id
        trader.outside.record(trader.flat_fact(made.flatten.flatten_id))
        assert (await _ended(api, made.flatten.flatten_id)).state == FLAT

        async def forgotten() -> bool:
            return not json.loads(await api.redis.get("halt:default:all"))["flatten_id"]

        await until(forgotten)


async def test_ex186_a_latch_past_the_service(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """EX-186: a halt with a flatten that was set in Redis while the service was away, and was done
    by the traders alone, goes on record with its results when the service is back.
    """
    flatten_id, halt_id = new_id(), new_id()
    async with opened_api(database_url, redis_url, tmp_path) as api:
        key = await api.add()
        async with api.trader(key) as trader:
            trader.outside.record(trader.flat_fact(flatten_id))
            await until(lambda: api.sql("SELECT 1 FROM reports"))
            said = {"halt_id": halt_id, "flatten_id": flatten_id, "by": "direct:me"}
            await api.redis.set("halt:default:all", json.dumps(said))
            trader.flattens = False
            await until(lambda: api.sql("SELECT 1 FROM flattens WHERE state = 'FLAT'"))
        done = await _get(api, flatten_id)
        assert done.meta.owner == "direct:me"
        halt = (await api.safety.GetHalt(rpc.GetHaltRequest(halt_id=halt_id))).halt
        assert (halt.source, halt.flatten_id) == (pb.HALT_SOURCE_LATCH, flatten_id)


async def test_ex187_stopped_in_order_and_simulated_is_flat(api: Api) -> None:
    """EX-187: a trader of simulated accounts that stopped in order with nothing open is flat
    without being started; one with an open position is started.
    """
    rest: dict[str, Any] = {"wanted": False, "state": "STOPPED", "fence": 3}
    await api.add("T-001", **rest)
    done = await _begin(api)
    assert (done.state, done.traders[0].safety_mode) == (FLAT, False)
    key = await api.add("T-002", **rest)
    async with api.trader(key) as trader:
        trader.outside.record(position("P-1", "1"))
        await until(lambda: api.sql("SELECT 1 FROM positions WHERE open"))
    made = await _begin(api, SafetyScope(trader_id="T-002"))
    await _safe(api, "T-002", True)
    async with api.trader(key):
        assert (await _ended(api, made.flatten_id)).state == FLAT
