"""EX-240: every type of order, time in force and contingency, by hand through a whole mesh."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from e2e.trading.order_cases import AT_ONCE, LIST_MOVES, LISTS, MOVES, REDUCING, RESTING, Case, btc
from e2e.trading.venue_desk import BTC, ETH, SOL, Desk, Watcher, bare, desk
from mesh.common.v1 import enums_pb2 as enums
from mesh.execution.v1 import events_pb2 as ev
from mesh.execution.v1.order_pb2 import ORDER_SOURCE_MANUAL, Order
from running_mesh import RunningMesh

pytestmark = pytest.mark.timeout(300)

BASE = "base"
PRICES = {
    "market": 50001.0,
    "market-quote": 50001.0,
    "limit": 49000.0,
    "stop-market": 50101.0,
    "stop-limit": 50050.0,
    "touched-market": 49890.0,
    "touched-limit": 49880.0,
    "trailing-market": 49889.0,
    "trailing-limit": 50049.0,
    "emulated-stop": 50101.0,
    "emulated-limit": 48999.0,
    "limit-modified": 49000.0,
    "stop-modified": 50101.0,
}


async def test_ex240_every_order_through_the_gateway(live_mesh: RunningMesh) -> None:
    """EX-240: orders of each type, time in force, instruction and contingency are accepted, filled,
    cancelled, modified, rejected and denied; a watcher is told each event once and in order, and
    orders and positions are what the events add up to.
    """
    async with desk(live_mesh, "ORD-001", BTC, ETH, SOL) as made:
        await made.quote(BTC, "50000.00", "50001.00")
        await made.quote(ETH, "3000.00", "3001.00")
        await made.quote(SOL, "150.00", "150.01")
        expires = _expires()
        await _singles(made, expires)
        await _lists(made)
        for case in REDUCING:
            await made.submit(case.ticket)
        await made.quote(SOL, "160.00", "160.01")  # where an order would turn the position
        await made.watcher.last("reduces-later", "CANCELED")
        await made.watcher.last("limit-gtd", "EXPIRED")
        await made.complete()
        orders = {o.client_order_id: o for o in await made.at.client.orders.list(made.name)}
        positions = await made.at.client.orders.positions(made.name)
    cases = [*AT_ONCE, *RESTING, expires, *(each for tied in LISTS for each in tied), *REDUCING]
    told = {case.name: made.watcher.told(case.name) for case in cases}
    wrong = {each.name: told[each.name] for each in cases if told[each.name] != each.events}
    assert not wrong, wrong
    _once_and_in_order(made.watcher)
    assert orders.keys() == made.watcher.orders.keys() == {BASE, *told}
    for order in orders.values():
        _adds_up(order, made.watcher)
    _asked_for(cases, orders)
    net = {each.instrument_id: Decimal(each.signed_qty) for each in positions}
    assert net == {each: _net(made.watcher, each) for each in (BTC, ETH, SOL)}


def _expires() -> Case:
    soon = datetime.now(UTC) + timedelta(seconds=10)
    return btc("limit-gtd", "SUBMITTED ACCEPTED EXPIRED", price="45000", expire_time=soon)


async def _singles(made: Desk, expires: Case) -> None:
    orders, name = made.at.client.orders, made.name
    await made.submit(*(each.ticket for each in (*AT_ONCE, *RESTING, expires)))
    await orders.modify(name, "limit-modified", price="49000", quantity="2")
    await orders.modify(name, "stop-modified", trigger_price="50100")
    await orders.modify(name, "refused", price="50002")
    await orders.cancel(name, "cancelled")
    await orders.cancel(name, "emulated-cancelled")
    await orders.cancel_many(name, ["batched"])
    for modified, last in (("limit-modified", "UPDATED"), ("stop-modified", "UPDATED")):
        await made.watcher.last(modified, last)
    await made.watcher.last("refused", "MODIFY_REJECTED")
    for cancelled in ("cancelled", "emulated-cancelled", "batched"):
        await made.watcher.last(cancelled, "CANCELED")
    for bid, ask in MOVES:
        await made.quote(BTC, bid, ask)
    await made.watcher.last("trailing-limit", "FILLED")
    await orders.cancel_all(name, instrument_id=BTC, side="SELL")
    await orders.cancel(name, "one-of-all")


async def _lists(made: Desk) -> None:
    orders, name = made.at.client.orders, made.name
    # Exits reduce only: with a position that nothing closes each list is by itself.
    await orders.submit(name, ETH, "BUY", "9", client_order_id=BASE, wait="terminal")
    for tied in LISTS:
        await made.submit_list([case.ticket for case in tied])
    for bid, ask, size in LIST_MOVES:
        await made.quote(ETH, bid, ask, size)
    await orders.cancel(name, "market-entryT")
    await orders.cancel(name, "given-up")
    for case in (case for tied in LISTS for case in tied):
        await made.watcher.last(case.name, case.events[-1])


def _once_and_in_order(watcher: Watcher) -> None:
    numbers = [number for _, number, _ in watcher.facts]
    assert numbers == sorted(set(numbers))
    events = [event for order in watcher.orders.values() for event in order]
    assert len({event.event_id for event in events}) == len(events)
    for order in watcher.orders.values():
        times = [event.ts_init.ToNanoseconds() for event in order]
        assert times == sorted(times)


def _adds_up(order: Order, watcher: Watcher) -> None:
    """Check that an order is what its events say."""
    events = watcher.orders[order.client_order_id]
    status = enums.OrderStatus.Name(order.status).removeprefix("ORDER_STATUS_")
    assert status == bare(events[-1]), order.client_order_id
    assert order.source == ORDER_SOURCE_MANUAL
    assert order.reason == events[-1].reason
    assert order.ts_last == events[-1].ts_event
    number = next(n for _, n, fact in reversed(watcher.facts) if fact.order == events[-1])
    assert order.fact_number == number
    filled = sum((Decimal(fill.last_qty) for fill in _fills(events)), Decimal(0))
    cost = sum((Decimal(f.last_qty) * Decimal(f.last_px) for f in _fills(events)), Decimal(0))
    assert Decimal(order.filled_qty) == filled
    assert Decimal(order.leaves_qty) == Decimal(order.quantity) - filled
    assert order.avg_px == pytest.approx(float(cost / filled) if filled else 0.0)


def _fills(events: Sequence[ev.OrderEvent]) -> list[ev.OrderFilled]:
    return [event.filled for event in events if event.HasField("filled")]


def _asked_for(cases: Sequence[Case], orders: dict[str, Order]) -> None:
    """Check that the orders are those that were asked for, and the prices that they got."""
    for case in cases:
        asked, made = case.ticket, orders[case.name]
        assert (made.side, made.instrument_id) == (asked.side, asked.instrument_id)
        assert (made.post_only, made.reduce_only) == (asked.post_only, asked.reduce_only)
        assert made.contingency_type in (
            asked.contingency_type,
            enums.CONTINGENCY_TYPE_NO_CONTINGENCY,
        )
        assert set(made.linked_order_ids) == set(asked.linked_order_ids)
        assert made.parent_order_id == asked.parent_order_id
    filled = {name: orders[name].avg_px for name in PRICES}
    assert filled == PRICES, filled


def _net(watcher: Watcher, instrument_id: str) -> Decimal:
    signed = Decimal(0)
    for events in watcher.orders.values():
        for event in events:
            if event.instrument_id == instrument_id and event.HasField("filled"):
                sign = 1 if event.filled.order_side == enums.ORDER_SIDE_BUY else -1
                signed += sign * Decimal(event.filled.last_qty)
    return signed
