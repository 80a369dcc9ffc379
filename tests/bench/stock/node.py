"""``python node.py SPEC.json``: a run of stock ``BacktestNode``; prints seconds and totals as JSON.

The clock starts when everything is imported and stops when the result is there: what a script pays
for its imports is not counted against stock Nautilus.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from nautilus_trader.backtest.node import BacktestNode
from nautilus_trader.config import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestRunConfig,
    BacktestVenueConfig,
    ImportableStrategyConfig,
)
from nautilus_trader.model.data import Bar, QuoteTick

HERE = Path(__file__).parent
KINDS = {"BAR": Bar, "QUOTE_TICK": QuoteTick}


def run(spec: dict[str, Any]) -> dict[str, Any]:
    """Run a spec as the documentation of Nautilus does, with its default engine config."""
    sys.path[:0] = [str(HERE), spec["strategies"]]
    config = BacktestRunConfig(
        engine=BacktestEngineConfig(
            strategies=[
                ImportableStrategyConfig(
                    strategy_path=spec["strategy_path"],
                    config_path=spec["config_path"],
                    config=spec["config"],
                )
            ]
        ),
        venues=[
            BacktestVenueConfig(
                name="SIM",
                oms_type="NETTING",
                account_type="MARGIN",
                base_currency="USD",
                starting_balances=["1000000 USD"],
            )
        ],
        data=[_data(spec, each) for each in spec["data"]],
        chunk_size=spec["chunk_size"],
        raise_exception=True,
        dispose_on_completion=False,
    )
    started, spent = time.perf_counter(), time.process_time()
    node = BacktestNode(configs=[config])
    result = node.run()[0]
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "cpu_seconds": time.process_time() - spent,
        "events": result.iterations,
        "orders": result.total_orders,
        "stats": json.loads(json.dumps(result.stats_pnls, default=str)),
    }


def _data(spec: dict[str, Any], each: dict[str, str]) -> BacktestDataConfig:
    chosen: dict[str, Any] = {"instrument_id": each["instrument_id"]}
    if each["kind"] == "BAR":
        chosen = {"bar_types": [each["bar_type"]]}
    return BacktestDataConfig(catalog_path=spec["catalog"], data_cls=KINDS[each["kind"]], **chosen)


if __name__ == "__main__":
    output = run(json.loads(Path(sys.argv[1]).read_text()))
    print("\n" + json.dumps(output))
