"""Position events → ``PositionEvent``: positions follow from fills; adjustments come back."""

from decimal import Decimal
from typing import Any

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model import events
from nautilus_trader.model.enums import PositionAdjustmentType
from nautilus_trader.model.events import PositionAdjusted, PositionEvent
from nautilus_trader.model.identifiers import (
    AccountId,
    InstrumentId,
    PositionId,
    StrategyId,
    TraderId,
)
from nautilus_trader.model.objects import Money

from mesh.common.v1 import enums_pb2 as common
from mesh.common.v1 import types_pb2
from mesh.execution.v1 import events_pb2 as pb
from meshkit.nautilus.execution.tables import names
from meshkit.times import to_nanos, to_timestamp

TYPES = {
    events.PositionOpened: pb.POSITION_EVENT_TYPE_OPENED,
    events.PositionChanged: pb.POSITION_EVENT_TYPE_CHANGED,
    events.PositionClosed: pb.POSITION_EVENT_TYPE_CLOSED,
    events.PositionAdjusted: pb.POSITION_EVENT_TYPE_ADJUSTED,
}

_SIDES = names(common.OrderSide)
_POSITION_SIDES = names(common.PositionSide)
_ADJUSTMENTS = names(common.PositionAdjustmentType)
_IDS = ("trader_id", "position_id", "strategy_id", "instrument_id", "account_id")
_TEXTS = ("quantity", "peak_qty", "currency", "opening_order_id", "closing_order_id")
_DOUBLES = ("avg_px_open", "avg_px_close", "realized_return")


def to_event(event: PositionEvent) -> pb.PositionEvent:
    """Return the contract's event of a Nautilus position event."""
    values = type(event).to_dict(event)
    adjusted = type(event) is PositionAdjusted
    made = pb.PositionEvent(
        type=TYPES[type(event)],
        position=pb.Position(**{n: values[n] for n in _IDS}) if adjusted else _position(values),
        event_id=values["event_id"],
        # Nautilus leaves the time out of PositionClosed's dictionary.
        ts_event=to_timestamp(event.ts_event),
        ts_init=to_timestamp(event.ts_init),
    )
    if adjusted:
        _put_adjustment(made, values)
    else:
        made.last_qty, made.last_px = values["last_qty"], values["last_px"]
    return made


def _position(values: dict[str, Any]) -> pb.Position:
    made = pb.Position(
        **{name: values[name] for name in _IDS},
        **{name: values[name] for name in _TEXTS if values.get(name)},
        **{name: values[name] for name in _DOUBLES if values.get(name)},
        side=_POSITION_SIDES.numbers[values["side"]],  # type: ignore[arg-type]  # a number
        signed_qty=("-" if values["signed_qty"] < 0 else "") + values["quantity"],
        entry=_SIDES.numbers[values["entry"]],  # type: ignore[arg-type]  # a number
        ts_opened=to_timestamp(values.get("ts_opened") or values["ts_event"]),
    )
    for name in ("realized_pnl", "unrealized_pnl"):
        if (value := values.get(name)) and value != "None":
            getattr(made, name).CopyFrom(_money(value))
    if values.get("ts_closed"):
        made.ts_closed.CopyFrom(to_timestamp(values["ts_closed"]))
    return made


def _money(text: str) -> types_pb2.Money:
    amount, _, currency = text.partition(" ")
    return types_pb2.Money(amount=amount, currency=currency)


def _put_adjustment(made: pb.PositionEvent, values: dict[str, Any]) -> None:
    made.adjustment_type = _ADJUSTMENTS.numbers[values["adjustment_type"]]  # type: ignore[assignment]  # a number
    made.quantity_change = values["quantity_change"] or ""
    made.reason = values["reason"] or ""
    if values["pnl_change"]:
        made.pnl_change.CopyFrom(_money(values["pnl_change"]))


def from_adjusted(event: pb.PositionEvent) -> PositionAdjusted:
    """Return the Nautilus event of an adjustment: no fill gives it, so it is applied itself."""
    of, pnl = event.position, event.pnl_change
    return PositionAdjusted(
        trader_id=TraderId(of.trader_id),
        strategy_id=StrategyId(of.strategy_id),
        instrument_id=InstrumentId.from_str(of.instrument_id),
        position_id=PositionId(of.position_id),
        account_id=AccountId(of.account_id),
        adjustment_type=PositionAdjustmentType[_ADJUSTMENTS.names[event.adjustment_type]],
        quantity_change=Decimal(event.quantity_change) if event.quantity_change else None,
        pnl_change=Money.from_str(f"{pnl.amount} {pnl.currency}")
        if event.HasField("pnl_change")
        else None,
        reason=event.reason or None,
        event_id=UUID4.from_str(event.event_id),
        ts_event=to_nanos(event.ts_event),
        ts_init=to_nanos(event.ts_init),
    )
