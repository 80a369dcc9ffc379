"""Flattens of one trader with sandbox venues; each a scene of its own."""

import asyncio
from typing import Any

from nautilus_trader.model.data import InstrumentStatus
from nautilus_trader.model.enums import MarketStatusAction, OrderSide, TriggerType
from nautilus_trader.model.instruments import CurrencyPair

from integration.live_execution.sandbox.scenes import Hand, Scene, scene
from integration.nautilus.witness import BTC
from mesh.execution.v1.events_pb2 import FlattenDone, FlattenResult, Mark, MarkSnapshot, TraderFact
from mesh.execution.v1.order_pb2 import FlattenCommand
from services.live_execution.engine import flatten, flatten_reading
from services.live_execution.engine.desk import SAFETY, Desk

BUY, SELL = OrderSide.BUY, OrderSide.SELL
P, Q = BTC.make_price, BTC.make_qty


async def flattened(s: Scene, desk: Desk, **scope: str) -> FlattenDone:
    """Return what a flatten reports."""
    outside: Any = None  # it needs none
    flattener = flatten.Flattener(s.node, desk, outside)
    return await flattener.run(FlattenCommand(flatten_id="f-1", **scope))


def _only(done: FlattenDone) -> FlattenResult:
    assert len(done.results) == 1, done
    return done.results[0]


async def whole_trader() -> None:
    """Orders of every kind are cancelled and positions of all strategies closed, to the last."""
    other, desk = Hand("O"), Desk(SAFETY)
    async with scene(more=[other, desk]) as s:
        await s.quote("30000", "30001", "0.5")
        emulated = s.make.limit(BTC.id, BUY, Q(1), P(29000), emulation_trigger=TriggerType.BID_ASK)
        other.submit_order(other.order_factory.market(BTC.id, SELL, Q(5)))
        other.submit_order(other.order_factory.limit(BTC.id, SELL, Q(1), P(31000)))
        await s.submit(s.make.market(BTC.id, BUY, Q(3)), emulated, list_of=s.bracket(29000))
        late = s.make.limit(BTC.id, BUY, Q(1), P(28000))
        s.hand.submit_order(late)  # still on its way when the flatten begins
        done = await flattened(s, desk)
        assert done.flat, done
        result = _only(done)
        assert (result.orders_left, result.left_qty, result.reason) == (0, "0", ""), done
        assert (result.closed_qty, result.orders_canceled) == ("8.000000", 6), done
        assert s.node.cache.positions_open() == []
        assert s.client.open_orders() == []
        assert s.order(late).is_closed
        closing = [o for o in s.node.cache.orders() if desk.mark in (o.tags or ())]
        assert len(closing) == 2
        assert all(order.is_reduce_only for order in closing)


async def one_strategy() -> None:
    """A flatten of one strategy leaves the others alone; one of another venue leaves all."""
    other, desk = Hand("O"), Desk(SAFETY)
    async with scene(more=[other, desk]) as s:
        await s.quote("30000", "30001", "9")
        theirs = other.order_factory.limit(BTC.id, BUY, Q(1), P(29000))
        other.submit_order(other.order_factory.market(BTC.id, BUY, Q(1)))
        other.submit_order(theirs)
        await s.submit(s.make.market(BTC.id, BUY, Q(3)), s.make.limit(BTC.id, BUY, Q(1), P(29000)))
        elsewhere = await flattened(s, desk, venue="OKX")
        assert elsewhere.flat
        assert not elsewhere.results
        done = await flattened(s, desk, order_id_tag=s.hand.id.get_tag())
        assert done.flat, done
        assert (_only(done).closed_qty, _only(done).orders_canceled) == ("3.000000", 1), done
        assert s.status(theirs) == "ACCEPTED"
        assert [str(p.strategy_id) for p in s.node.cache.positions_open()] == [str(other.id)]


async def safety_mode() -> None:
    """A process without strategies and data closes what it finds, at the last recorded prices."""
    async with scene() as s:
        await s.quote("30000", "30001")
        await s.submit(s.make.market(BTC.id, BUY, Q(3)), list_of=s.bracket(29000))
        mark = Mark(instrument_id=str(BTC.id), bid="29990.00", ask="29991.00")
        facts = [*s.facts, TraderFact(marks=MarkSnapshot(marks=[mark])).SerializeToString()]
    desk = Desk(SAFETY)
    async with scene(facts, life=2, more=[desk], marks=True) as t:
        done = await flattened(t, desk)
        assert done.flat, done
        closing = [o for o in t.node.cache.orders() if desk.mark in (o.tags or ())]
        assert [(str(o.filled_qty), o.avg_px) for o in closing] == [("3.000000", 29990.0)]


async def no_market() -> None:
    """A rejected closing order is reported with its reason, and what is left."""
    async with scene() as s:
        await s.quote("30000", "30001")
        await s.submit(s.make.market(BTC.id, BUY, Q(3)))
        facts = list(s.facts)
    desk = Desk(SAFETY)
    async with scene(facts, life=2, more=[desk]) as t:
        done = await flattened(t, desk)
        assert not done.flat
        result = _only(done)
        assert (result.reason, result.left_qty) == ("ORDER_REJECTED", "3.000000"), done
        assert "no market" in result.message
        # the market comes, and the next one is flat
        await t.quote("30000", "30001")
        assert (await flattened(t, desk)).flat


async def closed_market() -> None:
    """The state of the market is the reason where it is closed."""
    desk = Desk(SAFETY)
    async with scene() as s:
        await s.quote("30000", "30001")
        await s.submit(s.make.market(BTC.id, BUY, Q(3)))
        facts = list(s.facts)
    async with scene(facts, life=2, more=[desk]) as t:
        now = t.now_ns()
        t.node.cache.add_instrument_status(
            InstrumentStatus(BTC.id, MarketStatusAction.CLOSE, now, now)
        )
        assert _only(await flattened(t, desk)).reason == "MARKET_CLOSED"


async def silent_venue() -> None:
    """A venue that does not report is not called flat, even with nothing open in the books."""
    desk = Desk(SAFETY)
    async with scene(more=[desk]) as s:
        await s.quote("30000", "30001")
        s.client.generate_order_status_reports = lambda command: asyncio.Event().wait()
        done = await flattened(s, desk)
        assert not done.flat
        assert _only(done).reason == "VENUE_UNREACHABLE"
        assert _only(done).venue == "BINANCE"


def _pair(**changes: Any) -> CurrencyPair:
    return CurrencyPair.from_dict(CurrencyPair.to_dict(BTC) | changes)


async def bounds_of_orders() -> None:
    """What is too much for one order goes in pieces; what is too little is dust, and said so."""
    desk = Desk(SAFETY)
    async with scene(more=[desk], instruments=[_pair(max_quantity="4.000000")]) as s:
        await s.quote("30000", "30001")
        for _ in range(3):
            await s.submit(s.make.market(BTC.id, BUY, Q(3)))
        done = await flattened(s, desk)
        assert done.flat, done
        closing = [o for o in s.node.cache.orders() if desk.mark in (o.tags or ())]
        assert sorted(float(o.quantity) for o in closing) == [1.0, 4.0, 4.0]
        await s.submit(s.make.market(BTC.id, BUY, Q(0.5)))
        facts = list(s.facts)
    desk = Desk(SAFETY)
    async with scene(facts, 2, more=[desk], instruments=[_pair(min_quantity="1.000000")]) as t:
        await t.quote("30000", "30001")
        done = await flattened(t, desk)
        assert (_only(done).reason, _only(done).left_qty) == ("DUST", "0.500000"), done


def make_quick() -> None:
    """Shorten the bounds for venues that answer late."""
    flatten.ROUNDS, flatten.PAUSE_S, flatten.WAIT_S = 3, 0.01, 2.0
    flatten_reading.READ_S = 0.05
