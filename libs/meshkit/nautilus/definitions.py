"""Nautilus instruments → instrument definitions of the contracts."""

import math
from decimal import Decimal
from typing import Any

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from nautilus_trader.model.enums import AssetClass, OptionKind
from nautilus_trader.model.instruments import BettingInstrument, Instrument, SyntheticInstrument

from mesh.marketdata.v1 import instrument_pb2 as pb
from meshkit import enums
from meshkit.nautilus import enums as theirs
from meshkit.nautilus.instruments import class_names
from meshkit.times import to_timestamp

_TEXTS = (
    "raw_symbol", "price_increment", "size_increment", "multiplier", "lot_size", "max_quantity",
    "min_quantity", "max_price", "min_price", "margin_init", "margin_maint", "maker_fee",
    "taker_fee", "tick_scheme_name", "underlying", "exchange", "strategy_type", "strike_price",
    "isin", "outcome", "description", "base_currency", "settlement_currency",
)  # fmt: skip
_TIMES = {
    "activation_ns": "activation_time",
    "expiration_ns": "expiration_time",
    "ts_event": "event_time",
    "ts_init": "init_time",
}
_BETTING = (
    "venue_name", "event_type_id", "event_type_name", "competition_id", "competition_name",
    "event_id", "event_name", "event_country_code", "betting_type", "market_id", "market_name",
    "market_type", "selection_id", "selection_name", "selection_handicap",
)  # fmt: skip


def definition(instrument: Instrument | SyntheticInstrument) -> pb.InstrumentDefinition:
    """Return the definition of an instrument as its venue gives it."""
    if isinstance(instrument, SyntheticInstrument):
        return _synthetic(instrument)
    values = type(instrument).to_dict(instrument)
    made = pb.InstrumentDefinition(
        instrument_id=str(instrument.id),
        type=_type(instrument),  # type: ignore[arg-type]  # a number
        asset_class=theirs.to_proto(AssetClass, instrument.asset_class),  # type: ignore[arg-type]  # a number
        quote_currency=instrument.quote_currency.code,
        is_inverse=instrument.is_inverse,
        price_precision=instrument.price_precision,
        size_precision=instrument.size_precision,
    )
    for name in _TEXTS:
        if (value := values.get(name)) is not None:
            setattr(made, name, _plain(value))
    for name, ours in _TIMES.items():
        if values.get(name):
            getattr(made, ours).CopyFrom(to_timestamp(int(values[name])))
    for name in ("max_notional", "min_notional"):
        _put_money(getattr(made, name), values.get(name))
    if values.get("option_kind"):
        made.option_kind = theirs.to_proto(OptionKind, values["option_kind"])  # type: ignore[assignment]  # a number
    _put_info(made, values.get("info"))
    if isinstance(instrument, BettingInstrument):
        _put_betting(made.betting, values)
    return made


def _synthetic(instrument: SyntheticInstrument) -> pb.InstrumentDefinition:
    return pb.InstrumentDefinition(
        instrument_id=str(instrument.id),
        type=pb.INSTRUMENT_TYPE_SYNTHETIC_INSTRUMENT,
        price_precision=instrument.price_precision,
        components=[str(each) for each in instrument.components],
        formula=instrument.formula,
        event_time=to_timestamp(instrument.ts_event),
        init_time=to_timestamp(instrument.ts_init),
    )


def _put_betting(market: pb.BettingMarket, values: dict[str, Any]) -> None:
    for name in _BETTING:
        setattr(market, name, values[name])
    market.event_open_time.CopyFrom(to_timestamp(values["event_open_date"]))
    market.market_start_time.CopyFrom(to_timestamp(values["market_start_time"]))


def _type(instrument: Instrument) -> int:
    wanted = type(instrument).__name__
    name = next((name for name, known in class_names().items() if known == wanted), "")
    return enums.number(pb.InstrumentType, name)


def _plain(value: Any) -> str:
    """Return a value as text: a number without an exponent."""
    text = str(value)
    return format(Decimal(text), "f") if "E-" in text or "e-" in text else text


def _put_money(money: Message, value: str | None) -> None:
    if value:
        amount, _, currency = value.partition(" ")
        money.amount, money.currency = amount, currency  # type: ignore[attr-defined]  # a Money


def _put_info(made: pb.InstrumentDefinition, info: Any) -> None:
    """Put the venue's own words, as far as JSON can say them."""
    if info:
        made.info.CopyFrom(Struct())
        made.info.update(_json(info))


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _json(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_json(each) for each in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return value if math.isfinite(value) and abs(value) < 2**53 else str(value)
    return str(value)
