"""Every event of Nautilus' execution, with every option, made at random from a seed."""

import random
from collections.abc import Iterator
from typing import Any

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model import events
from nautilus_trader.model.enums import ContingencyType, OrderType, TimeInForce, TriggerType
from nautilus_trader.model.events import OrderEvent, OrderInitialized

OPTIONS: dict[OrderType, tuple[str, ...]] = {
    OrderType.MARKET: (),
    OrderType.LIMIT: ("price", "display_qty"),
    OrderType.STOP_MARKET: ("trigger_price", "trigger_type"),
    OrderType.STOP_LIMIT: ("price", "trigger_price", "trigger_type", "display_qty"),
    OrderType.MARKET_TO_LIMIT: ("display_qty",),
    OrderType.MARKET_IF_TOUCHED: ("trigger_price", "trigger_type"),
    OrderType.LIMIT_IF_TOUCHED: ("price", "trigger_price", "trigger_type", "display_qty"),
    OrderType.TRAILING_STOP_MARKET: (
        "activation_price", "trigger_price", "trigger_type", "trailing_offset",
        "trailing_offset_type",
    ),
    OrderType.TRAILING_STOP_LIMIT: (
        "price", "activation_price", "trigger_price", "trigger_type", "limit_offset",
        "trailing_offset", "trailing_offset_type", "display_qty",
    ),
}  # fmt: skip
TEXTS = {"trigger_type": "LAST_PRICE", "trailing_offset_type": "BASIS_POINTS"}
PARAMS = {"horizon_secs": 30, "ratio": 0.5, "names": ["a", None], "deep": {"on": True, "n": 2**60}}
EVENT_CLASSES = tuple(
    getattr(events, name)
    for name in events.__all__
    if name.startswith("Order") and name != "OrderEvent"
)


def all_order_events(seed: int, rounds: int) -> Iterator[OrderEvent]:
    """Yield events of every class, and orders of every type, ``rounds`` times each."""
    chance = random.Random(seed)
    for _ in range(rounds):
        for kind in OPTIONS:
            yield initialized(chance, kind)
        for kind in EVENT_CLASSES:
            if kind is not OrderInitialized:
                yield kind.from_dict(_values(chance))


def initialized(chance: random.Random, kind: OrderType) -> OrderInitialized:
    """Return an order of a type; what may be absent is absent at times."""
    options: dict[str, Any] = {
        name: TEXTS.get(name) or _maybe(chance, _decimal(chance)) for name in OPTIONS[kind]
    }
    if kind != OrderType.MARKET:
        options["expire_time_ns"] = chance.choice([0, 1_767_225_600_123_456_789])
    contingent = chance.choice([*ContingencyType])
    linked: list[str] | None = [] if _flag(chance) else None
    if contingent != ContingencyType.NO_CONTINGENCY:
        linked = ["O-2", "O-3"]
    has_algorithm = chance.random() < 0.5
    return OrderInitialized.from_dict(
        _ids(chance)
        | {
            "order_side": chance.choice(["BUY", "SELL"]),
            "order_type": kind.name,
            "quantity": _decimal(chance),
            "time_in_force": chance.choice([*TimeInForce]).name,
            "post_only": _flag(chance),
            "reduce_only": _flag(chance),
            "quote_quantity": _flag(chance),
            "options": options,
            "emulation_trigger": chance.choice([*TriggerType]).name,
            "trigger_instrument_id": _maybe(chance, "ETHUSDT.BINANCE"),
            "contingency_type": contingent.name,
            "order_list_id": _maybe(chance, "OL-1"),
            "linked_order_ids": linked,
            "parent_order_id": _maybe(chance, "O-1"),
            "exec_algorithm_id": "TWAP" if has_algorithm else None,
            "exec_algorithm_params": chance.choice([PARAMS, {"a": 0.1}, {}, None]),
            "exec_spawn_id": "O-1" if has_algorithm else None,
            "tags": chance.choice([None, [], ["one", "zwei 3"]]),
            "reconciliation": _flag(chance),
        }
    )


def _values(chance: random.Random) -> dict[str, Any]:
    """Return values for an event of any class but the first."""
    return _ids(chance) | {
        "venue_order_id": "V-77",
        "account_id": "BINANCE-001",
        "reason": chance.choice(["NOTIONAL_EXCEEDS_FREE_BALANCE: 1 > 0", "", "é ∞"]),
        "due_post_only": _flag(chance),
        "released_price": _decimal(chance),
        "quantity": _decimal(chance),
        "price": _maybe(chance, _decimal(chance)),
        "trigger_price": _maybe(chance, _decimal(chance)),
        "is_quote_quantity": _flag(chance),
        "trade_id": "T-9",
        "position_id": _maybe(chance, "P-1"),
        "order_side": "SELL",
        "order_type": chance.choice([*OrderType]).name,
        "last_qty": _decimal(chance),
        "last_px": "-" + _decimal(chance),
        "currency": "USDT",
        "commission": chance.choice(["0.12345678 USDT", "-1.00 USD", "0.00000000 BTC"]),
        "liquidity_side": chance.choice(["MAKER", "TAKER", "NO_LIQUIDITY_SIDE"]),
        "info": chance.choice([{}, PARAMS, {"maker": True}]),
        "reconciliation": _flag(chance),
    }


def _ids(chance: random.Random) -> dict[str, Any]:
    return {
        "trader_id": "BUSY-001",
        "strategy_id": "EMACross-007",
        "instrument_id": "BTCUSDT-PERP.BINANCE",
        "client_order_id": f"O-{chance.randint(1, 10**9)}",
        "event_id": str(UUID4()),
        "ts_event": chance.randint(0, 2**62),
        "ts_init": chance.randint(0, 2**62),
    }


def _decimal(chance: random.Random) -> str:
    """Return a decimal of up to 16 decimals, which is what Nautilus holds."""
    decimals = chance.randint(0, 16)
    whole = str(chance.randint(1, 10**9))
    return f"{whole}.{chance.randint(0, 10**decimals - 1):0{decimals}}" if decimals else whole


def _maybe(chance: random.Random, value: str) -> str | None:
    return chance.choice([None, value])


def _flag(chance: random.Random) -> bool:
    return chance.random() < 0.5
