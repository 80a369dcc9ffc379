"""Commands to a running trader: cases EX-165 to EX-167."""

from typing import Any

from integration.failures import failure
from integration.live_execution.orders.kit import (
    Api,
    SmallTrader,
    new_id,
    position,
    ticket,
    until,
)
from mesh.common.v1 import enums_pb2 as enums
from mesh.execution.v1 import books_pb2
from mesh.execution.v1 import order_pb2 as pb
from mesh.execution.v1 import order_service_pb2 as rpc


def _about(**values: Any) -> dict[str, Any]:
    return {"request_id": new_id(), "trader_id": "T-001", **values}


async def _has(api: Api, client_order_id: str, status: str) -> None:
    query = "SELECT 1 FROM orders WHERE client_order_id = $1 AND status = $2"
    await until(lambda: api.sql(query, client_order_id, status))


async def test_ex165_an_order_is_changed_and_cancelled(api: Api) -> None:
    """EX-165: modify and cancel are commands that are taken once; a closed order, an unknown one
    and an odd price are refused, and so is a change, but no cancel, while a halt is in force.
    """
    key = await api.add()
    async with api.trader(key) as trader:
        await api.submit(ticket("a"), wait_for=rpc.WAIT_FOR_ACCEPTED)
        change = rpc.ModifyOrderRequest(**_about(client_order_id="a", price="99.5"))
        made = (await api.orders.ModifyOrder(change)).command
        assert (await api.orders.ModifyOrder(change)).command == made
        assert (await api.command(made.command_id)).state == pb.COMMAND_STATE_DONE
        assert (await api.order("a")).price == "99.5"
        nothing = rpc.ModifyOrderRequest(**_about(client_order_id="a"))
        assert (await failure(api.orders.ModifyOrder(nothing))).reason == "ORDER_INVALID"
        await api.redis.set("halt:default:all", "by hand")
        change.request_id = new_id()
        assert (await failure(api.orders.ModifyOrder(change))).reason == "TRADER_HALTED"
        cancel = rpc.CancelOrderRequest(**_about(client_order_id="a"))
        told = (await api.orders.CancelOrder(cancel)).command
        assert (told.kind, told.expire_time.seconds) == ("CANCEL", 0)
        await _has(api, "a", "CANCELED")
        cancel.request_id = new_id()
        closed = await failure(api.orders.CancelOrder(cancel))
        assert (closed.reason, closed.metadata["status"]) == ("ORDER_CLOSED", "CANCELED")
        cancel.client_order_id = "b"
        assert (await failure(api.orders.CancelOrder(cancel))).reason == "ORDER_NOT_FOUND"
        assert len(trader.taken) == 3
    await api.sql("UPDATE traders SET wanted = false")
    assert (await failure(api.orders.CancelOrder(cancel))).reason == "TRADER_NOT_RUNNING"
    cancel.trader_id = "T-009"
    assert (await failure(api.orders.CancelOrder(cancel))).reason == "TRADER_NOT_FOUND"


async def test_ex165_a_cancel_follows_its_order(api: Api) -> None:
    """EX-165: an order that is still on its way can be cancelled; the trader gets both in order."""
    key = await api.add()
    await api.submit(ticket("a"))
    cancel = rpc.CancelOrderRequest(**_about(client_order_id="a"))
    await api.orders.CancelOrder(cancel)
    async with api.trader(key) as trader:
        await _has(api, "a", "CANCELED")
        assert _kinds(trader) == ["submit", "cancel"]


def _kinds(trader: SmallTrader) -> list[str | None]:
    return [each.WhichOneof("command") for each in trader.taken]


async def test_ex166_many_at_once(api: Api) -> None:
    """EX-166: of a batch each id is answered by itself; cancel all and close go to the trader."""
    key = await api.add()
    async with api.trader(key) as trader:
        for name, tag in (("open", "accept"), ("full", "fill")):
            await api.submit(ticket(name, tag), wait_for=rpc.WAIT_FOR_ACCEPTED)
        await _has(api, "full", "FILLED")
        batch = rpc.BatchCancelOrdersRequest(**_about(client_order_ids=["full", "no", "open"]))
        told = await api.orders.BatchCancelOrders(batch)
        assert [item.reason for item in told.items] == ["ORDER_CLOSED", "ORDER_NOT_FOUND", ""]
        assert list(told.command.client_order_ids) == ["open"]
        await _has(api, "open", "CANCELED")
        batch.request_id = new_id()
        again = await api.orders.BatchCancelOrders(batch)
        assert not again.HasField("command")
        trader.outside.record(position("P-9", "2"))
        await until(lambda: api.sql("SELECT 1 FROM positions WHERE open"))
        close = rpc.ClosePositionRequest(**_about(position_id="P-8"))
        assert (await failure(api.orders.ClosePosition(close))).reason == "POSITION_NOT_FOUND"
        close.position_id = "P-9"
        made = [
            await api.orders.ClosePosition(close),
            await api.orders.CloseAllPositions(rpc.CloseAllPositionsRequest(**_about())),
            await api.orders.CancelAllOrders(
                rpc.CancelAllOrdersRequest(**_about(side=enums.ORDER_SIDE_BUY))
            ),
        ]
        for each in made:
            assert (await api.command(each.command.command_id)).state == pb.COMMAND_STATE_DONE
        assert _kinds(trader)[-3:] == ["close", "close", "cancel_all"]
        assert trader.taken[-3].close.position_id == "P-9"
        assert trader.taken[-1].cancel_all.side == enums.ORDER_SIDE_BUY


async def test_ex167_a_preview_asks_the_trader(api: Api) -> None:
    """EX-167: a preview is answered by the trader, sends nothing, and says when nobody answers."""
    key = await api.add()
    wanted = rpc.PreviewOrderRequest(trader_id="T-001", order=ticket("p"))
    async with api.trader(key) as trader:
        told = await api.orders.PreviewOrder(wanted)
        assert (told.passes, told.price) == (True, "100")
        wanted.order.price = ""
        assert (await failure(api.orders.PreviewOrder(wanted))).reason == "ORDER_INVALID"
        silent = rpc.PreviewOrderRequest(trader_id="T-001", order=ticket("q", "ignore"))
        nobody = await failure(api.orders.PreviewOrder(silent, timeout=1.2))
        assert (nobody.code, nobody.reason) == ("UNAVAILABLE", "TRADER_UNRESPONSIVE")
        assert trader.taken == []
    missing = books_pb2.GetCommandRequest(command_id=new_id())
    assert (await failure(api.orders.GetCommand(missing))).reason == "COMMAND_NOT_FOUND"
