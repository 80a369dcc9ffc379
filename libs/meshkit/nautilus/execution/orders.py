"""Order events ↔ ``OrderEvent``, by the names of Nautilus' ``to_dict``."""

from typing import Any

from nautilus_trader.model import events
from nautilus_trader.model.events import OrderEvent

from mesh.common.v1 import enums_pb2 as common
from mesh.common.v1.types_pb2 import Money
from mesh.execution.v1 import events_pb2 as pb
from meshkit.nautilus.execution.tables import names
from meshkit.nautilus.execution.values import put, take
from meshkit.times import to_nanos, to_timestamp

TYPES = names(pb.OrderEventType)
"""``FILLED`` is the type of ``OrderFilled``; ``PENDING_UPDATE`` of ``OrderPendingUpdate``."""

CLASSES = {
    number: getattr(events, "Order" + name.title().replace("_", ""))
    for name, number in TYPES.numbers.items()
}
"""The Nautilus class of each type."""

NUMBERS = {each: number for number, each in CLASSES.items()}

ALWAYS = ("trader_id", "strategy_id", "instrument_id", "client_order_id", "event_id")
"""Texts that every class has."""

TIMES = ("ts_event", "ts_init")

TEXTS = ("venue_order_id", "account_id", "reason", "released_price")
"""Texts that some classes have, and that may be None: empty."""

FLAGS = ("reconciliation", "due_post_only")

_SIDES = names(common.OrderSide)
_ORDER_TYPES = names(common.OrderType)
_IN_FORCE = names(common.TimeInForce)
_TRIGGERS = names(common.TriggerType)
_CONTINGENCIES = names(common.ContingencyType)
_LIQUIDITY = names(common.LiquiditySide)

_INIT_TEXTS = (
    "quantity", "trigger_instrument_id", "order_list_id", "parent_order_id", "exec_algorithm_id",
    "exec_spawn_id",
)  # fmt: skip
_INIT_FLAGS = ("post_only", "reduce_only", "quote_quantity")
_INIT_ENUMS = {
    "order_side": _SIDES,
    "order_type": _ORDER_TYPES,
    "time_in_force": _IN_FORCE,
    "emulation_trigger": _TRIGGERS,
    "contingency_type": _CONTINGENCIES,
}
_LISTS = ("linked_order_ids", "tags")
_UPDATED_TEXTS = ("quantity", "price", "trigger_price")
_FILLED_TEXTS = ("trade_id", "position_id", "last_qty", "last_px", "currency")
_FILLED_ENUMS = {
    "order_side": _SIDES,
    "order_type": _ORDER_TYPES,
    "liquidity_side": _LIQUIDITY,
}


def to_event(event: OrderEvent) -> pb.OrderEvent:
    """Return the contract's event of a Nautilus order event."""
    values = type(event).to_dict(event)
    fields: dict[str, Any] = {name: values[name] for name in ALWAYS}
    fields.update((name, values[name]) for name in TEXTS if values.get(name) is not None)
    fields.update((name, True) for name in FLAGS if values.get(name))
    made = pb.OrderEvent(
        type=NUMBERS[type(event)],  # type: ignore[arg-type]  # a number
        ts_event=to_timestamp(values["ts_event"]),
        ts_init=to_timestamp(values["ts_init"]),
        **fields,
    )
    special = _TO.get(type(event))
    if special is not None:
        special(made, values)
    return made


def from_event(event: pb.OrderEvent) -> OrderEvent:
    """Return the Nautilus event of the contract's; raises ``ValueError`` for a type of no class."""
    kind = CLASSES.get(event.type)
    if kind is None:
        raise ValueError(f"{event.type} is no type of an order event")
    values: dict[str, Any] = {name: getattr(event, name) for name in ALWAYS}
    values["ts_event"] = to_nanos(event.ts_event)
    values["ts_init"] = to_nanos(event.ts_init)
    for name in TEXTS:
        values[name] = getattr(event, name) or None
    for name in FLAGS:
        values[name] = getattr(event, name)
    special = _FROM.get(kind)
    if special is not None:
        special(event, values)
    made: OrderEvent = kind.from_dict(values)
    return made


def _put_initialized(made: pb.OrderEvent, values: dict[str, Any]) -> None:
    fields: dict[str, Any] = {n: values[n] for n in _INIT_TEXTS if values[n] is not None}
    fields.update((name, True) for name in _INIT_FLAGS if values[name])
    fields.update((name, table.numbers[values[name]]) for name, table in _INIT_ENUMS.items())
    fields.update((name, values[name]) for name in _LISTS if values[name])
    empty = [name for name in _LISTS if values[name] is not None and not values[name]]
    init = pb.OrderInitialized(empty=empty, **fields)
    put(init.options, {name: _option(name, value) for name, value in values["options"].items()})
    params = values["exec_algorithm_params"]
    if params is not None:
        init.exec_algorithm_params_json = put(init.exec_algorithm_params, params)
    made.initialized.CopyFrom(init)


def _option(name: str, value: Any) -> Any:
    """Return an option as the contract has it: a time as text."""
    return str(value) if name.endswith("_ns") and value is not None else value


def _take_initialized(event: pb.OrderEvent, values: dict[str, Any]) -> None:
    init = event.initialized
    for name in _INIT_TEXTS:
        values[name] = getattr(init, name) or None
    for name in _INIT_FLAGS:
        values[name] = getattr(init, name)
    for name, table in _INIT_ENUMS.items():
        values[name] = table.names[getattr(init, name)]
    for name in _LISTS:
        values[name] = list(getattr(init, name)) or ([] if name in init.empty else None)
    options = take(init.options, "")
    for name, value in options.items():
        if name.endswith("_ns") and value is not None:
            options[name] = int(value)
    values["options"] = options
    given = init.HasField("exec_algorithm_params")
    exact = init.exec_algorithm_params_json
    values["exec_algorithm_params"] = take(init.exec_algorithm_params, exact) if given else None


def _put_updated(made: pb.OrderEvent, values: dict[str, Any]) -> None:
    updated = made.updated
    for name in _UPDATED_TEXTS:
        if values[name] is not None:
            setattr(updated, name, values[name])
    updated.is_quote_quantity = values["is_quote_quantity"]


def _take_updated(event: pb.OrderEvent, values: dict[str, Any]) -> None:
    for name in _UPDATED_TEXTS:
        values[name] = getattr(event.updated, name) or None
    values["is_quote_quantity"] = event.updated.is_quote_quantity


def _put_filled(made: pb.OrderEvent, values: dict[str, Any]) -> None:
    filled = made.filled
    for name in _FILLED_TEXTS:
        if values[name] is not None:
            setattr(filled, name, values[name])
    for name, table in _FILLED_ENUMS.items():
        setattr(filled, name, table.numbers[values[name]])
    amount, _, currency = values["commission"].partition(" ")
    filled.commission.CopyFrom(Money(amount=amount, currency=currency))
    if values["info"]:
        filled.info_json = put(filled.info, values["info"])


def _take_filled(event: pb.OrderEvent, values: dict[str, Any]) -> None:
    filled = event.filled
    for name in _FILLED_TEXTS:
        values[name] = getattr(filled, name) or None
    for name, table in _FILLED_ENUMS.items():
        values[name] = table.names[getattr(filled, name)]
    values["commission"] = f"{filled.commission.amount} {filled.commission.currency}"
    values["info"] = take(filled.info, filled.info_json)


_TO = {
    events.OrderInitialized: _put_initialized,
    events.OrderUpdated: _put_updated,
    events.OrderFilled: _put_filled,
}
_FROM = {
    events.OrderInitialized: _take_initialized,
    events.OrderUpdated: _take_updated,
    events.OrderFilled: _take_filled,
}
