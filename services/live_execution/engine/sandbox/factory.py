"""Makes the client of a sandbox venue that fits its node's clock."""

import asyncio
from typing import Any

from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import Clock, MessageBus
from nautilus_trader.live.factories import LiveExecClientFactory

from meshkit.nautilus.data_time.clock import DataClock
from services.live_execution.engine.sandbox.client import ReplaySandbox, Sandbox
from services.live_execution.engine.sandbox.config import SandboxConfig


class SandboxFactory(LiveExecClientFactory):
    """Provides a factory for sandboxes that outlive their process."""

    @staticmethod
    def create(  # type: ignore[override] # Nautilus' own exec factories differ so too
        loop: asyncio.AbstractEventLoop,
        name: str,
        config: SandboxConfig,
        portfolio: Any,
        msgbus: MessageBus,
        cache: Cache,
        clock: Clock,
    ) -> Sandbox | ReplaySandbox:
        """Return a client on data time where the clock is of that, else on the wall's."""
        made = ReplaySandbox if isinstance(clock, DataClock) else Sandbox
        return made(
            loop=loop,
            portfolio=portfolio,
            msgbus=msgbus,
            cache=cache,
            clock=clock,
            config=config,
        )


SandboxFactory.__name__ = "SandboxLiveExecClientFactory"  # the one that gets a portfolio
