"""What a sandbox on the wall's time does where Nautilus' does wrong; each a scene of its own."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import (
    GenerateOrderStatusReports,
    GeneratePositionStatusReports,
)
from nautilus_trader.model.data import Bar, BarType, QuoteTick
from nautilus_trader.model.enums import (
    AggressorSide,
    OrderSide,
    OrderStatus,
    TimeInForce,
    TrailingOffsetType,
    TriggerType,
)
from nautilus_trader.model.events import AccountState, OrderEvent
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Currency, Price, Quantity

from integration.live_execution.sandbox.scenes import Hand, Scene, scene, until
from integration.nautilus.witness import BTC
from mesh.common.v1 import enums_pb2 as enums
from mesh.common.v1.types_pb2 import Money
from mesh.execution.v1.trader_pb2 import SandboxVenue

BUY, SELL = OrderSide.BUY, OrderSide.SELL
P, Q = BTC.make_price, BTC.make_qty
CASH = SandboxVenue(
    starting_balances=[
        Money(amount="100000", currency="USDT"),
        Money(amount="10", currency="BTC"),
    ],
    account_type=enums.ACCOUNT_TYPE_CASH,
)
HEDGING = SandboxVenue(
    starting_balances=[Money(amount="1000000", currency="USDT")],
    oms_type=enums.OMS_TYPE_HEDGING,
)


def _trailing(s: Scene, trigger: TriggerType) -> Any:
    return s.make.trailing_stop_market(
        BTC.id,
        SELL,
        Q(1),
        trailing_offset=Decimal(100),
        trailing_offset_type=TrailingOffsetType.PRICE,
        trigger_type=trigger,
    )


async def refusals() -> None:
    """An order that cannot be matched is rejected once with its reason; the node lives on."""
    async with scene() as s:
        early = s.make.market(BTC.id, BUY, Q(1))
        trailing = _trailing(s, TriggerType.BID_ASK)
        await s.submit(early, trailing)
        assert "no market" in s.reason(early)
        assert s.reason(trailing).startswith("NO_MARKET")
        assert s.order(early).last_event.ts_event >= s.started_ns
        await s.quote("30000", "30001")
        last, odd = _trailing(s, TriggerType.LAST_PRICE), _trailing(s, TriggerType.INDEX_PRICE)
        bracket = s.make.bracket(
            BTC.id, BUY, Q(1), entry_price=P(30500), sl_trigger_price=P(29000), tp_price=P(31000)
        )
        child = bracket.orders[1]
        await s.submit(last, odd, child)
        assert s.reason(last).startswith("NO_MARKET")
        assert s.reason(odd).startswith("TRIGGER_UNSUPPORTED")
        assert s.reason(child).startswith("PARENT_UNKNOWN")
        good = s.make.market(BTC.id, BUY, Q(1))
        await s.submit(good)
        assert s.status(good) == "FILLED"
        passed = s.make.bracket(
            BTC.id, BUY, Q(1), sl_trigger_price=P(30500), tp_price=P(31000)
        )  # its stop is in the market when it is filled
        await s.submit(list_of=passed)
        assert s.status(passed.orders[1]) == "REJECTED"
        for order in (early, trailing, last, odd, child, passed.orders[1]):
            assert s.events(order).count("Rejected") == 1


async def bad_data() -> None:
    """Data of an unknown instrument or of another precision is left out; the node lives on."""
    async with scene() as s:
        await s.quote("30000", "30001")
        data, now = s.node.kernel.data_engine, s.now_ns()
        one = Quantity.from_str("1.000000")
        odd = Price.from_str("30000.001")
        data.process(QuoteTick(BTC.id, odd, odd, one, one, now, now))
        price = Price.from_str("1.00")
        unknown = InstrumentId.from_str("XYZ.BINANCE")
        data.process(QuoteTick(unknown, price, price, one, one, now, now))
        await s.settled()
        order = s.make.market(BTC.id, BUY, Q(1))
        lost = s.make.market(unknown, BUY, one)
        await s.submit(order)
        s.node.kernel.cache.add_order(lost, None)
        s.direct(lost)
        await s.settled()
        assert s.status(order) == "FILLED"
        assert s.reason(lost).startswith("INSTRUMENT_UNKNOWN")


async def expiry() -> None:
    """A GTD order expires at its time without any data, and so after a restart."""
    async with scene() as s:
        await s.quote("30000", "30001")
        soon, later = (_gtd(s, ms) for ms in (60, 700))
        await s.submit(soon, later)
        await until(lambda: s.status(soon) == "EXPIRED")
        assert s.order(soon).last_event.ts_event >= soon.expire_time_ns
        assert s.status(later) == "ACCEPTED"
    async with scene(s.facts, life=2) as s:
        await until(lambda: s.status(later) == "EXPIRED")


def _gtd(s: Scene, milliseconds: int) -> Any:
    until_time = s.node.kernel.clock.utc_now() + timedelta(milliseconds=milliseconds)
    return s.make.limit(
        BTC.id, BUY, Q(1), P(29000), time_in_force=TimeInForce.GTD, expire_time=until_time
    )


async def bars() -> None:
    """Bars of the venue move the market."""
    async with scene() as s:
        await s.quote("30000", "30001")
        order = s.make.limit(BTC.id, BUY, Q(1), P(29500))
        await s.submit(order)
        prices = (P(29900), P(29950), P(29400), P(29800))
        now = s.now_ns()
        bar_type = BarType.from_str(f"{BTC.id}-1-MINUTE-LAST-EXTERNAL")
        s.node.kernel.data_engine.process(Bar(bar_type, *prices, Q(100), now, now))
        await s.settled()
        assert s.status(order) == "FILLED"


async def ids() -> None:
    """Ids of orders, positions and trades that a venue gives are unlike those of other lives."""
    facts: list[bytes] = []
    for life in (1, 2, 3):
        async with scene(facts, life=life, spec=HEDGING) as s:
            await s.quote("30000", "30001")
            await s.submit(s.make.market(BTC.id, BUY, Q(1)), s.make.market(BTC.id, BUY, Q(1)))
            orders, positions = s.node.cache.orders(), s.node.cache.positions()
            facts = s.facts
    for found in (
        [order.venue_order_id for order in orders],
        [order.client_order_id for order in orders],
        [position.id for position in positions],
        [trade_id for order in orders for trade_id in order.trade_ids],
    ):
        assert len(found) == len(set(found)) == 6, found


async def balances() -> None:
    """All balances of an account, locked and free, are back, and no event is made of it."""
    async with scene(spec=CASH) as s:
        await s.quote("30000", "30001", "5")
        await s.submit(
            s.make.limit(BTC.id, BUY, Q(1), P(29000)),
            s.make.limit(BTC.id, SELL, Q(2), P(31000)),
            s.make.market(BTC.id, BUY, Q(0.5)),
        )
        account, before = _account(s), _balances(s)
        assert before["USDT"][1] == Decimal(29000)
        assert before["BTC"][1] == Decimal(2)
    async with scene(s.facts, life=2, spec=CASH) as t:
        assert [e for e in t.told if isinstance(e, OrderEvent | AccountState)] == []
        assert _balances(t) == before
        assert _account(t).last_event == account.last_event
        await t.quote("30000", "30001", "5")
        cancelled, *_ = t.node.cache.orders_open(side=SELL)
        t.hand.cancel_order(cancelled)
        await t.settled()
        after = _balances(t)
        assert after["BTC"][1] == 0
        assert after["USDT"] == before["USDT"]


def _account(s: Scene) -> Any:
    return s.node.cache.account_for_venue(s.client.venue)


def _balances(s: Scene) -> dict[str, tuple[Decimal, Decimal, Decimal]]:
    found: dict[Currency, Any] = _account(s).balances()
    return {
        currency.code: (b.total.as_decimal(), b.locked.as_decimal(), b.free.as_decimal())
        for currency, b in found.items()
    }


async def lost_commands() -> None:
    """What was on its way when the process ended is told: rejected, cancelled, not modified."""
    async with scene() as s:
        await s.quote("30000", "30001")
        cancelled, changed = (s.make.limit(BTC.id, BUY, Q(1), P(p)) for p in (29000, 29001))
        sent = s.make.limit(BTC.id, BUY, Q(1), P(29002))
        await s.submit(cancelled, changed)
        s.client.cancel_order = s.client.modify_order = lambda command: None
        s.client.submit_order = lambda command: s.client.generate_order_submitted(
            sent.strategy_id, sent.instrument_id, sent.client_order_id, s.now_ns()
        )
        s.hand.cancel_order(s.order(cancelled))
        s.hand.modify_order(s.order(changed), price=P(28000))
        await s.submit(sent)
        kept = list(s.facts)
    async with scene(kept, life=2) as t:
        assert t.status(cancelled) == "CANCELED"
        assert t.status(changed) == "ACCEPTED"
        assert t.status(sent) == "REJECTED"
        t.hand.cancel_order(t.order(changed))
        await t.settled()
        assert t.status(changed) == "CANCELED"


async def held_children() -> None:
    """Children that wait for their parent are not taken for lost orders by Nautilus' checks."""
    async with scene() as s:
        await s.quote("30000", "30001")
        entry = s.bracket(29000)
        await s.submit(list_of=entry)
        engine = s.node.kernel.exec_engine
        engine._inflight_check_threshold_ns = 0
        for _ in range(8):
            await engine._check_inflight_orders()
            await s.settled()
        assert [s.status(order) for order in entry.orders] == ["ACCEPTED", "SUBMITTED", "SUBMITTED"]


async def two_strategies() -> None:
    """A strategy cancels its own orders alone, and reduces its own position."""
    other = Hand("O")
    async with scene(more=[other]) as s:
        await s.quote("30000", "30001", "9")
        mine = s.make.limit(BTC.id, BUY, Q(1), P(29000))
        theirs = other.order_factory.limit(BTC.id, BUY, Q(1), P(29000))
        big, small = s.make.market(BTC.id, BUY, Q(5)), other.order_factory.market(BTC.id, BUY, Q(1))
        other.submit_order(theirs)
        other.submit_order(small)
        await s.submit(mine, big)
        s.hand.cancel_all_orders(BTC.id)
        await s.settled()
        assert (s.status(mine), s.status(theirs)) == ("CANCELED", "ACCEPTED")
        close = s.make.market(BTC.id, SELL, Q(5), reduce_only=True)
        theirs_too = other.order_factory.market(BTC.id, SELL, Q(3), reduce_only=True)
        other.submit_order(theirs_too)
        await s.submit(close)
        assert s.order(close).filled_qty == Q(5)
        assert s.order(theirs_too).filled_qty == Q(1)
        assert s.node.cache.positions_open() == []


async def revived_trailing() -> None:
    """A trailing stop goes on from its trigger when prices come, and is changed before that."""
    async with scene() as s:
        await s.trade("30000", "1", AggressorSide.BUYER)
        await s.quote("30000", "30001")
        await s.quote("30200", "30201")
        stops = [_trailing(s, t) for t in (TriggerType.LAST_PRICE, TriggerType.LAST_OR_BID_ASK)]
        gone, moved = _trailing(s, TriggerType.BID_ASK), _trailing(s, TriggerType.BID_ASK)
        await s.submit(*stops, gone, moved)
        assert s.order(gone).trigger_price == P(30100)
    async with scene(s.facts, life=2) as t:
        assert len(t.client.open_orders()) == 4
        t.hand.cancel_order(t.order(gone))
        t.hand.modify_order(t.order(moved), Q(2))
        await t.settled()
        assert t.status(gone) == "CANCELED"
        await t.quote("30150", "30151")
        assert t.order(moved).quantity == Q(2)
        assert t.order(moved).trigger_price == P(30100)
        await t.trade("30300", "1", AggressorSide.BUYER)
        assert [str(t.order(stop).trigger_price) for stop in stops] == ["30200.00", "30200.00"]
        await t.quote("30090", "30091")
        assert t.status(moved) == "FILLED"


async def reports() -> None:
    """The venue reports what rests and what is open, so that reconciliation finds no fault."""
    async with scene() as s:
        await s.quote("30000", "30001")
        await s.submit(s.make.market(BTC.id, BUY, Q(2)), s.make.limit(BTC.id, BUY, Q(1), P(29000)))
        trailing = _trailing(s, TriggerType.BID_ASK)
        await s.submit(trailing, list_of=s.bracket(29000))
        before = len(s.facts)
        engine, now = s.node.kernel.exec_engine, s.now_ns()
        orders = await s.client.generate_order_status_reports(
            GenerateOrderStatusReports(None, None, None, True, UUID4(), now)
        )
        positions = await s.client.generate_position_status_reports(
            GeneratePositionStatusReports(None, None, None, UUID4(), now)
        )
        assert {r.order_status for r in orders} == {OrderStatus.ACCEPTED}
        assert (len(orders), [r.signed_decimal_qty for r in positions]) == (3, [2])
        await engine._check_orders_consistency()
        await engine._check_positions_consistency()
        await s.settled()
        assert len(s.facts) == before


SCENES = (
    refusals,
    bad_data,
    expiry,
    bars,
    ids,
    balances,
    lost_commands,
    held_children,
    two_strategies,
    revived_trailing,
    reports,
)
