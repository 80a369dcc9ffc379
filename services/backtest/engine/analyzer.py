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
    stock.add_position_return = _batched(stock.add_position_return)
    stock.add_positions = _batch(stock.add_positions)


def _after(first: Callable[[Any], None], then: Callable[..., Any]) -> Callable[..., Any]:
    def both(self: Any, *args: Any, **kwargs: Any) -> Any:
        first(self)
        return then(self, *args, **kwargs)

    return both


def _batch(stock: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Add the returns of many positions at once; outside of that each is added as in stock."""

    def add_positions(self: Any, positions: Any) -> None:
        self.__dict__[_RETURNS] = {}
        try:
            stock(self, positions)
        finally:
            _add_returns(self, self.__dict__.pop(_RETURNS))

    return add_positions


def _batched(stock: Callable[[Any, datetime, float], None]) -> Callable[..., None]:
    def add_position_return(self: Any, timestamp: datetime, value: float) -> None:
        pending = self.__dict__.get(_RETURNS)
        if pending is None:
            stock(self, timestamp, value)
        else:
            pending.setdefault(timestamp, []).append(float(value))

    return add_position_return


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


def _add_returns(self: Any, pending: dict[datetime, list[float]]) -> None:
    if not pending:
        return
    returns = self._position_returns
    sums = {}
    for timestamp, values in pending.items():
        # In stock's order, to its last bit: floats do not add up alike in another.
        before = float(returns.loc[timestamp]) if timestamp in returns.index else 0.0
        sums[timestamp] = sum(values, start=before)
    more = pd.Series(list(sums.values()), index=pd.DatetimeIndex(list(sums)), dtype=float64)
    known = more.index.isin(returns.index)
    returns.loc[more.index[known]] = more[known]
    fresh = more[~known]
    self._position_returns = fresh if returns.empty else pd.concat([returns, fresh])
    self._sync_returns_alias()
