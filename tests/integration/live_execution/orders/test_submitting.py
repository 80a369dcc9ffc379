"""Orders by hand, committed once and waited for: cases EX-160 to EX-164."""

import asyncio
from typing import Any

from integration.failures import failure
from integration.live_execution.orders.kit import (
    Api,
    definition,
    new_id,
    ticket,
    until,
)
from mesh.common.v1 import enums_pb2 as enums
from mesh.execution.v1 import order_pb2 as pb
from mesh.execution.v1 import order_service_pb2 as rpc
from mesh.execution.v1.events_pb2 import TraderFact
from meshkit.times import to_timestamp


async def test_ex160_an_order_is_waited_for(api: Api) -> None:
    """EX-160: a submission answers at once, or when the order came as far as was asked for."""
    key = await api.add()
    async with api.trader(key):
        at_once = await api.submit(ticket("a"))
        assert at_once.outcome == rpc.OUTCOME_COMMITTED
        assert at_once.command.state == pb.COMMAND_STATE_ACCEPTED
        assert (await api.command(at_once.command.command_id)).state == pb.COMMAND_STATE_DONE
        for wait, tag, status in (
            (rpc.WAIT_FOR_SUBMITTED, "accept", enums.ORDER_STATUS_ACCEPTED),
            (rpc.WAIT_FOR_ACCEPTED, "accept", enums.ORDER_STATUS_ACCEPTED),
            (rpc.WAIT_FOR_TERMINAL, "fill", enums.ORDER_STATUS_FILLED),
        ):
            told = await api.submit(ticket("", tag), wait_for=wait)
            assert (told.outcome, told.order.status) == (rpc.OUTCOME_REACHED, status)
            assert (told.order.submitter, told.order.source) == ("tester", pb.ORDER_SOURCE_MANUAL)
            assert told.command.state == pb.COMMAND_STATE_DONE
            assert await api.order(told.order.client_order_id) == told.order


async def test_ex161_an_order_is_sent_once(api: Api) -> None:
    """EX-161: the same order again, at once or by twenty callers, is one command; another body
    under its id is refused.
    """
    key = await api.add()
    async with api.trader(key) as trader:
        same = ticket("same")
        answers = await asyncio.gather(
            *(api.submit(same, wait_for=rpc.WAIT_FOR_ACCEPTED) for _ in range(20))
        )
        again = await api.submit(same)
        ids = {each.command.command_id for each in (*answers, again)}
        assert len(ids) == 1
        assert {each.order.status for each in (*answers, again)} == {enums.ORDER_STATUS_ACCEPTED}
        assert len(trader.taken) == 1
        other = await failure(api.submit(ticket("same", price="101")))
        assert (other.code, other.reason) == ("ALREADY_EXISTS", "ORDER_ID_REUSED")
        assert other.metadata == {"client_order_id": "same"}
        listed = _list("list", ticket("same"), ticket("second"))
        assert (await failure(api.orders.SubmitOrderList(listed))).reason == "ORDER_ID_REUSED"
        assert await api.sql("SELECT key FROM order_keys WHERE key = 'second'") == []
        assert await api.sql("SELECT key FROM outbox WHERE NOT done") == []
    await api.sql("UPDATE traders SET wanted = false")  # also of a trader that runs no more
    assert (await api.submit(same)).command.command_id in ids


def _list(name: str, *tickets: pb.OrderTicket, **more: Any) -> rpc.SubmitOrderListRequest:
    return rpc.SubmitOrderListRequest(
        **{"request_id": new_id(), "trader_id": "T-001", "order_list_id": name, **more},
        orders=tickets,
    )


async def test_ex162_a_list_is_sent_once(api: Api) -> None:
    """EX-162: a bracket is one command under the keys of all its orders; what a parent holds back
    is not waited for.
    """
    key = await api.add()
    oto, ouo = enums.CONTINGENCY_TYPE_OTO, enums.CONTINGENCY_TYPE_OUO
    entry = ticket("e", contingency_type=oto, linked_order_ids=["s", "t"])
    stop = ticket("s", "take", parent_order_id="e", contingency_type=ouo, linked_order_ids=["t"])
    target = ticket("t", "take", parent_order_id="e", contingency_type=ouo, linked_order_ids=["s"])
    async with api.trader(key) as trader:
        request = _list("br", entry, stop, target, wait_for=rpc.WAIT_FOR_ACCEPTED)
        first = await api.orders.SubmitOrderList(request)
        assert first.outcome == rpc.OUTCOME_REACHED
        assert [each.client_order_id for each in first.orders] == ["e"]
        second = await api.orders.SubmitOrderList(request)
        assert second.command == first.command
        assert len(trader.taken) == 1
        alone = await failure(api.submit(entry))
        assert alone.reason == "ORDER_ID_REUSED"
        loose = await failure(api.orders.SubmitOrderList(_list("x", ticket("n"), ticket("n"))))
        assert loose.reason == "ORDER_INVALID"


async def _nothing(api: Api) -> None:
    pass


async def _unwanted(api: Api) -> None:
    await api.sql("UPDATE traders SET wanted = false, state = 'STOPPED'")


async def _failed(api: Api) -> None:
    await api.sql("UPDATE traders SET state = 'FAILED'")


async def _safe(api: Api) -> None:
    await api.sql("UPDATE traders SET safety_mode = true")


async def _halted(api: Api) -> None:
    await api.sql(
        "INSERT INTO halts (halt_id, project, owner, scope, reducing, reason, source)"
        " VALUES (gen_random_uuid(), 'default', 'o', 'venue:SIM', false, '', 'CALLER')"
    )


async def _latched(api: Api) -> None:
    await api.redis.set("halt:default:trader:T-001", "by hand")


REFUSED: list[tuple[Any, dict[str, Any], str, str]] = [
    (_nothing, {"trader_id": "T-002"}, "NOT_FOUND", "TRADER_NOT_FOUND"),
    (_unwanted, {}, "FAILED_PRECONDITION", "TRADER_NOT_RUNNING"),
    (_failed, {}, "FAILED_PRECONDITION", "TRADER_NOT_RUNNING"),
    (_safe, {}, "FAILED_PRECONDITION", "TRADER_NOT_RUNNING"),
    (_halted, {}, "FAILED_PRECONDITION", "TRADER_HALTED"),
    (_latched, {}, "FAILED_PRECONDITION", "TRADER_HALTED"),
    (_nothing, {"instrument_id": "BTCUSDT.MOON"}, "NOT_FOUND", "INSTRUMENT_NOT_FOUND"),
    (_nothing, {"price": ""}, "INVALID_ARGUMENT", "ORDER_INVALID"),
    (_nothing, {"price": "100.001"}, "INVALID_ARGUMENT", "ORDER_INVALID"),
    (_nothing, {"quantity": "0.0001"}, "INVALID_ARGUMENT", "ORDER_INVALID"),
    (_nothing, {"client_order_id": "-"}, "INVALID_ARGUMENT", "INVALID_FIELD"),
    (_nothing, {"expire_time": to_timestamp(1)}, "INVALID_ARGUMENT", "INVALID_FIELD"),
]


async def test_ex163_what_cannot_be_sent_is_refused(api: Api) -> None:
    """EX-163: a trader that does not run or is halted in either store, an instrument that it
    cannot trade, and a price off the tick are refused, and nothing is committed.
    """
    key = await api.add()
    async with api.trader(key) as trader:
        trader.outside.record(TraderFact(instrument=definition()))
        await until(lambda: api.sql("SELECT 1 FROM instruments"))
    for prepare, values, code, reason in REFUSED:
        await prepare(api)
        order = ticket(**{"client_order_id": "x", **_but(values, {"trader_id", "expire_time"})})
        request = rpc.SubmitOrderRequest(
            request_id=new_id(),
            trader_id=values.get("trader_id", "T-001"),
            order=order,
            expire_time=values.get("expire_time"),
        )
        told = await failure(api.orders.SubmitOrder(request))
        assert (told.code, told.reason) == (code, reason), (prepare, values)
        await api.sql("UPDATE traders SET wanted = true, safety_mode = false, state = 'RUNNING'")
        await api.sql("DELETE FROM halts")
        await api.redis.delete("halt:default:trader:T-001")
    assert await api.sql("SELECT 1 FROM commands") == []
    assert await api.sql("SELECT 1 FROM order_keys") == []


def _but(values: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in names}


async def test_ex164_what_is_not_known_is_said(api: Api) -> None:
    """EX-164: an order of which nothing is heard is UNKNOWN, and known when asked again; a denial
    and a refusal are errors only to a caller who waits.
    """
    key = await api.add()
    wait: dict[str, Any] = {"wait_for": rpc.WAIT_FOR_ACCEPTED, "wait_bound": {"nanos": 300_000_000}}
    early = await api.submit(ticket("early"), **wait)
    assert early.outcome == rpc.OUTCOME_UNKNOWN
    assert not early.HasField("order")
    async with api.trader(key):
        late = await api.submit(ticket("early"), wait_for=rpc.WAIT_FOR_ACCEPTED)
        assert (late.outcome, late.command.command_id) == (
            rpc.OUTCOME_REACHED,
            early.command.command_id,
        )
        assert (await api.submit(ticket("", "take"), **wait)).outcome == rpc.OUTCOME_UNKNOWN
        for tag, reason in (("deny", "ORDER_DENIED"), ("refuse", "ORDER_INVALID")):
            order = ticket(f"o-{tag}", tag)
            assert (await api.submit(order)).outcome == rpc.OUTCOME_COMMITTED
            for _ in range(2):
                told = await failure(api.submit(order, **wait))
                assert told.reason == reason
        assert (await api.order("o-deny")).reason == "too much"
        known = await api.submit(ticket("early"), **{**wait, "wait_bound": {}})
        assert known.outcome == rpc.OUTCOME_REACHED  # a bound of nothing looks once
