"""Makes the data client that a config asks for."""

import asyncio

from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import LiveClock, MessageBus
from nautilus_trader.live.factories import LiveDataClientFactory

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
