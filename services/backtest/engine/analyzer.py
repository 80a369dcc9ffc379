"""Makes Nautilus' PortfolioAnalyzer keep its records in lists until they are read.

Stock, each closed trade concatenates a pandas Series, so that an order costs more the more there
were. What is read in the end is the same: a test compares every statistic with the stock analyzer.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pandas as pd
from nautilus_trader.analysis.analyzer import PortfolioAnalyzer
from nautilus_trader.model.identifiers import PositionId
from nautilus_trader.model.objects import Currency, Money
from numpy import float64

_PENDING = "_mesh_pending_trades"
_RETURNS = "_mesh_pending_returns"


def install() -> None:
    """Replace the two costly methods, in this process and once."""
    stock: Any = PortfolioAnalyzer
    if hasattr(stock, "_mesh_installed"):
        return
    stock._mesh_installed = True
    stock._append_pnl_record = _append
    stock.realized_pnls = _after(_flush_trades, stock.realized_pnls)
    stock.add_position_return = _add_return
    stock.add_positions = _before(stock.add_positions, _flush_returns)
    stock.position_returns = _after(_flush_returns, stock.position_returns)
    stock.returns = _after(_flush_returns, stock.returns)


def _after(first: Callable[[Any], None], then: Callable[..., Any]) -> Callable[..., Any]:
    def both(self: Any, *args: Any, **kwargs: Any) -> Any:
        first(self)
        return then(self, *args, **kwargs)

    return both


def _before(first: Callable[..., Any], then: Callable[[Any], None]) -> Callable[..., Any]:
    def both(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = first(self, *args, **kwargs)
        then(self)
        return result

    return both


def _append(
    self: Any,
    pnls: dict[Currency, pd.Series],
    timestamps: dict[Currency, pd.Series],
    position_id: PositionId,
    realized_pnl: Money,
    ts_event: int | None,
) -> None:
    record = (position_id.value, realized_pnl.as_double(), ts_event)
    pending = self.__dict__.setdefault(_PENDING, {})
    # Keyed by the dicts that stock code would have changed: a reset replaces them.
    key = (id(pnls), realized_pnl.currency)
    pending.setdefault(key, (pnls, timestamps, []))[2].append(record)


def _flush_trades(self: Any) -> None:
    for (_, currency), (pnls, timestamps, records) in self.__dict__.pop(_PENDING, {}).items():
        index = [position_id for position_id, _, _ in records]
        values = pd.Series([pnl for _, pnl, _ in records], index=index, dtype=float64)
        times = pd.Series(
            [None if ts is None else int(ts) for _, _, ts in records], index=index, dtype=object
        )
        pnls[currency] = _joined(pnls.get(currency), values)
        timestamps[currency] = _joined(timestamps.get(currency), times)


def _joined(existing: pd.Series | None, more: pd.Series) -> pd.Series:
    return more if existing is None else pd.concat([existing, more])


def _add_return(self: Any, timestamp: datetime, value: float) -> None:
    pending = self.__dict__.setdefault(_RETURNS, {})
    pending[timestamp] = pending.get(timestamp, 0.0) + float(value)


def _flush_returns(self: Any) -> None:
    pending = self.__dict__.pop(_RETURNS, None)
    if not pending:
        return
    returns = self._position_returns
    fresh = {}
    for timestamp, value in pending.items():
        if timestamp in returns.index:
            returns.loc[timestamp] += value
        else:
            fresh[timestamp] = value
    if fresh:
        more = pd.Series(list(fresh.values()), index=pd.DatetimeIndex(list(fresh)), dtype=float64)
        self._position_returns = more if returns.empty else pd.concat([returns, more])
    self._sync_returns_alias()
