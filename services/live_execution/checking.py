"""Faults of a trader's spec that can be seen without asking anybody."""

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

from mesh.common.v1.types_pb2 import Money
from mesh.execution.v1 import trader_pb2 as pb
from meshkit.errors import FieldViolation
from services.live_execution.domain import RESERVED_TAGS

INSTRUMENT = re.compile(r"[^\s.]\S{0,120}\.[A-Z][A-Z0-9_]{0,30}")
DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,16})?")
REPLAY = "REPLAY"
ONLY_SANDBOX = "must be a sandbox: the data is a replay, and orders of the past go to no real venue"

Faults = Iterator[FieldViolation]


def spec_faults(spec: pb.TraderSpec) -> list[FieldViolation]:
    """Return the parts that do not fit together, all of them at once."""
    return [
        *_strategies(spec),
        *_venues(spec),
        *_data(spec.data),
        *_risk(spec.risk),
        *(replay_faults(spec) if spec.data.HasField("replay") else ()),
    ]


def replay_faults(spec: pb.TraderSpec) -> Faults:
    """Tell the real venues of a spec whose data is a replay."""
    for index, venue in enumerate(spec.venues):
        if venue.HasField("live"):
            yield FieldViolation(f"spec.venues[{index}].live", ONLY_SANDBOX)


def _strategy(strategy: pb.TraderStrategy, field: str) -> Faults:
    """Tell what is wrong with one strategy by itself."""
    if strategy.order_id_tag.upper() in RESERVED_TAGS:
        text = f"'{strategy.order_id_tag}' is kept for orders by hand; choose another tag"
        yield FieldViolation(f"{field}.order_id_tag", text)
    for index, claim in enumerate(strategy.external_order_claims):
        yield from _instrument(f"{field}.external_order_claims[{index}]", claim)


def _strategies(spec: pb.TraderSpec) -> Faults:
    tags: set[str] = set()
    claims: set[str] = set()
    for index, strategy in enumerate(spec.strategies):
        field = f"spec.strategies[{index}]"
        yield from _strategy(strategy, field)
        if strategy.order_id_tag in tags:
            yield FieldViolation(f"{field}.order_id_tag", "is there twice; each needs its own")
        tags.add(strategy.order_id_tag)
        for number, claim in enumerate(strategy.external_order_claims):
            if claim in claims:
                text = f"{claim} is claimed twice; only one strategy can have it"
                yield FieldViolation(f"{field}.external_order_claims[{number}]", text)
            claims.add(claim)


def _venues(spec: pb.TraderSpec) -> Faults:
    names: set[str] = set()
    for index, venue in enumerate(spec.venues):
        field = f"spec.venues[{index}]"
        if venue.venue in names:
            yield FieldViolation(f"{field}.venue", "is there twice")
        names.add(venue.venue)
        if venue.HasField("sandbox"):
            yield from _sandbox(f"{field}.sandbox", venue.sandbox, venue.venue)
        else:
            yield from _config(f"{field}.live.config_json", venue.live.config_json)


def _sandbox(field: str, sandbox: pb.SandboxVenue, venue: str) -> Faults:
    currencies = [money.currency for money in sandbox.starting_balances]
    if len(set(currencies)) != len(currencies):
        yield FieldViolation(f"{field}.starting_balances", "names a currency twice")
    if sandbox.base_currency and currencies != [sandbox.base_currency]:
        text = f"must be {sandbox.base_currency} only, since the account has that base currency"
        yield FieldViolation(f"{field}.starting_balances", text)
    for index, money in enumerate(sandbox.starting_balances):
        if money.amount.startswith("-"):
            yield FieldViolation(f"{field}.starting_balances[{index}].amount", "is negative")
    if sandbox.default_leverage and not Decimal(sandbox.default_leverage):
        yield FieldViolation(f"{field}.default_leverage", "must be above 0")
    for instrument_id, leverage in sandbox.leverages.items():
        name = f"{field}.leverages[{instrument_id}]"
        yield from _instrument(name, instrument_id)
        yield from _positive(name, leverage)
        if not instrument_id.endswith(f".{venue}"):
            yield FieldViolation(name, f"is no instrument of {venue}")


def _config(field: str, text: str) -> Faults:
    try:
        config = json.loads(text or "{}", parse_constant=_refuse)
    except (ValueError, RecursionError):
        yield FieldViolation(field, "is not JSON")
        return
    if not isinstance(config, dict):
        yield FieldViolation(field, "must be a JSON object")


def _data(data: pb.DataSource) -> Faults:
    adapters: set[str] = set()
    for index, client in enumerate(data.venue.clients):
        field = f"spec.data.venue.clients[{index}]"
        if client.adapter in adapters:
            yield FieldViolation(f"{field}.adapter", "is there twice")
        adapters.add(client.adapter)
        yield from _config(f"{field}.config_json", client.config_json)
    for index, instrument_id in enumerate(data.instrument_ids):
        yield from _instrument(f"spec.data.instrument_ids[{index}]", instrument_id)


def _risk(risk: pb.RiskLimits) -> Faults:
    yield from _by_instrument("spec.risk.max_notional_per_order", risk.max_notional_per_order)
    yield from _by_instrument("spec.risk.max_position", risk.max_position)
    for name in ("max_gross_exposure", "max_daily_loss"):
        if risk.HasField(name):
            money: Money = getattr(risk, name)
            yield from _positive(f"spec.risk.{name}.amount", money.amount)


def _by_instrument(field: str, limits: Mapping[str, str]) -> Faults:
    for instrument_id, limit in limits.items():
        if instrument_id != "*":
            yield from _instrument(f"{field}[{instrument_id}]", instrument_id)
        yield from _positive(f"{field}[{instrument_id}]", limit)


def _instrument(field: str, instrument_id: str) -> Faults:
    if not INSTRUMENT.fullmatch(instrument_id):
        text = f"'{instrument_id}' is no instrument id, such as BTCUSDT.BINANCE"
        yield FieldViolation(field, text)


def _positive(field: str, text: str) -> Faults:
    if not DECIMAL.fullmatch(text) or not Decimal(text):
        yield FieldViolation(field, f"'{text}' is no decimal above 0, such as 1000.50")


def _refuse(constant: str) -> None:
    raise ValueError(constant)
