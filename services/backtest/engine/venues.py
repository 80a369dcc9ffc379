"""A venue of the contract → a simulated exchange of the engine."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.backtest.models import (
    FeeModel,
    FillModel,
    FixedFeeModel,
    LatencyModel,
    MakerTakerFeeModel,
    PerContractFeeModel,
)
from nautilus_trader.model.currencies import Currency
from nautilus_trader.model.enums import AccountType, BookType, OmsType
from nautilus_trader.model.identifiers import InstrumentId, Venue
from nautilus_trader.model.objects import Money

NANOS = 1_000_000_000


def add_venue(engine: BacktestEngine, spec: Mapping[str, Any]) -> None:
    """Add a venue to the engine; absent options have Nautilus' defaults."""
    base = spec.get("base_currency")
    engine.add_venue(
        venue=Venue(spec["name"]),
        oms_type=OmsType[spec["oms_type"].removeprefix("OMS_TYPE_")],
        account_type=AccountType[spec["account_type"].removeprefix("ACCOUNT_TYPE_")],
        starting_balances=[_money(m) for m in spec["starting_balances"]],
        base_currency=Currency.from_str(base) if base else None,
        default_leverage=Decimal(spec.get("default_leverage") or 1),
        leverages={
            InstrumentId.from_str(k): Decimal(v) for k, v in spec.get("leverages", {}).items()
        },
        book_type=BookType[spec.get("book_type", "BOOK_TYPE_L1_MBP").removeprefix("BOOK_TYPE_")],
        fee_model=_fee_model(spec.get("fee_model", {})),
        fill_model=_fill_model(spec.get("fill_model")),
        latency_model=_latency_model(spec.get("latency_model")),
        **spec.get("options", {}),
    )


def _money(message: Mapping[str, str]) -> Money:
    return Money(Decimal(message["amount"]), Currency.from_str(message["currency"]))


def _fee_model(message: Mapping[str, Any]) -> FeeModel:
    if fixed := message.get("fixed"):
        return FixedFeeModel(
            _money(fixed["commission"]),
            charge_commission_once=not fixed.get("every_fill", False),
        )
    if per_contract := message.get("per_contract"):
        return PerContractFeeModel(_money(per_contract))
    return MakerTakerFeeModel()


def _fill_model(message: Mapping[str, Any] | None) -> FillModel | None:
    if message is None:
        return None
    seed = message.get("random_seed")
    return FillModel(
        prob_fill_on_limit=message.get("prob_fill_on_limit", 1.0),
        prob_slippage=message.get("prob_slippage", 0.0),
        random_seed=None if seed is None else int(seed),
    )


def _latency_model(message: Mapping[str, str] | None) -> LatencyModel | None:
    if message is None:
        return None
    return LatencyModel(
        base_latency_nanos=_nanos(message.get("base")),
        insert_latency_nanos=_nanos(message.get("insert")),
        update_latency_nanos=_nanos(message.get("update")),
        cancel_latency_nanos=_nanos(message.get("cancel")),
    )


def _nanos(duration: str | None) -> int:
    """Return the nanoseconds of a duration's JSON form, such as ``0.001s``."""
    return int(Decimal((duration or "0s").removesuffix("s")) * NANOS)
