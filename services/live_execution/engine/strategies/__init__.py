"""Strategies, actors and execution algorithms of a trader, each stopped alone when it raises."""

from services.live_execution.engine.strategies.strategies import Strategies
from services.live_execution.engine.strategies.sweeping import DeskSweep, Sweep

__all__ = ["DeskSweep", "Strategies", "Sweep"]
