"""What a trader's process is started with."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from meshkit.database import Database
from services.live_execution.config import Config
from services.live_execution.domain import Trader
from services.live_execution.launching.domain import Kept
from services.live_execution.launching.store import KeepingStore
from services.live_execution.logs import TraderLogs
from services.live_execution.names import TraderKey
from services.live_execution.store import TraderStore
from services.live_execution.trader.ports import Component, Ticket

log = logging.getLogger("live_execution.launching")

PATIENCE_S = 5.0
"""What the auth service has to answer."""


@dataclass(frozen=True)
class Access:
    """The way to Redis, and a key to the market data of a trader's project; ``api_key_id`` empty
    when it is shared.
    """

    api_key_id: str
    token: str = field(repr=False)
    redis_url: str = field(repr=False)


class Keys(Protocol):
    """Makes keys (``trader_keys.py``)."""

    async def make(self, project: str, trader_id: str) -> tuple[str, str]:
        """Return id and secret of a new key."""

    async def revoke(self, project: str, api_key_id: str) -> None:
        """Refuse a key from now on."""


class Users(Protocol):
    """Gives each trader a user in Redis (``redis_users.py``)."""

    async def give(self, key: TraderKey) -> str:
        """Return the URL for a trader's process. Raises ``StoreUnavailable``."""


class Tickets:
    """Makes tickets; ``keys`` None gives every trader the token of the configuration."""

    def __init__(
        self,
        config: Config,
        database: Database,
        keeping: KeepingStore,
        traders: TraderStore,
        logs: TraderLogs,
        keys: Keys | None,
        users: Users,
    ) -> None:
        self._config, self._database, self._keeping = config, database, keeping
        self._traders, self._logs, self._keys = traders, logs, keys
        self._users = users

    async def access(self, kept: Kept) -> Access | None:
        """Return a new key, None when none can be had now; the former one is revoked.

        Raises ``StoreUnavailable`` when Redis was not reached yet.
        """
        key = kept.trader.key
        redis_url = await self._users.give(key)
        if self._keys is None:
            return Access("", self._config.trader_token, redis_url)
        await self.revoke(key, kept.api_key_id)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return Access(*await self._keys.make(*key), redis_url)
        except Exception as error:  # whatever a service that is away raises, or its key's file
            _warn("no key for a trader", key, error)
            return None

    async def revoke(self, key: TraderKey, api_key_id: str) -> None:
        """Refuse a key that no process uses; if that fails, it is tried before the next start."""
        if self._keys is None or not api_key_id:
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._keys.revoke(key.project, api_key_id)
            async with self._database.connection() as tx:
                await self._keeping.forget_api_key(tx, key, api_key_id)
        except Exception as error:  # the same
            _warn("the key of a trader is not revoked", key, error)

    async def make(self, tx: Any, trader: Trader, access: Access) -> Ticket:
        """Return the ticket of a trader as it is in this transaction."""
        config = self._config
        components = () if trader.safety_mode else await self._traders.components(tx, trader.key)
        return Ticket(
            project=trader.project,
            trader_id=trader.trader_id,
            spec=trader.spec,
            components=tuple(msgspec.convert(each, Component) for each in components),
            journal=str(self._logs.home(trader) / "journal"),
            database_url=config.trader_database_url,
            redis_url=access.redis_url,
            mesh_address=config.trader_mesh_address,
            mesh_token=access.token,
            safety_mode=trader.safety_mode,
            lease_s=config.launching.lease_s,
            margin_s=config.launching.margin_s,
        )


def _warn(text: str, key: TraderKey, error: Exception) -> None:
    log.warning(text, extra={**key._asdict(), "error": type(error).__name__})
