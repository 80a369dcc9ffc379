"""Sandbox venues that behave as those of a backtest and outlive their trader's process."""

from services.live_execution.engine.sandbox.config import SandboxConfig, sandbox_config
from services.live_execution.engine.sandbox.factory import SandboxFactory
from services.live_execution.engine.sandbox.mending import mend, sandboxes
from services.live_execution.engine.sandbox.revival import market, revive

__all__ = [
    "SandboxConfig",
    "SandboxFactory",
    "market",
    "mend",
    "revive",
    "sandbox_config",
    "sandboxes",
]
