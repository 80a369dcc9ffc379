"""What an engine has after a run → plain figures and Parquet tables."""

import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.model.identifiers import Venue

CURVE_POINTS = 500
"""Points of a curve in the resource; the whole is a table."""


def figures(engine: BacktestEngine, venues: list[str]) -> dict[str, Any]:
    """Return the figures of a result in JSON values; a statistic that is no number is None."""
    result = engine.get_result()
    analyzer = engine.portfolio.analyzer
    return {
        "backtest_start": result.backtest_start,
        "backtest_end": result.backtest_end,
        "iterations": result.iterations,
        "total_events": result.total_events,
        "total_orders": result.total_orders,
        "total_positions": result.total_positions,
        "accounts": [_account(engine, venue) for venue in venues],
        "pnls": {code: _statistics(stats) for code, stats in result.stats_pnls.items()},
        "returns": _statistics(result.stats_returns),
        "general": _statistics(analyzer.get_performance_stats_general()),
    }


def write_tables(engine: BacktestEngine, venues: list[str], folder: Path) -> dict[str, Any]:
    """Write every table as Parquet; returns rows by table, and the curves in short."""
    trader = engine.trader
    accounts = [trader.generate_account_report(Venue(v)).assign(venue=v) for v in venues]
    equity = _equity(engine, venues)
    tables = {
        "orders": _table(trader.generate_orders_report()),
        "fills": _table(trader.generate_fills_report()),
        "positions": _table(trader.generate_positions_report()),
        "account": _table(pd.concat(accounts) if accounts else pd.DataFrame()),
        "equity": equity,
    }
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet")
    returns = engine.portfolio.analyzer.returns()
    pq.write_table(_returns(returns), folder / "returns.parquet")
    return {
        "table_rows": {name: table.num_rows for name, table in tables.items()},
        "curves": _curves(equity),
    }


def _account(engine: BacktestEngine, venue: str) -> dict[str, Any]:
    account = engine.cache.account_for_venue(Venue(venue))
    return {
        "venue": venue,
        "account_id": account.id.value,
        "starting_balances": _money(account.starting_balances().values()),
        "balances": _money(account.balances_total().values()),
    }


def _money(values: Iterable[Any]) -> list[dict[str, str]]:
    return [{"amount": str(m.as_decimal()), "currency": m.currency.code} for m in values]


def _statistics(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "value": _number(value)} for name, value in values.items()]


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _table(report: pd.DataFrame) -> pa.Table:
    """Return a report as a table: its index is a column, and objects are text, exactly."""
    if report.empty and not len(report.columns):
        return pa.table({})
    frame = report.reset_index()
    return pa.table({str(name): _column(frame[name]) for name in frame.columns})


def _column(values: pd.Series) -> pa.Array:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return pa.array(values, type=pa.timestamp("ns", tz="UTC"))
    if values.dtype != object:
        return pa.array(values, from_pandas=True)
    kept = [v for v in values if not _missing(v)]
    if kept and all(isinstance(v, pd.Timestamp) for v in kept):
        return pa.array(
            [None if _missing(v) else v.value for v in values], type=pa.timestamp("ns", tz="UTC")
        )
    return pa.array([_text(v) for v in values], type=pa.string())


def _missing(value: Any) -> bool:
    return value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def _text(value: Any) -> str | None:
    if _missing(value):
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=str)
    return str(value)


def _equity(engine: BacktestEngine, venues: list[str]) -> pa.Table:
    """Return time, currency, equity and drawdown: balances summed over venues at each change."""
    changes: list[tuple[int, int, str, Decimal]] = []
    for order, venue in enumerate(venues):
        for state in engine.cache.account_for_venue(Venue(venue)).events:
            for balance in state.balances:
                total = balance.total.as_decimal()
                changes.append((state.ts_event, order, balance.currency.code, total))
    changes.sort(key=lambda change: (change[0], change[1]))
    held: dict[tuple[int, str], Decimal] = {}
    rows: dict[str, dict[int, float]] = {}
    for ts, order, currency, total in changes:
        held[order, currency] = total
        equity = sum(v for (_, code), v in held.items() if code == currency)
        rows.setdefault(currency, {})[ts] = float(equity)
    parts = [_curve_table(currency, points) for currency, points in rows.items()]
    return pa.concat_tables(parts) if parts else _curve_table("", {})


def _curve_table(currency: str, points: Mapping[int, float]) -> pa.Table:
    equity = np.fromiter(points.values(), dtype=float, count=len(points))
    peak = np.maximum.accumulate(equity) if len(equity) else equity
    with np.errstate(divide="ignore", invalid="ignore"):
        drawdown = np.where(peak > 0, equity / peak - 1.0, 0.0)
    return pa.table(
        {
            "ts": pa.array(list(points), type=pa.int64()).cast(pa.timestamp("ns", tz="UTC")),
            "currency": pa.array([currency] * len(points), type=pa.string()),
            "equity": pa.array(equity, type=pa.float64()),
            "drawdown": pa.array(drawdown, type=pa.float64()),
        }
    )


def _curves(equity: pa.Table) -> list[dict[str, Any]]:
    curves = []
    for currency in equity["currency"].unique().to_pylist():
        part = equity.filter(pa.compute.equal(equity["currency"], currency))
        picked = _picked(part["equity"].to_numpy())
        chosen = part.take(picked)
        curves.append(
            {
                "currency": currency,
                "ts": chosen["ts"].cast(pa.int64()).to_pylist(),
                "equity": chosen["equity"].to_pylist(),
                "drawdown": chosen["drawdown"].to_pylist(),
            }
        )
    return curves


def _picked(equity: np.ndarray) -> list[int]:
    """Return indices of at most ``CURVE_POINTS`` points: ends, and lowest and highest of each
    part.
    """
    count = len(equity)
    if count <= CURVE_POINTS:
        return list(range(count))
    chosen = {0, count - 1}
    for part in np.array_split(np.arange(count), CURVE_POINTS // 2 - 1):
        chosen.add(int(part[equity[part].argmin()]))
        chosen.add(int(part[equity[part].argmax()]))
    return sorted(chosen)


def _returns(returns: pd.Series) -> pa.Table:
    return pa.table(
        {
            "ts": pa.array([int(pd.Timestamp(t).value) for t in returns.index], type=pa.int64()),
            "value": pa.array([float(v) for v in returns], type=pa.float64()),
        }
    )
