"""Makes the data client that a config asks for."""

import asyncio
from collections.abc import Callable
from typing import Any

from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import LiveClock, MessageBus
from nautilus_trader.live.factories import LiveDataClientFactory

from meshclient.client import MeshClient
from meshnautilus.client import MeshDataClient
from meshnautilus.config import MeshDataClientConfig
from meshnautilus.live import LiveMeshDataClient
from meshnautilus.lockstep import LockstepMeshDataClient


class MeshDataClientFactory(LiveDataClientFactory):
    """Provides a factory for ``MeshDataClient`` instances."""

    @staticmethod
    def create(
        loop: asyncio.AbstractEventLoop,
        name: str,
        config: MeshDataClientConfig,  # type: ignore[override] # a factory's own, as Nautilus' are
        msgbus: MessageBus,
        cache: Cache,
        clock: LiveClock,
    ) -> MeshDataClient:
        """Return a client of live data, or one that plays in lockstep."""
        made = LiveMeshDataClient if config.replay is None else LockstepMeshDataClient
        return made(loop, name, config, msgbus, cache, clock)


def factory_with(opener: Callable[[], MeshClient]) -> type[MeshDataClientFactory]:
    """Return a factory whose clients have their connection from ``opener``, not from a profile."""

    class Factory(MeshDataClientFactory):
        @staticmethod
        def create(*arguments: Any, **named: Any) -> MeshDataClient:
            made = MeshDataClientFactory.create(*arguments, **named)
            made.opener = opener
            return made

    return Factory
