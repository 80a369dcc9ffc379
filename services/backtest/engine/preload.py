"""Imported by the forkserver, whose children run backtests: it imports, and does nothing else.

A parent that had touched a catalog would make its children hang in their own queries.
"""

import gc

from services.backtest.engine import child, run

__all__ = ["child", "run"]

gc.collect()
gc.freeze()  # children never look at what was imported, so its pages stay shared
