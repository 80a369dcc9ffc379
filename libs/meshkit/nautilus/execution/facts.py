"""What a Nautilus node publishes ↔ ``TraderFact``."""

from collections.abc import Callable
from typing import Any

from nautilus_trader.common.enums import component_state_to_str
from nautilus_trader.common.messages import ComponentStateChanged
from nautilus_trader.model import events
from nautilus_trader.model.currencies import Currency
from nautilus_trader.model.instruments import Instrument, SyntheticInstrument

from mesh.execution.v1 import events_pb2 as pb
from mesh.execution.v1.events_pb2 import TraderFact
from meshkit.nautilus.definitions import definition
from meshkit.nautilus.execution import accounts, orders, positions
from meshkit.nautilus.instruments import to_nautilus
from meshkit.times import to_nanos, to_timestamp


def to_fact(event: object, trader_id: str = "") -> TraderFact | None:
    """Return the fact of an event, an instrument or a currency; None for what is no fact.

    ``trader_id`` is of an account's state, which does not name its trader.
    """
    convert = _TO.get(type(event))
    if convert is not None:
        return convert(event)
    if isinstance(event, events.AccountState):
        return TraderFact(account=accounts.to_state(event, trader_id))
    if isinstance(event, Instrument | SyntheticInstrument):
        return TraderFact(instrument=definition(event))
    return None


def from_fact(fact: TraderFact) -> Any:
    """Return the Nautilus object of a fact; None where there is none to be rebuilt.

    Of position events only adjustments come back: the others follow from the fills.
    """
    convert = _FROM.get(fact.WhichOneof("fact") or "")
    return convert(fact) if convert is not None else None


def nanos_of(fact: TraderFact) -> int:
    """Return the time (unix ns) at which a fact was written."""
    return to_nanos(fact.ts)


def _order(event: Any) -> TraderFact:
    return TraderFact(order=orders.to_event(event))


def _position(event: Any) -> TraderFact:
    return TraderFact(position=positions.to_event(event))


def _currency(currency: Any) -> TraderFact:
    return TraderFact(currency=accounts.to_definition(currency))


def _component(event: Any) -> TraderFact:
    """Return a state without the component's config, which may hold a venue's secrets."""
    return TraderFact(
        component=pb.ComponentStateChanged(
            component_id=str(event.component_id),
            component_type=event.component_type,
            state=component_state_to_str(event.state),
            ts_event=to_timestamp(event.ts_event),
        )
    )


_TO: dict[type, Callable[[Any], TraderFact]] = {
    **dict.fromkeys(orders.NUMBERS, _order),
    **dict.fromkeys(positions.TYPES, _position),
    Currency: _currency,
    ComponentStateChanged: _component,
}


def _adjusted(fact: TraderFact) -> events.PositionAdjusted | None:
    if fact.position.type != pb.POSITION_EVENT_TYPE_ADJUSTED:
        return None
    return positions.from_adjusted(fact.position)


_FROM: dict[str, Callable[[TraderFact], Any]] = {
    "order": lambda fact: orders.from_event(fact.order),
    "position": _adjusted,
    "account": lambda fact: accounts.from_state(fact.account),
    "instrument": lambda fact: to_nautilus(fact.instrument),
    "currency": lambda fact: accounts.from_definition(fact.currency),
}
