"""Credentials of venues: secrets go in, and never come out again."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import grpc.aio

from mesh.execution.v1 import credential_service_pb2 as rpc
from mesh.execution.v1.credential_service_pb2_grpc import CredentialServiceStub
from meshclient.data import timestamp
from meshclient.group import Group, new_request_id


class Credentials(Group):
    """``mesh.credentials``."""

    def _make_stub(self, channel: grpc.aio.Channel) -> Any:
        return CredentialServiceStub(channel)

    async def create(
        self,
        credential_id: str,
        adapter: str,
        secrets: Mapping[str, str],
        *,
        expire_time: datetime | None = None,
    ) -> rpc.Credential:
        """Store the secrets of an account, by the fields that ``mesh.feeds.venue(adapter)`` names.

        After ``expire_time`` they are not used; None means never.
        """
        request = self._change(rpc.CreateCredentialRequest, credential_id)
        request.adapter = adapter
        return await self._put("CreateCredential", request, secrets, expire_time)

    async def rotate(
        self,
        credential_id: str,
        secrets: Mapping[str, str],
        *,
        expire_time: datetime | None = None,
        etag: str = "",
    ) -> rpc.Credential:
        """Replace all secrets and the expiry; traders have the new ones from their next start."""
        request = self._change(rpc.UpdateCredentialRequest, credential_id)
        request.etag = etag
        return await self._put("UpdateCredential", request, secrets, expire_time)

    async def get(self, credential_id: str) -> rpc.Credential:
        """Return a credential without its secrets."""
        request = rpc.GetCredentialRequest(project=self._project, credential_id=credential_id)
        found: rpc.Credential = (await self._call("GetCredential", request)).credential
        return found

    async def list(self, *, limit: int | None = None) -> Sequence[rpc.Credential]:
        """Return credentials by id, without secrets."""
        request = rpc.ListCredentialsRequest(project=self._project)
        pages = self._pages("ListCredentials", request, "credentials", limit)
        return [each async for each in pages]

    async def delete(self, credential_id: str) -> None:
        """Remove a credential that no trader names."""
        await self._call(
            "DeleteCredential", self._change(rpc.DeleteCredentialRequest, credential_id)
        )

    def _change(self, kind: type[Any], credential_id: str) -> Any:
        return kind(request_id=new_request_id(), project=self._project, credential_id=credential_id)

    async def _put(
        self,
        method: str,
        request: Any,
        secrets: Mapping[str, str],
        expire_time: datetime | None,
    ) -> rpc.Credential:
        request.secrets.update(secrets)
        if expire_time is not None:
            request.expire_time.CopyFrom(timestamp(expire_time))
        found: rpc.Credential = (await self._call(method, request)).credential
        return found
