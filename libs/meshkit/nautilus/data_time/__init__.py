"""A Nautilus TradingNode that runs on the time of its data, and what plays data into it.

A stock TradingNode has the wall's clock only. A ``DataTimeNode`` has clocks that are moved by each
tick's ``ts_init``, so that timers, internal bars, expiry and timestamps come from the data, in the
order of a backtest. Its ``driver`` plays data into it, in lockstep or at a pace.
"""

from meshkit.nautilus.data_time.clock import DataTimeError, Timeline, timeline_of
from meshkit.nautilus.data_time.driver import DataTimeDriver, NodeNotStarted, driver_of
from meshkit.nautilus.data_time.node import DataTimeNode
from meshkit.nautilus.data_time.pace import Pace

__all__ = [
    "DataTimeDriver",
    "DataTimeError",
    "DataTimeNode",
    "NodeNotStarted",
    "Pace",
    "Timeline",
    "driver_of",
    "timeline_of",
]
