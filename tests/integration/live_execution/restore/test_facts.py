"""Nautilus' events → facts → Nautilus' events (EX-120 to EX-122)."""

import inspect
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from nautilus_trader.common.enums import ComponentState
from nautilus_trader.common.messages import ComponentStateChanged
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.currencies import Currency
from nautilus_trader.model.enums import (
    CurrencyType,
    OrderType,
    PositionAdjustmentType,
)
from nautilus_trader.model.events import AccountState, PositionAdjusted
from nautilus_trader.model.identifiers import (
    AccountId,
    ComponentId,
    InstrumentId,
    PositionId,
    StrategyId,
    TraderId,
)
from nautilus_trader.model.objects import Money
from nautilus_trader.test_kit.providers import TestInstrumentProvider

from integration.live_execution.restore.made_events import (
    EVENT_CLASSES,
    OPTIONS,
    all_order_events,
)
from mesh.execution.v1 import events_pb2 as pb
from mesh.execution.v1.events_pb2 import TraderFact
from meshkit.nautilus.execution import from_fact, to_fact
from meshkit.nautilus.execution.orders import CLASSES
from meshkit.nautilus.instruments import class_names


def sent(thing: object) -> Any:
    """Return what comes back of a thing that went over the wire as a fact."""
    fact = to_fact(thing, "BUSY-001")
    assert fact is not None
    return from_fact(TraderFact.FromString(fact.SerializeToString()))


def test_ex_120_order_events_of_every_class_come_back_exactly() -> None:
    """EX-120: every order event and every order type is the same after the way there and back."""
    for event in all_order_events(seed=1, rounds=60):
        back = sent(event)
        assert type(back) is type(event)
        assert type(event).to_dict(event) == type(back).to_dict(back)


def test_ex_120_no_class_and_no_type_is_left_out() -> None:
    """EX-120: a new event class, order type or field of a later Nautilus is noticed here."""
    assert set(EVENT_CLASSES) == {*CLASSES.values()}
    assert set(OPTIONS) == set(OrderType)
    for event in all_order_events(seed=2, rounds=20):
        values = type(event).to_dict(event)
        assert values.keys() <= KNOWN, values.keys() - KNOWN


KNOWN = {
    "type", "trader_id", "strategy_id", "instrument_id", "client_order_id", "venue_order_id",
    "account_id", "event_id", "ts_event", "ts_init", "reconciliation", "reason", "due_post_only",
    "released_price", "order_side", "order_type", "quantity", "time_in_force", "post_only",
    "reduce_only", "quote_quantity", "options", "emulation_trigger", "trigger_instrument_id",
    "contingency_type", "order_list_id", "linked_order_ids", "parent_order_id",
    "exec_algorithm_id", "exec_algorithm_params", "exec_spawn_id", "tags", "price",
    "trigger_price", "is_quote_quantity", "trade_id", "position_id", "last_qty", "last_px",
    "currency", "commission", "liquidity_side", "info",
}  # fmt: skip


def test_ex_121_accounts_come_back_exactly() -> None:
    """EX-121: balances, margins of instruments and of accounts, and the adapter's info."""
    state = AccountState.from_dict(
        {
            "account_id": "BINANCE-001",
            "account_type": "MARGIN",
            "base_currency": None,
            "balances": [
                {"type": "AccountBalance", "currency": "USDT", "total": "10.00000001",
                 "locked": "1.00000000", "free": "9.00000001"},
                {"type": "AccountBalance", "currency": "USD", "total": "-3.50",
                 "locked": "0.00", "free": "-3.50"},
            ],
            "margins": [
                {"type": "MarginBalance", "currency": "USDT", "initial": "1.00000000",
                 "maintenance": "0.50000000", "instrument_id": "BTCUSDT-PERP.BINANCE"},
                {"type": "MarginBalance", "currency": "USD", "initial": "1.00",
                 "maintenance": "0.50", "instrument_id": None},
            ],
            "reported": True,
            "info": {"uid": 12, "tier": 0.5},
            "event_id": str(UUID4()),
            "ts_event": 1_767_225_600_000_000_001,
            "ts_init": 1_767_225_600_000_000_002,
        }
    )  # fmt: skip
    assert AccountState.to_dict(sent(state)) == AccountState.to_dict(state)


def test_ex_121_instruments_of_every_class_come_back_exactly() -> None:
    """EX-121: an instrument of every class of Nautilus."""
    seen = set()
    for instrument in _instruments():
        assert type(instrument).to_dict(sent(instrument)) == type(instrument).to_dict(instrument)
        seen.add(type(instrument).__name__)
    # The test kit has none of these two; they differ from others in name alone.
    assert seen == set(class_names().values()) - {"PerpetualContract", "TokenizedAsset"}


def _instruments() -> Iterator[Any]:
    for _, make in inspect.getmembers(TestInstrumentProvider, inspect.isfunction):
        needed = [p for p in inspect.signature(make).parameters.values() if p.default is p.empty]
        if not needed and isinstance(make.__annotations__.get("return"), type):
            made = make()
            if hasattr(made, "id"):
                yield made


def test_ex_121_a_currency_of_the_venues_own_comes_back() -> None:
    """EX-121: a token that Nautilus does not know keeps its decimals."""
    token = Currency("MESHX", 5, 0, "Mesh token", CurrencyType.CRYPTO)
    back = sent(token)
    assert (back.code, back.precision, back.name) == ("MESHX", 5, "Mesh token")
    assert back.currency_type == CurrencyType.CRYPTO


def test_ex_122_adjustments_come_back_and_other_position_events_do_not() -> None:
    """EX-122: positions follow from fills; what no fill tells (funding) comes back."""
    adjusted = PositionAdjusted(
        TraderId("BUSY-001"),
        StrategyId("EMACross-007"),
        InstrumentId.from_str("BTCUSDT-PERP.BINANCE"),
        PositionId("P-1"),
        AccountId("BINANCE-001"),
        PositionAdjustmentType.FUNDING,
        Decimal("-0.1"),
        Money.from_str("1.5 USDT"),
        "funding",
        UUID4(),
        5,
        6,
    )
    assert PositionAdjusted.to_dict(sent(adjusted)) == PositionAdjusted.to_dict(adjusted)
    opened = TraderFact(position=pb.PositionEvent(type=pb.POSITION_EVENT_TYPE_OPENED))
    assert from_fact(opened) is None


def test_ex_122_a_components_config_stays_inside() -> None:
    """EX-122: a state of a component is told without its config, where secrets may be."""
    event = ComponentStateChanged(
        TraderId("BUSY-001"),
        ComponentId("BINANCE"),
        "LiveExecutionClient",
        ComponentState.RUNNING,
        {"api_secret": "hush-hush"},
        UUID4(),
        1,
        2,
    )
    fact = to_fact(event)
    assert fact is not None
    assert fact.component.state == "RUNNING"
    assert b"hush-hush" not in fact.SerializeToString()
