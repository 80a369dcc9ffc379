"""Strategies that ask for history and subscribe; handed to traders as user code."""

from datetime import timedelta
from typing import Any

from nautilus_trader.config import StrategyConfig
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.trading.strategy import Strategy


class WarmedConfig(StrategyConfig, frozen=True):
    """``order`` is what it does: ``subscribe first``, ``request first`` or ``only subscribe``."""

    bar_type: BarType
    order: str


class Warmed(Strategy):
    """Notes the bars that it hears, of history and live."""

    def on_start(self) -> None:
        """Ask and subscribe."""
        self.seen: list[int] = []
        bar_type, order = self.config.bar_type, self.config.order
        if order != "request first":
            self.subscribe_bars(bar_type)
        if order != "only subscribe":
            start = self.clock.utc_now() - timedelta(hours=1)
            self.request_bars(bar_type, start, callback=self.on_answer)

    def on_answer(self, request_id: Any) -> None:
        """Subscribe, unless that is done."""
        if self.config.order == "request first":
            self.subscribe_bars(self.config.bar_type)

    def on_historical_data(self, data: Any) -> None:
        """Note a bar of history."""
        if isinstance(data, Bar):
            self.seen.append(data.ts_event)

    def on_bar(self, bar: Bar) -> None:
        """Note a live bar."""
        self.seen.append(bar.ts_event)
