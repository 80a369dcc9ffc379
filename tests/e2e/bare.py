"""``python bare.py JOB.json``: a backtest as the documentation of Nautilus writes it; nothing of
ours.

Prints the totals, every statistic, the balances and the reports, cell by cell, as JSON.
"""

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import ImportableStrategyConfig, LoggingConfig, StrategyFactory
from nautilus_trader.model.currencies import USD, USDT
from nautilus_trader.model.data import Bar, TradeTick
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_trader.model.identifiers import TraderId, Venue
from nautilus_trader.model.objects import Money
from nautilus_trader.persistence.catalog import ParquetDataCatalog

KINDS = {"BAR": Bar, "TRADE_TICK": TradeTick}
CURRENCIES = {"USD": USD, "USDT": USDT}


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Run a job and return all that came out."""
    catalog = ParquetDataCatalog(job["catalog"])
    engine = BacktestEngine(
        config=BacktestEngineConfig(
            trader_id=TraderId("BACKTESTER-001"), logging=LoggingConfig(log_level="ERROR")
        )
    )
    currency = CURRENCIES[job["currency"]]
    for name in job["venues"]:
        engine.add_venue(
            venue=Venue(name),
            oms_type=OmsType.HEDGING,
            account_type=AccountType.MARGIN,
            base_currency=currency,
            starting_balances=[Money(1_000_000, currency)],
            default_leverage=Decimal(10),
        )
    for instrument in catalog.instruments(instrument_ids=job["instruments"]):
        engine.add_instrument(instrument)
    for each in job["data"]:
        engine.add_data(catalog.query(KINDS[each["kind"]], identifiers=[each["identifier"]]))
    sys.path.insert(0, job["strategies"])
    for each in job["components"]:
        config = ImportableStrategyConfig(
            strategy_path=f"{each['module']}:{each['name']}",
            config_path=f"{each['module']}:{each['name']}Config",
            config=each["config"],
        )
        engine.add_strategy(StrategyFactory.create(config))
    engine.run()
    return _output(engine, job["venues"])


def _output(engine: BacktestEngine, venues: list[str]) -> dict[str, Any]:
    result = engine.get_result()
    general = engine.portfolio.analyzer.get_performance_stats_general()
    accounts = [engine.cache.account_for_venue(Venue(name)) for name in venues]
    return {
        "totals": [
            result.iterations,
            result.total_events,
            result.total_orders,
            result.total_positions,
        ],
        "statistics": [
            _numbers(result.stats_returns),
            _numbers(general),
            {code: _numbers(stats) for code, stats in result.stats_pnls.items()},
        ],
        "balances": [[str(m.as_decimal()) for m in a.balances_total().values()] for a in accounts],
        "orders": _cells(engine.trader.generate_orders_report()),
        "fills": _cells(engine.trader.generate_fills_report()),
        "positions": _cells(engine.trader.generate_positions_report()),
    }


def _numbers(stats: dict[str, Any]) -> dict[str, float | None]:
    return {k: None if v is None or v != v else float(v) for k, v in stats.items()}


def _cells(report: pd.DataFrame) -> dict[str, list[str | None]]:
    frame = report.reset_index()
    return {str(name): [_text(value) for value in frame[name]] for name in frame.columns}


def _text(value: Any) -> str | None:
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=str)
    return None if pd.isna(value) else str(value)


if __name__ == "__main__":
    print("\n" + json.dumps(run(json.loads(Path(sys.argv[1]).read_text()))))
