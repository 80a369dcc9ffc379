"""Records of an analyzer, made from a seed, and what it makes of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from nautilus_trader.analysis import (
    AvgWinner,
    Expectancy,
    PortfolioAnalyzer,
    ProfitFactor,
    ReturnsAverageLoss,
    SharpeRatio,
    WinRate,
)
from nautilus_trader.model.currencies import EUR, USD
from nautilus_trader.model.identifiers import PositionId
from nautilus_trader.model.objects import Money

from services.backtest.engine import analyzer

STATISTICS: tuple[Any, ...] = (
    WinRate,
    Expectancy,
    ProfitFactor,
    AvgWinner,
    SharpeRatio,
    ReturnsAverageLoss,
)
START = datetime(2024, 1, 1, tzinfo=UTC)
EARLIER = 1_000
TRADES = 200
READ_AT = (0, 50, 51, TRADES - 1)
"""After which trades somebody looks: what follows must be added to what was read."""


def analysed(*, installed: bool) -> list[Any]:
    """Return what an analyzer says of the trades, at each look; ``installed`` with our parts."""
    if installed:
        analyzer.install()
        analyzer.install()  # the second time does nothing
    made = PortfolioAnalyzer()
    for statistic in STATISTICS:
        made.register_statistic(statistic())
    _record(made, np.random.default_rng(EARLIER), [])
    made.reset()
    said: list[Any] = []
    _record(made, np.random.default_rng(1), said)
    return said


def _record(made: Any, random: Any, said: list[Any]) -> None:
    for number in range(TRADES):
        currency = USD if number % 3 else EUR
        pnl = Money(round(random.normal(1, 20), 2), currency)
        position_id = PositionId(f"P-{number % 150}")  # some more than once, as with NETTING
        moment = START + timedelta(hours=number // 2 * 9)  # two trades at each moment
        if number % 5:
            made.record_trade(position_id, pnl, number)
        else:
            made.add_trade(position_id, pnl)
        made.add_return(moment, float(random.normal(0, 0.01)))
        if number in READ_AT:
            said.append(_said(made))


def _said(made: Any) -> list[Any]:
    series = [made.realized_pnls(USD), made.realized_pnls(EUR), made.returns()]
    return [
        [None if s is None else ([str(i) for i in s.index], s.tolist()) for s in series],
        repr(made.get_performance_stats_returns()),
        repr(made.get_performance_stats_general()),
        [repr(made.get_performance_stats_pnls(currency)) for currency in (USD, EUR)],
    ]
