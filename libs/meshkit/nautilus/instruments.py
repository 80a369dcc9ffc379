"""Instrument definitions of the contracts ↔ Nautilus instruments, for every class."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pandas as pd
from google.protobuf import json_format
from nautilus_trader.model import instruments as classes
from nautilus_trader.model.identifiers import InstrumentId, Symbol
from nautilus_trader.model.instruments import BettingInstrument, Instrument, SyntheticInstrument
from nautilus_trader.model.objects import Currency, Money, Price, Quantity

from mesh.marketdata.v1 import instrument_pb2 as pb
from meshkit import enums
from meshkit.errors import FieldViolation, InvalidField
from meshkit.times import to_nanos

ZERO = "0"


def class_names() -> dict[str, str]:
    """Return the Nautilus class of each instrument type of the contract, by bare names."""
    known = {_words(name): name for name in classes.__all__ if name != "Instrument"}
    return {name: known[name] for name in _types() if name in known and name != "INSTRUMENT"}


def _types() -> list[str]:
    values = pb.InstrumentType.DESCRIPTOR.values
    return [v.name.removeprefix("INSTRUMENT_TYPE_") for v in values if v.number]


def _words(name: str) -> str:
    out = ""
    for i, letter in enumerate(name):
        out += "_" if letter.isupper() and i else ""
        out += letter.upper()
    return out


def to_nautilus(definition: pb.InstrumentDefinition) -> Instrument | SyntheticInstrument:
    """Return the instrument of a definition; raises ``InvalidField`` that says what is amiss."""
    name = enums.bare(pb.InstrumentType, definition.type)
    special: dict[str, Callable[[pb.InstrumentDefinition], Any]] = {
        "BETTING_INSTRUMENT": _betting,
        "SYNTHETIC_INSTRUMENT": _synthetic,
    }
    _check_currencies(name, definition)
    try:
        if name in special:
            return special[name](definition)
        made = getattr(classes, class_names()[name]).from_dict(_values(definition))
    except InvalidField:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise _invalid("definition", f"Nautilus refuses it: {_sentence(error)}") from None
    return made


def _check_currencies(name: str, definition: pb.InstrumentDefinition) -> None:
    """Refuse codes that Nautilus does not know: it would take a typing error for a new token."""
    if name.startswith("CRYPTO") or _bare_asset_class(definition) == "CRYPTOCURRENCY":
        return
    for field in ("base_currency", "quote_currency", "settlement_currency"):
        code = getattr(definition, field)
        if code and Currency.from_internal_map(code) is None:
            text = f"'{code}' is no currency that Nautilus knows; is it a token (asset_class)?"
            raise _invalid(f"definition.{field}", text)


def describe(instrument: Any, given: pb.InstrumentDefinition) -> pb.InstrumentDefinition:
    """Return a definition with what Nautilus filled in: id, symbol, precisions and increments."""
    full = pb.InstrumentDefinition()
    full.CopyFrom(given)
    full.instrument_id = str(instrument.id)
    full.price_precision = instrument.price_precision
    if isinstance(instrument, SyntheticInstrument):
        return full
    taken = type(instrument).to_dict(instrument)
    for name in ("raw_symbol", "price_increment", "size_increment", "multiplier", "size_precision"):
        if name in taken:
            setattr(full, name, taken[name])
    full.quote_currency = instrument.quote_currency.code
    return full


def check_taken(instrument: Any, given: pb.InstrumentDefinition) -> None:
    """Raise ``InvalidField`` for a field that the class does not have, or has fixed otherwise."""
    taken = type(instrument).to_dict(instrument)
    name = type(instrument).__name__
    for field, value in given.ListFields():
        if field.name in _ELSEWHERE:
            continue
        key = next((k for k in _KEYS.get(field.name, (field.name,)) if k in taken), None)
        if key is None and str(value) == str(getattr(instrument, field.name, None)):
            continue  # the same for every instrument of the class, and said rightly
        if key is None:
            raise _invalid(f"definition.{field.name}", f"{name} has none; leave it out")
        if field.name in _FIXED and Decimal(taken[key] or 0) != Decimal(value):
            text = f"is {taken[key] or 'not settable'} for every {name}; leave it out"
            raise _invalid(f"definition.{field.name}", text)


_ELSEWHERE = frozenset({"type", "instrument_id", "asset_class", "betting", "info"})
"""Fields that every class takes, or that are checked where they are used."""

_KEYS = {
    "quote_currency": ("quote_currency", "currency"),
    "activation_time": ("activation_ns",),
    "expiration_time": ("expiration_ns",),
    "event_time": ("ts_event",),
    "init_time": ("ts_init",),
}
"""Nautilus' names of fields that it calls otherwise."""

_FIXED = frozenset(
    {"size_precision", "size_increment", "max_quantity", "min_quantity", "max_price", "min_price"}
)
"""Fields that some classes show and do not take."""


def _values(definition: pb.InstrumentDefinition) -> dict[str, Any]:
    price, price_step = _precision(definition, "price")
    size, size_step = _precision(definition, "size")
    d = definition
    return {
        "id": d.instrument_id,
        "raw_symbol": d.raw_symbol or d.instrument_id.rpartition(".")[0],
        "asset_class": _bare_asset_class(d),
        "currency": d.quote_currency,
        "quote_currency": d.quote_currency,
        "base_currency": d.base_currency or None,
        "settlement_currency": d.settlement_currency or d.quote_currency,
        "underlying": d.underlying or d.base_currency,
        "is_inverse": d.is_inverse,
        "price_precision": price,
        "price_increment": price_step,
        "size_precision": size,
        "size_increment": size_step,
        "multiplier": d.multiplier or "1",
        "lot_size": d.lot_size or ("1" if _has_lots(d) else None),
        "max_quantity": d.max_quantity or None,
        "min_quantity": d.min_quantity or None,
        "max_notional": _money(d, "max_notional"),
        "min_notional": _money(d, "min_notional"),
        "max_price": d.max_price or None,
        "min_price": d.min_price or None,
        "margin_init": d.margin_init or ZERO,
        "margin_maint": d.margin_maint or ZERO,
        "maker_fee": d.maker_fee or ZERO,
        "taker_fee": d.taker_fee or ZERO,
        "tick_scheme_name": d.tick_scheme_name or None,
        "exchange": d.exchange or None,
        "strategy_type": d.strategy_type,
        "option_kind": enums.bare(_option_kind(), d.option_kind),
        "strike_price": d.strike_price or None,
        "activation_ns": to_nanos(d.activation_time),
        "expiration_ns": to_nanos(d.expiration_time),
        "isin": d.isin or None,
        "outcome": d.outcome or None,
        "description": d.description or None,
        "ts_event": to_nanos(d.event_time),
        "ts_init": to_nanos(d.init_time),
        "info": json_format.MessageToDict(d.info) if d.HasField("info") else None,
    }


def _precision(definition: pb.InstrumentDefinition, what: str) -> tuple[int, str]:
    """Return precision and increment of prices or sizes, either found from the other."""
    step = getattr(definition, f"{what}_increment")
    given = definition.HasField(f"{what}_precision")  # type: ignore[arg-type]  # one of two names
    if step:
        exponent = Decimal(step).as_tuple().exponent
        found = max(0, -int(exponent))
        if not given:
            return found, step
        wanted = int(getattr(definition, f"{what}_precision"))
        if found != wanted:
            text = f"has {found} decimals, and {what}_precision is {wanted}"
            raise _invalid(f"definition.{what}_increment", text)
        return wanted, step
    if not given and what == "price":
        raise _invalid("definition.price_precision", "is required, or price_increment")
    wanted = int(getattr(definition, f"{what}_precision"))
    return wanted, str(Decimal(1).scaleb(-wanted)) if wanted else "1"


def _has_lots(definition: pb.InstrumentDefinition) -> bool:
    return enums.bare(pb.InstrumentType, definition.type) in {
        "EQUITY",
        "FUTURES_CONTRACT",
        "FUTURES_SPREAD",
        "OPTION_CONTRACT",
        "OPTION_SPREAD",
        "CRYPTO_FUTURE",
        "CRYPTO_FUTURES_SPREAD",
        "CRYPTO_OPTION",
        "CRYPTO_OPTION_SPREAD",
        "PERPETUAL_CONTRACT",
    }


def _bare_asset_class(definition: pb.InstrumentDefinition) -> str:
    from mesh.common.v1 import enums_pb2

    return enums.bare(enums_pb2.AssetClass, definition.asset_class) or "FX"


def _option_kind() -> Any:
    from mesh.common.v1 import enums_pb2

    return enums_pb2.OptionKind


def _money(definition: pb.InstrumentDefinition, field: str) -> str | None:
    if not definition.HasField(field):  # type: ignore[arg-type]  # one of two names
        return None
    money = getattr(definition, field)
    return f"{money.amount} {money.currency}"


def _betting(definition: pb.InstrumentDefinition) -> BettingInstrument:
    b = definition.betting
    made = BettingInstrument(
        venue_name=b.venue_name,
        event_type_id=b.event_type_id,
        event_type_name=b.event_type_name,
        competition_id=b.competition_id,
        competition_name=b.competition_name,
        event_id=b.event_id,
        event_name=b.event_name,
        event_country_code=b.event_country_code,
        event_open_date=pd.Timestamp(to_nanos(b.event_open_time), tz="UTC"),
        betting_type=b.betting_type,
        market_id=b.market_id,
        market_name=b.market_name,
        market_start_time=pd.Timestamp(to_nanos(b.market_start_time), tz="UTC"),
        market_type=b.market_type,
        selection_id=b.selection_id,
        selection_name=b.selection_name,
        currency=definition.quote_currency,
        selection_handicap=b.selection_handicap if b.HasField("selection_handicap") else -9999999.0,
        price_precision=definition.price_precision if definition.HasField("price_precision") else 2,
        size_precision=definition.size_precision if definition.HasField("size_precision") else 2,
        ts_event=to_nanos(definition.event_time),
        ts_init=to_nanos(definition.init_time),
        **_betting_limits(definition),
    )
    if definition.instrument_id and definition.instrument_id != str(made.id):
        text = f"must be empty or '{made.id}', which Nautilus makes of the market"
        raise _invalid("definition.instrument_id", text)
    return made


def _betting_limits(d: pb.InstrumentDefinition) -> dict[str, Any]:
    """Return the limits and rates of a betting instrument that are given."""
    kinds: dict[str, Callable[[str], Any]] = {
        "max_quantity": Quantity.from_str,
        "min_quantity": Quantity.from_str,
        "max_price": Price.from_str,
        "min_price": Price.from_str,
        "margin_init": Decimal,
        "margin_maint": Decimal,
        "maker_fee": Decimal,
        "taker_fee": Decimal,
        "tick_scheme_name": str,
    }
    found = {name: make(getattr(d, name)) for name, make in kinds.items() if getattr(d, name)}
    for name in ("max_notional", "min_notional"):
        if text := _money(d, name):
            found[name] = Money.from_str(text)
    if d.HasField("info"):
        found["info"] = json_format.MessageToDict(d.info)
    return found


def _synthetic(definition: pb.InstrumentDefinition) -> SyntheticInstrument:
    return SyntheticInstrument(
        symbol=Symbol(definition.instrument_id.rpartition(".")[0]),
        price_precision=definition.price_precision,
        components=[InstrumentId.from_str(each) for each in definition.components],
        formula=definition.formula,
        ts_event=to_nanos(definition.event_time),
        ts_init=to_nanos(definition.init_time),
    )


def _invalid(field: str, text: str) -> InvalidField:
    return InvalidField(f"{field}: {text}", violations=[FieldViolation(field, text)])


def _sentence(error: Exception) -> str:
    """Return what an error says, without what only a programmer can use."""
    if isinstance(error, KeyError):
        return f"'{error.args[0]}' is not known or missing"
    if isinstance(error, ValueError) and str(error):
        return str(error).splitlines()[0][:300]
    return "a field that this type requires is missing or of the wrong kind"
