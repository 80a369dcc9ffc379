"""The same numbers as bare Nautilus: case BT-01.

The bare side is what a user would write: a BacktestEngine with data added list by list. Our side is
the very function that a run's process calls, and is called in a process of its own: it replaces
parts of Nautilus, and the bare side must be stock.
"""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from nautilus_trader.analysis.analyzer import PortfolioAnalyzer
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_trader.model.identifiers import TraderId, Venue
from nautilus_trader.model.objects import Money

from integration.backtest import sample
from services.backtest.engine.run import run
from services.backtest.task import ComponentTask, DataTask, RunTask
from services.strategy.examples.breakout_bracket import BreakoutBracket, BreakoutBracketConfig
from services.strategy.examples.ema_cross import EmaCross, EmaCrossConfig
from services.strategy.examples.mean_reversion import MeanReversion, MeanReversionConfig

pytestmark = pytest.mark.long

RANDOM_COLUMNS = {"event_id", "init_id", "info", "instance_id"}
"""Ids that Nautilus draws anew at each run."""


def ours(
    folder: Path,
    catalog: Any,
    data: list[list[Any]],
    instruments: list[Any],
    components: list[ComponentTask],
    venues: list[dict[str, Any]],
    chunk: int,
) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """Run our engine and return its figures and tables."""
    output = folder / "output"
    output.mkdir()
    selections: list[DataTask] = [sample.selection(catalog, rows) for rows in data]
    task = RunTask(
        backtest_id="parity",
        trader_id="BACKTESTER-001",
        venues=venues,
        data=tuple(selections),
        instrument_ids=tuple(str(i.id) for i in instruments),
        components=tuple(components),
        start=min(s.start for s in selections),
        end=max(s.end for s in selections),
        chunk_size=chunk,
        seed=0,
        skip_analysis=False,
        catalog=str(catalog.path),
        output=str(output),
        memory_mb=0,
    )
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as apart:
        figures = apart.submit(run, task, nothing).result()
    tables = {p.stem: pq.read_table(p).to_pandas() for p in output.glob("*.parquet")}
    return figures, tables


def nothing(engine: Any) -> None:
    """Take an engine that is about to run."""


def bare(
    data: list[list[Any]], instruments: list[Any], strategies: list[Any], venues: list[str]
) -> BacktestEngine:
    """Run Nautilus as its documentation does."""
    assert PortfolioAnalyzer.realized_pnls.__module__ == PortfolioAnalyzer.__module__  # stock
    engine = BacktestEngine(
        config=BacktestEngineConfig(
            trader_id=TraderId("BACKTESTER-001"), logging=LoggingConfig(log_level="ERROR")
        )
    )
    for name in venues:
        engine.add_venue(
            venue=Venue(name),
            oms_type=OmsType.HEDGING,
            account_type=AccountType.MARGIN,
            base_currency=USD,
            starting_balances=[Money(1_000_000, USD)],
        )
    for instrument in instruments:
        engine.add_instrument(instrument)
    for rows in data:
        engine.add_data(rows)
    for strategy in strategies:
        engine.add_strategy(strategy)
    engine.run()
    return engine


def assert_equal(
    figures: dict[str, Any], tables: dict[str, pd.DataFrame], engine: BacktestEngine
) -> None:
    """Compare every figure and every row."""
    result = engine.get_result()
    for name in ("iterations", "total_events", "total_orders", "total_positions"):
        assert figures[name] == getattr(result, name), name
    assert figures["backtest_start"] == result.backtest_start
    assert figures["backtest_end"] == result.backtest_end
    assert_statistics(figures["returns"], result.stats_returns)
    for code, stats in result.stats_pnls.items():
        assert_statistics(figures["pnls"][code], stats)
    assert_statistics(figures["general"], engine.portfolio.analyzer.get_performance_stats_general())
    for account in figures["accounts"]:
        theirs = engine.cache.account_for_venue(Venue(account["venue"])).balances_total()
        assert account["balances"] == [
            {"amount": str(m.as_decimal()), "currency": m.currency.code} for m in theirs.values()
        ]
    reports = {
        "orders": engine.trader.generate_orders_report(),
        "fills": engine.trader.generate_fills_report(),
        "positions": engine.trader.generate_positions_report(),
    }
    for name, report in reports.items():
        assert_rows(tables[name], report.reset_index())
    assert len(tables["orders"]) > 20


def assert_statistics(mine: list[dict[str, Any]], theirs: dict[str, Any]) -> None:
    """Compare statistics exactly, not nearly; what is no number is None on our side."""
    assert [each["name"] for each in mine] == list(theirs)
    for each in mine:
        value = theirs[each["name"]]
        expected = None if value is None or value != value else float(value)
        assert each["value"] == expected, each["name"]


def assert_rows(mine: pd.DataFrame, theirs: pd.DataFrame) -> None:
    """Compare a report cell by cell, but for ids that are drawn anew."""
    assert list(mine.columns) == list(theirs.columns)
    assert len(mine) == len(theirs)
    for name in set(mine.columns) - RANDOM_COLUMNS:
        pairs = zip(mine[name], theirs[name], strict=True)
        assert [str(a) for a, _ in pairs if not pd.isna(a)] == [
            str(b) if not isinstance(b, list | dict) else _json(b)
            for b in theirs[name]
            if isinstance(b, list | dict) or not pd.isna(b)
        ], name


def _json(value: Any) -> str:
    return json.dumps(value, default=str)


@pytest.mark.parametrize("chunk", [0, 997])
def test_bt01_bid_and_ask_minute_bars(tmp_path: Path, chunk: int) -> None:
    """BT-01a: USD/JPY bid and ask bars: every order, fill, position and statistic, exactly."""
    instrument = sample.currency_pair()
    data = [sample.bars(instrument, side, 6_000) for side in ("BID", "ASK")]
    catalog = sample.write(tmp_path / "catalog", [instrument], *data)
    bar_type = sample.BAR.format(instrument.id, "BID")
    config = {"instrument_id": str(instrument.id), "bar_type": bar_type, "trade_size": "100000"}
    component = sample.component("ema_cross", **config)
    figures, tables = ours(
        tmp_path, catalog, data, [instrument], [component], [sample.venue()], chunk
    )
    strategy = EmaCross(
        EmaCrossConfig(
            instrument_id=instrument.id,
            bar_type=BarType.from_str(bar_type),
            trade_size=Decimal(100_000),
        )
    )
    assert_equal(figures, tables, bare(data, [instrument], [strategy], ["SIM"]))


def test_bt01_trade_ticks(tmp_path: Path) -> None:
    """BT-01b: trade ticks with bars aggregated inside and bracket orders."""
    instrument = sample.currency_pair()
    data = [sample.trades(instrument, 30_000)]
    catalog = sample.write(tmp_path / "catalog", [instrument], *data)
    bar_type = f"{instrument.id}-1-MINUTE-LAST-INTERNAL"
    config = {"instrument_id": str(instrument.id), "bar_type": bar_type, "trade_size": "100000"}
    component = sample.component("breakout_bracket", **config)
    figures, tables = ours(tmp_path, catalog, data, [instrument], [component], [sample.venue()], 0)
    strategy = BreakoutBracket(
        BreakoutBracketConfig(
            instrument_id=instrument.id,
            bar_type=BarType.from_str(bar_type),
            trade_size=Decimal(100_000),
        )
    )
    assert_equal(figures, tables, bare(data, [instrument], [strategy], ["SIM"]))


@pytest.mark.parametrize("chunk", [0, 501])
def test_bt01_two_venues_two_strategies(tmp_path: Path, chunk: int) -> None:
    """BT-01c: two venues whose data share every timestamp, and a strategy on each."""
    one = sample.currency_pair("USD/JPY", "SIM")
    two = sample.currency_pair("EUR/USD", "ALT")
    data = [
        sample.bars(one, "BID", 4_000, seed=3),
        sample.bars(one, "ASK", 4_000, seed=3),
        sample.bars(two, "BID", 4_000, seed=4),
        sample.bars(two, "ASK", 4_000, seed=4),
    ]
    catalog = sample.write(tmp_path / "catalog", [one, two], *data)
    bar_types = [sample.BAR.format(i.id, "BID") for i in (one, two)]
    components = [
        sample.component(
            name, instrument_id=str(i.id), bar_type=bar_type, trade_size="10000", order_id_tag=tag
        )
        for name, i, bar_type, tag in zip(
            ("ema_cross", "mean_reversion"), (one, two), bar_types, ("001", "002"), strict=True
        )
    ]
    venues = [sample.venue("SIM"), sample.venue("ALT")]
    figures, tables = ours(tmp_path, catalog, data, [one, two], components, venues, chunk)
    strategies = [
        EmaCross(
            EmaCrossConfig(
                instrument_id=one.id,
                bar_type=BarType.from_str(bar_types[0]),
                trade_size=Decimal(10_000),
                order_id_tag="001",
            )
        ),
        MeanReversion(
            MeanReversionConfig(
                instrument_id=two.id,
                bar_type=BarType.from_str(bar_types[1]),
                trade_size=Decimal(10_000),
                order_id_tag="002",
            )
        ),
    ]
    assert_equal(figures, tables, bare(data, [one, two], strategies, ["SIM", "ALT"]))
