"""Orders to be made, in few words: ``ticket``, and the lists ``bracket`` and ``oco``."""

import secrets
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mesh.common.v1 import enums_pb2 as enums
from mesh.execution.v1.order_pb2 import OrderTicket
from meshclient import words
from meshclient.data import timestamp
from meshclient.words import Number

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DECIMALS = (
    "price",
    "trigger_price",
    "display_qty",
    "trailing_offset",
    "limit_offset",
    "activation_price",
)
_ENUMS = {
    "time_in_force": enums.TimeInForce,
    "trigger_type": enums.TriggerType,
    "emulation_trigger": enums.TriggerType,
    "trailing_offset_type": enums.TrailingOffsetType,
    "contingency_type": enums.ContingencyType,
}
_PLAIN = (
    "post_only",
    "reduce_only",
    "quote_quantity",
    "trigger_instrument_id",
    "linked_order_ids",
    "parent_order_id",
    "tags",
    "position_id",
    "exec_algorithm_id",
)


def new_id(prefix: str = "M") -> str:
    """Return a client order id that nobody has: 20 letters and digits, which every venue takes;
    later ones sort later.
    """
    millis, stamp = time.time_ns() // 1_000_000, ""
    while millis:
        millis, digit = divmod(millis, 36)
        stamp = _DIGITS[digit] + stamp
    rest = 20 - len(prefix) - len(stamp)
    return prefix + stamp + "".join(secrets.choice(_DIGITS) for _ in range(rest))


def ticket(
    instrument_id: str,
    side: str,
    quantity: Number,
    *,
    type: str = "",
    client_order_id: str = "",
    expire_time: datetime | None = None,
    **more: Any,
) -> OrderTicket:
    """Return an order to be made.

    ``side`` is BUY or SELL. ``more`` are the other fields of ``OrderTicket``: decimals as text,
    Decimal or number, enums in words (``time_in_force="IOC"``). ``type`` follows from the prices
    when it is left out. ``expire_time`` makes it GTD. Raises ``SpecError`` for what is no such
    field, word or number.
    """
    made: Any = OrderTicket(
        client_order_id=client_order_id or new_id(),
        instrument_id=instrument_id,
        side=words.value(enums.OrderSide, side, "side"),
        quantity=words.decimal(quantity, "quantity"),
    )
    for name, value in more.items():
        if value is not None and value != "":
            _set(made, name, value)
    made.type = words.value(enums.OrderType, type or _type_of(made), "type")
    if expire_time is not None:
        made.expire_time.CopyFrom(timestamp(expire_time))
        made.time_in_force = made.time_in_force or enums.TIME_IN_FORCE_GTD
    return made  # type: ignore[no-any-return] # typed loosely above: fields are set by name


def _set(made: Any, name: str, value: Any) -> None:
    if name in _DECIMALS:
        setattr(made, name, words.decimal(value, name))
    elif name in _ENUMS:
        setattr(made, name, words.value(_ENUMS[name], value, name))
    elif name == "exec_algorithm_params":
        made.exec_algorithm_params.update(value)
    elif name not in _PLAIN:
        known = ", ".join(sorted([*_DECIMALS, *_ENUMS, *_PLAIN]))
        raise words.fault(name, f"is no field of an order; known are {known}")
    elif isinstance(value, bool | str):
        setattr(made, name, value)
    else:
        getattr(made, name).extend(value)


def _type_of(made: OrderTicket) -> str:
    """Return the type of an order that has these prices."""
    if made.trailing_offset:
        return "TRAILING_STOP_LIMIT" if made.limit_offset else "TRAILING_STOP_MARKET"
    if made.trigger_price:
        return "STOP_LIMIT" if made.price else "STOP_MARKET"
    return "LIMIT" if made.price else "MARKET"


def bracket(
    instrument_id: str,
    side: str,
    quantity: Number,
    *,
    stop: Number,
    target: Number,
    **entry: Any,
) -> Sequence[OrderTicket]:
    """Return an entry, and a stop loss and a take profit that it triggers; of these two, what is
    filled of one is taken off the other.

    Ids of the exits are the entry's with ``S`` and ``T``.
    """
    first = ticket(instrument_id, side, quantity, contingency_type="OTO", **entry)
    exits = [f"{first.client_order_id}{letter}" for letter in "ST"]
    first.linked_order_ids.extend(exits)
    other = "SELL" if first.side == enums.ORDER_SIDE_BUY else "BUY"
    common: dict[str, Any] = {
        "contingency_type": "OUO",
        "parent_order_id": first.client_order_id,
        "reduce_only": True,
    }
    stop_id, target_id = exits
    return [
        first,
        ticket(
            instrument_id,
            other,
            quantity,
            client_order_id=stop_id,
            linked_order_ids=[target_id],
            trigger_price=stop,
            **common,
        ),
        ticket(
            instrument_id,
            other,
            quantity,
            client_order_id=target_id,
            linked_order_ids=[stop_id],
            price=target,
            **common,
        ),
    ]


def oco(first: OrderTicket, *others: OrderTicket) -> Sequence[OrderTicket]:
    """Return tickets tied so that one cancels the others."""
    tickets = [first, *others]
    for each in tickets:
        each.contingency_type = enums.CONTINGENCY_TYPE_OCO
        linked = [other.client_order_id for other in tickets if other is not each]
        each.linked_order_ids[:] = linked
    return tickets
