"""A backtest spec from a few words: a strategy and data, the rest by sensible defaults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mesh.backtest.v1 import backtest_pb2 as pb
from mesh.common.v1 import enums_pb2
from mesh.common.v1.types_pb2 import Money
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from mesh.marketdata.v1.marketdata_pb2 import DATA_KIND_BAR, DataSelection
from meshclient.client import MeshClient
from meshclient.data import selection, timestamp
from meshclient.errors import SpecError

_SIDES = {"-BID-": "-ASK-", "-ASK-": "-BID-"}


@dataclass(frozen=True)
class Quick:
    """What a caller says. ``strategy`` is an id, or ``id@version``; ``balances`` such as
    ``1000000 USD``; ``config`` overrides what is filled in.
    """

    strategy: str
    bars: Sequence[str] = ()
    quotes: Sequence[str] = ()
    trades: Sequence[str] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    balances: Sequence[str] = ()
    leverage: str = "10"
    start: datetime | None = None
    end: datetime | None = None
    seed: int = 0


async def quick_spec(mesh: MeshClient, quick: Quick) -> pb.BacktestSpec:
    """Return a whole spec: margin accounts with netting at the venues of the data.

    Looks up the strategy's config fields and the first instrument, so their errors come from here.
    """
    data = _data(quick)
    if not data:
        raise SpecError("Name some data: bars, quotes or trades.")
    strategy_id, _, version = quick.strategy.partition("@")
    code = await mesh.strategies.version(strategy_id, version or "latest")
    first = (await mesh.instruments.get(instrument_of(data[0]))).definition
    component = pb.ComponentSpec(strategy_id=strategy_id, version=version)
    component.config.update(_config(code.required_fields, quick, data[0], first))
    spec = pb.BacktestSpec(data=data, components=[component], seed=quick.seed)
    if quick.start is not None:
        spec.range.start.CopyFrom(timestamp(quick.start))
    if quick.end is not None:
        spec.range.end.CopyFrom(timestamp(quick.end))
    balances = [_money(each) for each in quick.balances or [f"1000000 {_currency(first)}"]]
    for name in dict.fromkeys(instrument_of(each).rpartition(".")[2] for each in data):
        spec.venues.append(_venue(name, balances, quick.leverage))
    return spec


def instrument_of(chosen: DataSelection) -> str:
    """Return the instrument id of a selection: of bars, what stands before the step."""
    return chosen.instrument_id or chosen.bar_type.rsplit("-", 4)[0]


def _data(quick: Quick) -> list[DataSelection]:
    """Return the selections; bars of one side bring the other, without which nothing fills."""
    bars = dict.fromkeys(quick.bars)
    for bar_type in quick.bars:
        for side, other in _SIDES.items():
            if side in bar_type:
                bars.setdefault(bar_type.replace(side, other))
    return [
        *(selection(each, "bars") for each in bars),
        *(selection(each, "quotes") for each in quick.quotes),
        *(selection(each, "trades") for each in quick.trades),
    ]


def _config(
    required: Sequence[str], quick: Quick, first: DataSelection, instrument: InstrumentDefinition
) -> dict[str, Any]:
    """Return the config: what is given, and the usual fields where the strategy requires them."""
    usual = {"instrument_id": instrument.instrument_id, "trade_size": _trade_size(instrument)}
    if first.kind == DATA_KIND_BAR:
        usual["bar_type"] = first.bar_type
    return {name: usual[name] for name in required if name in usual} | dict(quick.config)


def _trade_size(instrument: InstrumentDefinition) -> str:
    if instrument.lot_size:
        return instrument.lot_size
    return "1" if instrument.size_precision else "100000" if instrument.base_currency else "100"


def _currency(instrument: InstrumentDefinition) -> str:
    """Return the account's currency: dollars where the pair has them, else what prices are in."""
    return "USD" if instrument.base_currency == "USD" else instrument.quote_currency or "USD"


def _money(text: str) -> Money:
    amount, _, currency = text.strip().partition(" ")
    if not currency:
        raise SpecError(f"'{text}' must be an amount and a currency, such as '1000000 USD'.")
    return Money(amount=amount.replace("_", "").replace(",", ""), currency=currency.strip())


def _venue(name: str, balances: Sequence[Money], leverage: str) -> pb.VenueSpec:
    return pb.VenueSpec(
        name=name,
        oms_type=enums_pb2.OMS_TYPE_NETTING,
        account_type=enums_pb2.ACCOUNT_TYPE_MARGIN,
        starting_balances=balances,
        base_currency=balances[0].currency if len(balances) == 1 else "",
        default_leverage=leverage,
    )
