"""Execution clients of sandbox venues, on the wall's time and on that of the data."""

from collections.abc import Callable
from functools import partial
from typing import Any

from nautilus_trader.adapters.sandbox import execution as stock
from nautilus_trader.adapters.sandbox.execution import SandboxExecutionClient
from nautilus_trader.backtest.exchange_errors import *  # placeholder
