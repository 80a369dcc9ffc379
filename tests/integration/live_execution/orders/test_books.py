"""Orders, positions and accounts as they are read and watched: cases EX-168, EX-169, EX-172."""

import asyncio
from typing import Any

from integration.failures import failure
from integration.live_execution.orders.kit import (
    BTC,
    ETH,
    Api,
    account,
    definition,
    marks,
    position,
    ticket,
    until,
)
from mesh.common.v1 import enums_pb2 as enums
from mesh.execution.v1 import books_pb2
from mesh.execution.v1 import order_pb2 as pb
from mesh.execution.v1 import order_service_pb2 as rpc
from mesh.execution.v1.events_pb2 import TraderFact
from mesh.execution.v1.order_service_pb2_grpc import OrderServiceStub


async def test_ex168_lists_page_and_filter(api: Api) -> None:
    """EX-168: orders, positions and accounts are listed by page and filter, of one's own projects
    alone.
    """
    key = await api.add()
    async with api.trader(key) as trader:
        for name in ("a", "b", "c"):
            await api.submit(ticket(name, "fill" if name == "b" else "accept"), wait_for=2)
        trader.outside.record(position("P-1", "1"), position("P-2", "-2", instrument_id=ETH))
        trader.outside.record(position("P-3", "0"), account("10"))
        await until(lambda: api.sql("SELECT 1 FROM accounts"))
    first = await api.orders.ListOrders(rpc.ListOrdersRequest(page_size=2))
    token = first.next_page_token
    rest = await api.orders.ListOrders(rpc.ListOrdersRequest(page_size=2, page_token=token))
    assert [each.client_order_id for each in (*first.orders, *rest.orders)] == ["c", "b", "a"]
    assert not rest.next_page_token
    assert {each.submitter for each in first.orders} == {"tester"}
    filled = rpc.ListOrdersRequest(statuses=[enums.ORDER_STATUS_FILLED])
    for wanted, names in (
        (filled, ["b"]),
        (rpc.ListOrdersRequest(open_only=True), ["c", "a"]),
        (rpc.ListOrdersRequest(source=pb.ORDER_SOURCE_STRATEGY), []),
        (rpc.ListOrdersRequest(instrument_id=ETH), []),
        (rpc.ListOrdersRequest(trader_id="T-001", strategy_id="Desk-MANUAL"), ["c", "b", "a"]),
    ):
        found = (await api.orders.ListOrders(wanted)).orders
        assert [each.client_order_id for each in found] == names
    wrong = rpc.ListOrdersRequest(open_only=True, page_token=token)
    assert (await failure(api.orders.ListOrders(wrong))).reason == "INVALID_PAGE_TOKEN"
    positions = books_pb2.ListPositionsRequest(open_only=True, page_size=1)
    one = await api.orders.ListPositions(positions)
    positions.page_token = one.next_page_token
    two = await api.orders.ListPositions(positions)
    ids = {each.position_id for each in (*one.positions, *two.positions)}
    assert ids == {"P-1", "P-2"}
    assert not two.next_page_token
    accounts = (await api.orders.ListAccounts(books_pb2.ListAccountsRequest(page_size=1))).accounts
    assert accounts[0].balances[0].total == "10"
    stranger = await api.stub(OrderServiceStub, projects=["other"])
    assert not (await stranger.ListOrders(rpc.ListOrdersRequest())).orders
    assert not (await stranger.ListAccounts(books_pb2.ListAccountsRequest())).accounts
    hidden = rpc.GetOrderRequest(trader_id="T-001", client_order_id="a")
    assert (await failure(stranger.GetOrder(hidden))).reason == "ORDER_NOT_FOUND"


async def _told(call: Any, count: int) -> tuple[list[TraderFact], str]:
    """Return so many facts, and the cursor after them."""
    facts: list[TraderFact] = []
    async with asyncio.timeout(20):
        while len(facts) < count:
            message = await call.read()
            facts += [TraderFact.FromString(each.payload.value) for each in message.events]
    assert len(facts) == count
    return facts, message.cursor


async def test_ex169_a_watch_resumes(api: Api) -> None:
    """EX-169: a watcher that comes back with its cursor gets every fact once, also those of
    traders that were made meanwhile; it may ask for one instrument.
    """
    key = await api.add()
    watch = books_pb2.WatchOrdersRequest()
    call = api.orders.WatchOrders(watch)
    assert (await call.read()).checkpoint
    async with api.trader(key) as trader:
        await api.submit(ticket("a"), wait_for=rpc.WAIT_FOR_ACCEPTED)
        facts, cursor = await _told(call, 3)
        assert {each.order.client_order_id for each in facts} == {"a"}
        call.cancel()
        trader.outside.record(account("7"), position("P-1", "1"), marks(BTCUSDT="1"))
        other = await api.add("T-002")
        async with api.trader(other) as second:
            second.outside.record(position("P-2", "1", instrument_id=ETH))
            again = api.orders.WatchOrders(books_pb2.WatchOrdersRequest(after_cursor=cursor))
            facts, _ = await _told(again, 3)
            kinds = sorted(str(each.WhichOneof("fact")) for each in facts)
            assert kinds == ["account", "position", "position"]
            again.cancel()
    one = books_pb2.WatchOrdersRequest(trader_ids=["T-001"], instrument_ids=[ETH])
    call = api.orders.WatchOrders(one)
    await call.read()
    async with api.trader(key) as trader:
        trader.outside.record(position("P-4", "1"), position("P-5", "1", instrument_id=ETH))
        facts, _ = await _told(call, 1)
        assert facts[0].position.position.position_id == "P-5"
    call.cancel()
    one.after_cursor = cursor
    for request, reason in (
        (one, "INVALID_CURSOR"),
        (books_pb2.WatchOrdersRequest(trader_ids=["T-009"]), "TRADER_NOT_FOUND"),
    ):
        assert (await failure(api.orders.WatchOrders(request).read())).reason == reason
    await api.sql("UPDATE stream_heads SET kept_from = 4 WHERE stream = $1", key.facts)
    await api.sql("DELETE FROM facts WHERE stream = $1 AND number < 4", key.facts)
    call = api.orders.WatchOrders(books_pb2.WatchOrdersRequest())
    start = (await call.read()).cursor
    call.cancel()
    assert start  # a watch from now on is not concerned


async def test_ex172_open_positions_are_marked(api: Api) -> None:
    """EX-172: listed positions have the profit and loss at the last price that their trader told;
    of an inverse instrument by reciprocals.
    """
    key = await api.add()
    inverse = definition(ETH, is_inverse=True)
    async with api.trader(key) as trader:
        trader.outside.record(TraderFact(instrument=definition()), TraderFact(instrument=inverse))
        trader.outside.record(position("P-1", "-2"), position("P-2", "100", instrument_id=ETH))
        trader.outside.record(marks(BTCUSDT="90.5", ETHUSDT="125"))
        await until(lambda: api.sql("SELECT 1 FROM marks"))
    found = (await api.orders.ListPositions(books_pb2.ListPositionsRequest())).positions
    values = {each.instrument_id: each.unrealized_pnl.amount for each in found}
    assert values == {BTC: "19.00", ETH: "0.20"}
