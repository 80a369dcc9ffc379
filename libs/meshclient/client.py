"""``MeshClient``: one mesh, one API key, all its services."""

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from mesh.gateway.v1 import auth_service_pb2 as rpc
from mesh.gateway.v1 import mesh_service_pb2
from mesh.gateway.v1.auth_service_pb2_grpc import AuthServiceStub
from mesh.gateway.v1.mesh_service_pb2_grpc import MeshServiceStub
from meshclient import profiles
from meshclient.backtests import Backtests
from meshclient.connection import Connection, open_channel
from meshclient.credentials import Credentials
from meshclient.data import Data
from meshclient.errors import MeshClientError
from meshclient.feeds import Feeds
from meshclient.history_jobs import HistoryJobs
from meshclient.instruments import Instruments
from meshclient.keys import Keys
from meshclient.market_data import MarketData
from meshclient.orders import Orders
from meshclient.replay import Replay
from meshclient.safety import Safety
from meshclient.strategies import Strategies
from meshclient.tokens import Token, TokenKeeper
from meshclient.traders import Traders

_SERVICES = (
    "mesh.gateway.v1.AuthService",
    "mesh.gateway.v1.MeshService",
    "mesh.strategy.v1.StrategyService",
    "mesh.marketdata.v1.HistoryService",
    "mesh.marketdata.v1.InstrumentService",
    "mesh.marketdata.v1.FeedService",
    "mesh.marketdata.v1.MarketDataService",
    "mesh.marketdata.v1.HistoryJobService",
    "mesh.backtest.v1.BacktestService",
    "mesh.execution.v1.TraderService",
    "mesh.execution.v1.OrderService",
    "mesh.execution.v1.SafetyService",
    "mesh.execution.v1.CredentialService",
)


class MeshClient:
    """An async client; use it as a context manager, within a running event loop.

    ``strategies``, ``data``, ``instruments``, ``feeds``, ``market_data``, ``history_jobs``,
    ``backtests``, ``traders``, ``orders``, ``safety``, ``credentials`` and ``keys`` hold the
    calls. Every failure is a ``MeshClientError``.
    """

    def __init__(self, profile: profiles.Profile, *, project: str | None = None) -> None:
        self.profile = profile
        self.project = profile.project if project is None else project
        self._channel = open_channel(profile.address, *_SERVICES)
        self._auth: Any = AuthServiceStub(self._channel)
        self._info: Any = MeshServiceStub(self._channel)
        self._connection = Connection(TokenKeeper(self._exchange), address=profile.address)
        shared = (self._connection, self._channel, self.project)
        self.strategies = Strategies(*shared)
        self.data = Data(*shared)
        self.instruments = Instruments(*shared)
        self.feeds = Feeds(*shared)
        self.market_data = MarketData(*shared)
        self.history_jobs = HistoryJobs(*shared)
        self.backtests = Backtests(*shared)
        self.replay = Replay(*shared)
        self.traders = Traders(*shared)
        self.orders = Orders(*shared)
        self.safety = Safety(*shared)
        self.credentials = Credentials(*shared)
        self.keys = Keys(*shared)

    @classmethod
    def from_profile(
        cls, name: str = "", *, project: str | None = None, env: Mapping[str, str] = os.environ
    ) -> Self:
        """Return a client of a profile: the named one, or the one that the environment means."""
        return cls(profiles.load(name, env), project=project)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def who_am_i(self) -> rpc.WhoAmIResponse:
        """Return subject, scopes and projects of the API key."""
        reply: rpc.WhoAmIResponse = await self._connection.unary(
            self._auth.WhoAmI, rpc.WhoAmIRequest()
        )
        return reply

    async def info(self) -> mesh_service_pb2.GetMeshInfoResponse:
        """Return the versions of the mesh; needs no API key."""
        reply: mesh_service_pb2.GetMeshInfoResponse = await self._connection.open(
            self._info.GetMeshInfo, mesh_service_pb2.GetMeshInfoRequest()
        )
        return reply

    async def _exchange(self) -> Token:
        """Exchange the API key for a token of a few minutes."""
        if not self.profile.api_key:
            raise MeshClientError(
                f"Profile '{self.profile.name}' has no API key.",
                code="UNAUTHENTICATED",
                reason="PROFILE_MISSING",
            )
        request = rpc.ExchangeApiKeyRequest(api_key=self.profile.api_key)
        reply = await self._connection.open(self._auth.ExchangeApiKey, request)
        return Token(reply.token, reply.expire_time.seconds)
