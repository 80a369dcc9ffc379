"""Venues of the contract become venues of the engine."""

from typing import Any

import pytest
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.identifiers import Venue

from mesh.backtest.v1.backtest_pb2 import VenueOptions
from services.backtest.engine.venues import add_venue

MONEY = {"amount": "1000000", "currency": "USD"}
FEE_MODELS: tuple[dict[str, Any], ...] = (
    {},
    {"maker_taker": {}},
    {"fixed": {"commission": MONEY, "every_fill": True}},
    {"per_contract": MONEY},
)


@pytest.mark.parametrize("value", [True, False])
def test_nautilus_takes_every_option(value: bool) -> None:
    """Each option that the contract lists, alone, makes a venue."""
    engine = BacktestEngine(config=BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    made = []
    for number, option in enumerate(VenueOptions.DESCRIPTOR.fields):
        made.append(Venue(f"V{number}"))
        add_venue(engine, _spec(made[-1].value, options={option.name: value}))
    assert engine.list_venues() == made
    engine.dispose()


@pytest.mark.parametrize("fee_model", FEE_MODELS)
def test_nautilus_takes_every_model(fee_model: dict[str, object]) -> None:
    """Each fee model, with a fill and a latency model, makes a venue."""
    engine = BacktestEngine(config=BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    add_venue(
        engine,
        _spec(
            "SIM",
            fee_model=fee_model,
            fill_model={"prob_fill_on_limit": 0.5, "prob_slippage": 0.1, "random_seed": "7"},
            latency_model={"base": "0.001s", "insert": "1.500s"},
            leverages={"USD/JPY.SIM": "25"},
        ),
    )
    assert engine.list_venues() == [Venue("SIM")]
    engine.dispose()


def _spec(name: str, **more: object) -> dict[str, object]:
    return {
        "name": name,
        "oms_type": "OMS_TYPE_NETTING",
        "account_type": "ACCOUNT_TYPE_MARGIN",
        "starting_balances": [MONEY],
        **more,
    }
