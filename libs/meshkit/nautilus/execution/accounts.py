"""Account states and currencies ↔ the contracts."""

from typing import Any

from nautilus_trader.model.currencies import Currency
from nautilus_trader.model.enums import CurrencyType, currency_type_to_str
from nautilus_trader.model.events import AccountState

from mesh.common.v1 import enums_pb2 as common
from mesh.execution.v1 import events_pb2 as pb
from meshkit.nautilus.execution.tables import names
from meshkit.nautilus.execution.values import put, take
from meshkit.times import to_nanos, to_timestamp

_ACCOUNT_TYPES = names(common.AccountType)
_CURRENCY_TYPES = names(common.CurrencyType)


def to_state(state: AccountState, trader_id: str) -> pb.AccountState:
    """Return the contract's state of an account; Nautilus' does not name the trader."""
    values = AccountState.to_dict(state)
    made = pb.AccountState(
        trader_id=trader_id,
        account_id=values["account_id"],
        account_type=_ACCOUNT_TYPES.numbers[values["account_type"]],  # type: ignore[arg-type]  # a number
        base_currency=values["base_currency"] or "",
        balances=[_balance(each) for each in values["balances"]],
        margins=[_margin(each) for each in values["margins"]],
        reported=values["reported"],
        event_id=values["event_id"],
        ts_event=to_timestamp(values["ts_event"]),
        ts_init=to_timestamp(values["ts_init"]),
    )
    if values["info"]:
        made.info_json = put(made.info, values["info"])
    return made


def from_state(state: pb.AccountState) -> AccountState:
    """Return Nautilus' state of an account."""
    return AccountState.from_dict(
        {
            "account_id": state.account_id,
            "account_type": _ACCOUNT_TYPES.names[state.account_type],
            "base_currency": state.base_currency or None,
            "balances": [_balance_values(each) for each in state.balances],
            "margins": [_margin_values(each) for each in state.margins],
            "reported": state.reported,
            "info": take(state.info, state.info_json),
            "event_id": state.event_id,
            "ts_event": to_nanos(state.ts_event),
            "ts_init": to_nanos(state.ts_init),
        }
    )


def _balance(values: dict[str, Any]) -> pb.AccountBalance:
    return pb.AccountBalance(
        currency=values["currency"],
        total=values["total"],
        locked=values["locked"],
        free=values["free"],
    )


def _balance_values(balance: pb.AccountBalance) -> dict[str, Any]:
    return {
        "type": "AccountBalance",
        "currency": balance.currency,
        "total": balance.total,
        "locked": balance.locked,
        "free": balance.free,
    }


def _margin(values: dict[str, Any]) -> pb.MarginBalance:
    return pb.MarginBalance(
        currency=values["currency"],
        initial=values["initial"],
        maintenance=values["maintenance"],
        instrument_id=values["instrument_id"] or "",
    )


def _margin_values(margin: pb.MarginBalance) -> dict[str, Any]:
    return {
        "type": "MarginBalance",
        "currency": margin.currency,
        "initial": margin.initial,
        "maintenance": margin.maintenance,
        "instrument_id": margin.instrument_id or None,
    }


def to_definition(currency: Currency) -> pb.CurrencyDefinition:
    """Return the definition of a currency."""
    name = currency_type_to_str(currency.currency_type)
    return pb.CurrencyDefinition(
        code=currency.code,
        precision=currency.precision,
        iso4217=currency.iso4217,
        name=currency.name,
        currency_type=_CURRENCY_TYPES.numbers[name],  # type: ignore[arg-type]  # a number
    )


def from_definition(definition: pb.CurrencyDefinition) -> Currency:
    """Return a currency; it is not registered yet."""
    return Currency(
        code=definition.code,
        precision=definition.precision,
        iso4217=definition.iso4217,
        name=definition.name,
        currency_type=CurrencyType[_CURRENCY_TYPES.names[definition.currency_type]],
    )
