"""An API key for each start of a trader, with which its process reads its project's market data."""

import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc.aio

from mesh.gateway.v1 import auth_service_pb2 as rpc
from mesh.gateway.v1.auth_service_pb2_grpc import AuthServiceStub

SCOPES = ("data.read", "data.write")
"""What a trader may do in the mesh: read market data and subscribe to it."""

AUTH = "mesh.gateway.v1.AuthService"

Channel = Callable[[str], grpc.aio.Channel]


class TraderKeys:
    """Makes and revokes the keys, by the service's own key.

    Parameters
    ----------
    open_channel
        Returns a channel to the auth service on which every call carries the given token.
    key_file
        File with the service's own API key (``MESH_SERVICE_KEY_FILE``).

    """

    def __init__(self, open_channel: Channel, key_file: Path) -> None:
        self._open_channel = open_channel
        self._key_file = key_file

    async def make(self, project: str, trader_id: str) -> tuple[str, str]:
        """Return the id and the secret of a new key. It is good until it is revoked."""

        async def work(stub: Any) -> tuple[str, str]:
            made = await stub.CreateApiKey(
                rpc.CreateApiKeyRequest(
                    request_id=str(uuid.uuid4()),
                    project=project,
                    display_name=f"trader {trader_id}",
                    subject=f"trader-{trader_id}",
                    scopes=SCOPES,
                )
            )
            return made.api_key.api_key_id, made.secret

        return await self._as_service(project, work)

    async def revoke(self, project: str, api_key_id: str) -> None:
        """Refuse a key from now on."""

        async def work(stub: Any) -> None:
            await stub.RevokeApiKey(
                rpc.RevokeApiKeyRequest(request_id=str(uuid.uuid4()), api_key_id=api_key_id)
            )

        await self._as_service(project, work)

    async def _as_service[T](self, project: str, work: Callable[[Any], Awaitable[T]]) -> T:
        """Call as this service, with a token for the one project."""
        key = self._key_file.read_text().strip()
        async with self._open_channel("") as public:
            request = rpc.ExchangeApiKeyRequest(api_key=key, project=project)
            stub: Any = AuthServiceStub(public)
            token = (await stub.ExchangeApiKey(request)).token
        async with self._open_channel(token) as channel:
            return await work(AuthServiceStub(channel))
