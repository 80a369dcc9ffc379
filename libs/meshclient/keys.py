"""API keys of the mesh: make, list, revoke."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio

from mesh.gateway.v1 import auth_pb2 as pb
from mesh.gateway.v1 import auth_service_pb2 as rpc
from mesh.gateway.v1.auth_service_pb2_grpc import AuthServiceStub
from meshclient.group import Group, new_request_id


class Keys(Group):
    """``mesh.keys``; needs the scope ``auth.admin``."""

    def _make_stub(self, channel: grpc.aio.Channel) -> Any:
        return AuthServiceStub(channel)

    async def create(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        projects: Sequence[str] = (),
        subject: str = "",
        lifetime: timedelta | None = None,
    ) -> rpc.CreateApiKeyResponse:
        """Make a key; its ``secret`` is in this answer and never again.

        No projects means the caller's own; no subject likewise; no lifetime means for ever.
        """
        request = rpc.CreateApiKeyRequest(
            request_id=new_request_id(),
            project=self._project,
            display_name=name,
            scopes=scopes,
            projects=projects,
            subject=subject,
        )
        if lifetime is not None:
            request.expire_time.FromDatetime(datetime.now(UTC) + lifetime)
        reply: rpc.CreateApiKeyResponse = await self._call("CreateApiKey", request)
        return reply

    async def list(self, *, limit: int | None = None) -> Sequence[pb.ApiKey]:
        """Return the keys that the caller may see, without secrets."""
        request = rpc.ListApiKeysRequest(project=self._project)
        pages = self._pages("ListApiKeys", request, "api_keys", limit)
        return [each async for each in pages]

    async def revoke(self, key_id: str) -> pb.ApiKey:
        """Refuse a key from now on; tokens made of it live out their minutes."""
        request = rpc.RevokeApiKeyRequest(request_id=new_request_id(), api_key_id=key_id)
        key: pb.ApiKey = (await self._call("RevokeApiKey", request)).api_key
        return key
