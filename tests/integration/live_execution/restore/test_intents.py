"""Orders whose process died before anybody heard what became of them (EX-132 to EX-138)."""

from typing import Any

from nautilus_trader.common.component import TestClock
from nautilus_trader.common.factories import OrderFactory
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.enums import OrderSide, OrderStatus
from nautilus_trader.model.events import (
    AccountState,
    OrderAccepted,
    OrderPendingCancel,
    OrderSubmitted,
)
from nautilus_trader.model.identifiers import ClientOrderId, StrategyId, VenueOrderId
from nautilus_trader.model.orders import Order

from integration.live_execution.restore.asked_venue import (
    ACCOUNT,
    AskedVenue,
    restored_node,
    until,
)
from integration.live_execution.restore.busy import SPOT, TRADER, Kept
from mesh.execution.v1.events_pb2 import OrderIntent, TraderFact
from meshkit.nautilus.execution import to_fact
from services.live_execution.engine.intents_forgotten import refusal_of_used

STRATEGY = StrategyId("Busy-007")
KEY = ClientOrderId("O-1")


def left_behind(*, intent: bool = True, submitted: bool = True, cancelling: bool = False) -> Kept:
    """Return the facts of a process that died with one order on its way."""
    kept = Kept()
    factory = OrderFactory(TRADER, STRATEGY, TestClock())
    order = factory.limit(
        SPOT.id, OrderSide.BUY, SPOT.make_qty(1), SPOT.make_price(40_000), client_order_id=KEY
    )
    _keep(kept, SPOT.quote_currency, SPOT.base_currency, SPOT, _account(), order.init_event)
    if intent:
        kept.record(TraderFact(intent=OrderIntent(action="SUBMIT", client_order_ids=[KEY.value])))
    if submitted:
        _keep(kept, OrderSubmitted(*_ids(order), ACCOUNT, UUID4(), 1, 1))
    if cancelling:
        venue_id = VenueOrderId("V-1")
        _keep(kept, OrderAccepted(*_ids(order), venue_id, ACCOUNT, UUID4(), 2, 2))
        _keep(kept, OrderPendingCancel(*_ids(order), venue_id, ACCOUNT, UUID4(), 3, 3))
    return kept


def _ids(order: Order) -> tuple[Any, ...]:
    return order.trader_id, order.strategy_id, order.instrument_id, order.client_order_id


def _account() -> AccountState:
    balance = {"type": "AccountBalance", "currency": "USDT", "total": "1000000", "locked": "0"}
    return AccountState.from_dict(
        {
            "account_id": ACCOUNT.value, "account_type": "CASH", "base_currency": None,
            "balances": [balance | {"free": "1000000"}], "margins": [], "reported": True,
            "info": {}, "event_id": str(UUID4()), "ts_event": 0, "ts_init": 0,
        }
    )  # fmt: skip


def _keep(kept: Kept, *things: object) -> None:
    for thing in things:
        fact = to_fact(thing, TRADER.value)
        assert fact is not None
        kept.record(fact)


def unknown(kept: Kept) -> list[str]:
    """Return the orders that were said to be unknown."""
    facts = [TraderFact.FromString(body) for body in kept.facts]
    return [f.unknown.client_order_id for f in facts if f.HasField("unknown")]


async def test_ex_132_a_silent_venue_is_asked_until_it_says() -> None:
    """EX-132: no answer is UNKNOWN, once; then the venue's word counts; nothing is sent again."""

    def answers(venue: AskedVenue, command: Any) -> Any:
        if venue.asked < 4:
            raise ConnectionError
        return venue.report(command, OrderStatus.ACCEPTED)

    kept = left_behind()
    async with restored_node(kept, answers) as node:
        order = node.cache.order(KEY)
        await until(lambda: order.is_open)
        assert order.status == OrderStatus.ACCEPTED
        assert unknown(kept) == ["O-1"]
        assert node.outside.memory is not None
        assert node.outside.memory.unknown == set()
        assert node.outside.memory.intents == {}
        assert node.venue.submitted == 0


async def test_ex_133_what_was_filled_meanwhile_becomes_a_position() -> None:
    """EX-133: the venue's order and its fills become events, and the fills a position."""
    kept = left_behind()
    filled = OrderStatus.FILLED
    async with restored_node(kept, lambda venue, ask: venue.report(ask, filled, "1")) as node:
        await until(lambda: bool(node.cache.order(KEY).is_closed))
        order = node.cache.order(KEY)
        assert order.status == OrderStatus.FILLED
        assert [str(each.trade_id) for each in order.events if hasattr(each, "trade_id")] == ["T-1"]
        assert node.cache.positions_open()[0].quantity == order.quantity
        assert unknown(kept) == []


async def test_ex_134_an_order_that_never_arrived_is_rejected() -> None:
    """EX-134: the venue says three times that it has none, and answers another question."""
    kept = left_behind()
    async with restored_node(kept, lambda venue, ask: None) as node:
        await until(lambda: bool(node.cache.order(KEY).is_closed))
        order = node.cache.order(KEY)
        assert order.status == OrderStatus.REJECTED
        assert order.last_event.reason.startswith("NOT_AT_VENUE")
        assert node.venue.asked == 3


async def test_ex_135_an_error_is_no_answer() -> None:
    """EX-135: not the client's own rejection for it, nor silence of a venue out of reach."""

    def answers(venue: AskedVenue, command: Any) -> None:
        AskedVenue.account_answers = venue.asked < 5
        if venue.asked < 5:
            venue.generate_order_rejected(STRATEGY, SPOT.id, KEY, "server is busy", 5)

    kept = left_behind()
    async with restored_node(kept, answers) as node:
        await until(lambda: node.venue.asked > 12)
        assert node.cache.order(KEY).status == OrderStatus.SUBMITTED
        assert unknown(kept) == ["O-1"]


async def test_ex_136_what_was_never_sent_is_denied() -> None:
    """EX-136: without an intent, or for a venue that dies with the trader."""
    for kept, real in (
        (left_behind(intent=False, submitted=False), {"BINANCE"}),
        (left_behind(submitted=False), set[str]()),
    ):
        async with restored_node(kept, lambda venue, ask: None, frozenset(real)) as node:
            order = node.cache.order(KEY)
            assert order.status == OrderStatus.DENIED
            assert order.last_event.reason.startswith("NOT_SENT")
            assert node.venue.asked == 0


async def test_ex_136_what_may_have_been_sent_is_asked_for() -> None:
    """EX-136: with an intent, an order at a real venue counts as sent."""
    kept = left_behind(submitted=False)
    accepted = OrderStatus.ACCEPTED
    async with restored_node(kept, lambda venue, ask: venue.report(ask, accepted)) as node:
        await until(lambda: bool(node.cache.order(KEY).is_open))
        assert node.venue.submitted == 0


async def test_ex_137_a_cancel_that_never_arrived_is_rejected() -> None:
    """EX-137: the venue has the order as it was, and the trader says so."""
    kept = left_behind(cancelling=True)
    accepted = OrderStatus.ACCEPTED
    async with restored_node(kept, lambda venue, ask: venue.report(ask, accepted)) as node:
        await until(lambda: not node.cache.order(KEY).is_pending_cancel)
        assert node.cache.order(KEY).status == OrderStatus.ACCEPTED


async def test_ex_138_a_forgotten_order_is_nobody_elses() -> None:
    """EX-138: a venue's report of a forgotten order makes none; its id is never sent again."""
    kept = left_behind()
    accepted, listed = OrderStatus.ACCEPTED, ("O-8", "O-9")
    async with restored_node(
        kept, lambda venue, ask: venue.report(ask, accepted), listed=listed, forgotten=("O-8",)
    ) as node:
        await until(lambda: bool(node.cache.order(KEY).is_open))
        assert node.cache.order(ClientOrderId("O-9")) is not None  # an order of somebody else
        assert node.cache.order(ClientOrderId("O-8")) is None
        again = OrderFactory(TRADER, STRATEGY, TestClock()).market(
            SPOT.id, OrderSide.BUY, SPOT.make_qty(1), client_order_id=ClientOrderId("O-8")
        )
        refused = refusal_of_used(again, node.outside.memory)
        assert refused is not None
        assert refused.reason == "ORDER_ID_REUSED"
