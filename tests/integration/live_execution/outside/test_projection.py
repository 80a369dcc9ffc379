"""Orders and positions out of facts, against Nautilus' own."""

import random
from decimal import Decimal
from typing import Any

from nautilus_trader.core.fsm import InvalidStateTrigger
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model import events as nautilus
from nautilus_trader.model.enums import OrderSide, OrderType, order_side_to_str
from nautilus_trader.model.events import OrderEvent
from nautilus_trader.model.orders import Order
from nautilus_trader.model.orders.unpacker import OrderUnpacker

from integration.live_execution.outside.kit import KEY, event, initialized
from mesh.common.v1 import enums_pb2 as enums
from mesh.common.v1.types_pb2 import Money
from mesh.execution.v1 import events_pb2 as events
from mesh.execution.v1 import order_pb2 as pb
from mesh.execution.v1.events_pb2 import OrderUnknown, Position, PositionEvent
from mesh.execution.v1.order_pb2 import OrderSource
from meshkit.enums import bare
from meshkit.nautilus.execution import to_fact
from services.live_execution import projection

WALKS = 300
STEPS = 14
TYPES = [OrderType.MARKET, OrderType.LIMIT, OrderType.STOP_MARKET, OrderType.STOP_LIMIT]
KINDS = [
    nautilus.OrderDenied,
    nautilus.OrderEmulated,
    nautilus.OrderReleased,
    *[nautilus.OrderSubmitted, nautilus.OrderAccepted, nautilus.OrderFilled] * 3,
    nautilus.OrderRejected,
    nautilus.OrderCanceled,
    nautilus.OrderExpired,
    nautilus.OrderTriggered,
    *[nautilus.OrderPendingUpdate, nautilus.OrderPendingCancel] * 2,
    *[nautilus.OrderModifyRejected, nautilus.OrderCancelRejected, nautilus.OrderUpdated] * 2,
]


def test_ex_116_an_order_is_what_nautilus_makes_of_its_events() -> None:
    """EX-116: over random lives, status, quantities, prices, average and commissions are equal;
    an event that Nautilus refuses changes nothing.
    """
    chance = random.Random(116)
    seen: set[str] = set()
    for walk in range(WALKS):
        init = _initialized(chance, f"O-{walk}")
        theirs: Order = OrderUnpacker.from_init(init)
        ours = _after(None, init, 1)
        for number in range(2, STEPS + 2):
            happened = chance.choice(KINDS).from_dict(_values(chance, theirs, number))
            ours = _both(theirs, ours, happened, number)
            if isinstance(happened, nautilus.OrderFilled) and theirs.last_event is not happened:
                break  # Nautilus refuses such a fill when it has half applied it
            _compare(theirs, ours)
            seen.add(theirs.status.name)
    assert seen >= {
        "PARTIALLY_FILLED", "FILLED", "PENDING_UPDATE", "PENDING_CANCEL", "TRIGGERED", "DENIED",
        "RELEASED", "EXPIRED", "REJECTED", "CANCELED", "EMULATED", "ACCEPTED", "SUBMITTED",
    }  # fmt: skip


def _both(theirs: Order, ours: pb.Order, happened: OrderEvent, number: int) -> pb.Order:
    before = ours.SerializeToString(deterministic=True)
    after = _after(ours, happened, number)
    try:
        theirs.apply(happened)
    except InvalidStateTrigger:
        assert after.SerializeToString(deterministic=True) == before, happened
        return ours
    except ValueError:  # it can only be triggered when its type has a trigger: no fact comes of it
        return ours
    return after


def _after(before: pb.Order | None, happened: OrderEvent, number: int) -> pb.Order:
    fact = to_fact(happened)
    assert fact is not None
    return projection.order(before, fact.order, number)


def _compare(theirs: Order, ours: pb.Order) -> None:
    assert bare(enums.OrderStatus, ours.status) == theirs.status.name
    assert ours.quantity == str(theirs.quantity)
    assert ours.filled_qty == str(theirs.filled_qty)
    assert ours.leaves_qty == str(theirs.leaves_qty)
    assert ours.avg_px == theirs.avg_px
    assert ours.venue_order_id == _text(theirs.venue_order_id)
    if theirs.account_id is not None:  # it learns it from SUBMITTED alone
        assert ours.account_id == str(theirs.account_id)
    assert ours.position_id == _text(theirs.position_id)
    assert ours.price == _text(getattr(theirs, "price", None))
    assert ours.trigger_price == _text(getattr(theirs, "trigger_price", None))
    money = {each.currency: Decimal(each.amount) for each in ours.commissions}
    assert money == {m.currency.code: m.as_decimal() for m in theirs.commissions()}
    assert projection.is_open(ours) == (not theirs.is_closed)


def _initialized(chance: random.Random, order_id: str) -> nautilus.OrderInitialized:
    kind = chance.choice(TYPES)
    options: dict[str, Any] = {}
    if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT):
        options |= {"price": "10.00"}
    if kind in (OrderType.STOP_MARKET, OrderType.STOP_LIMIT):
        options |= {"trigger_price": "11.00", "trigger_type": "DEFAULT"}
    if kind != OrderType.MARKET:
        options |= {"expire_time_ns": 0, "display_qty": None}
    side = order_side_to_str(chance.choice([OrderSide.BUY, OrderSide.SELL]))
    return nautilus.OrderInitialized.from_dict(
        _ids(order_id)
        | {
            "order_side": side,
            "order_type": kind.name,
            "quantity": f"{chance.randint(1, 9)}.50",
            "time_in_force": "GTC",
            "post_only": False,
            "reduce_only": False,
            "quote_quantity": False,
            "options": options,
            "emulation_trigger": "NO_TRIGGER",
            "trigger_instrument_id": None,
            "contingency_type": "NO_CONTINGENCY",
            "order_list_id": None,
            "linked_order_ids": None,
            "parent_order_id": None,
            "exec_algorithm_id": None,
            "exec_algorithm_params": None,
            "exec_spawn_id": None,
            "tags": None,
            "reconciliation": False,
        }
    )


def _values(chance: random.Random, order: Order, number: int) -> dict[str, Any]:
    price = chance.choice(["10.25", "9.50", None])
    return _ids(str(order.client_order_id)) | {
        "venue_order_id": "V-1",
        "account_id": "SIM-001",
        "reason": "why not",
        "due_post_only": False,
        "released_price": "10.00",
        "quantity": f"{chance.randint(1, 9)}.25",
        "price": price if hasattr(order, "price") else None,
        "trigger_price": None,
        "is_quote_quantity": False,
        "trade_id": f"T-{number}",
        "position_id": chance.choice(["P-1", "P-2"]),
        "order_side": order_side_to_str(order.side),
        "order_type": order.order_type.name,
        "last_qty": chance.choice(["0.25", "1.00", "2.50"]),
        "last_px": f"{chance.randint(900, 1100) / 100:.2f}",
        "currency": "USDT",
        "commission": chance.choice(["0.12345678 USDT", "-1.00000000 USDT"]),  # it sorts no two
        "liquidity_side": "TAKER",
        "info": {},
        "reconciliation": False,
    }


def _ids(order_id: str) -> dict[str, Any]:
    return {
        "trader_id": KEY.trader_id,
        "strategy_id": "Maker-001",
        "instrument_id": "EURUSD.SIM",
        "client_order_id": order_id,
        "event_id": str(UUID4()),
        "ts_event": 1_700_000_000_000_000_000,
        "ts_init": 1_700_000_000_000_000_000,
    }


def _text(value: object) -> str:
    return "" if value is None else str(value)


def test_the_source_is_told_by_the_strategy() -> None:
    """Orders by hand, of the mesh, from outside and of strategies are told apart."""
    for strategy_id, source in (
        ("Desk-MANUAL", OrderSource.ORDER_SOURCE_MANUAL),
        ("Desk-SAFETY", OrderSource.ORDER_SOURCE_SAFETY),
        ("EXTERNAL", OrderSource.ORDER_SOURCE_EXTERNAL),
        ("Desk-001", OrderSource.ORDER_SOURCE_STRATEGY),
    ):
        fact = initialized("a", strategy_id=strategy_id)
        assert projection.order(None, fact.order, 1, "ann").source == source


def test_an_unknown_outcome_ends_with_the_next_event() -> None:
    """An order is unknown from the fact that says so to its next event."""
    made = projection.order(None, initialized("a").order, 1)
    unknown = projection.unknown(made, OrderUnknown(client_order_id="a"), 2)
    assert unknown is not None
    assert unknown.unknown
    sent = event("a", events.ORDER_EVENT_TYPE_SUBMITTED)
    assert not projection.order(unknown, sent.order, 3).unknown
    assert projection.unknown(None, OrderUnknown(client_order_id="a"), 2) is None


def test_a_released_order_keeps_when_and_by_whom_it_was_made() -> None:
    """An emulated order is made anew when it is released; it stays the same order."""
    made = initialized("a")
    made.order.ts_init.seconds = 5
    held = projection.order(None, made.order, 1, "ann")
    again = initialized("a")
    again.order.ts_init.seconds = 9
    found = projection.order(held, again.order, 2)
    assert (found.submitter, found.ts_init.seconds, found.fact_number) == ("ann", 5, 2)


def test_a_position_is_what_its_last_event_says_and_adjustments_add() -> None:
    """Events bring the whole position, an adjustment only what it changes."""
    opened = PositionEvent(
        type=events.POSITION_EVENT_TYPE_OPENED,
        position=Position(
            position_id="P",
            side=enums.POSITION_SIDE_LONG,
            quantity="1.00",
            signed_qty="1.00",
            peak_qty="1.00",
            realized_pnl=Money(amount="-0.50", currency="USDT"),
        ),
    )
    adjusted = PositionEvent(
        type=events.POSITION_EVENT_TYPE_ADJUSTED,
        position=Position(position_id="P"),
        quantity_change="-3.00",
        pnl_change=Money(amount="0.75", currency="USDT"),
    )
    before = projection.position(None, opened)
    after = projection.position(before, adjusted)
    assert after is not None
    assert (after.side, after.quantity, after.signed_qty) == (
        enums.POSITION_SIDE_SHORT,
        "2.00",
        "-2.00",
    )
    assert (after.peak_qty, after.realized_pnl.amount) == ("2.00", "0.25")
    assert projection.is_position_open(after)
    assert projection.position(None, adjusted) is None
