"""RPC methods of the auth service and of the mesh's own."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.gateway.v1 import auth_service_pb2 as rpc
from mesh.gateway.v1 import mesh_service_pb2 as mesh_rpc
from mesh.gateway.v1.auth_service_pb2_grpc import AuthServiceServicer
from mesh.gateway.v1.mesh_service_pb2_grpc import MeshServiceServicer
from meshkit.context import caller
from meshkit.database import Database
from meshkit.idempotency import once
from meshkit.paging import page
from services.gateway import convert
from services.gateway.domain import ApiKeys, Secret
from services.gateway.signing import KeyRing
from services.gateway.store import KeyStore


class AuthServicer(AuthServiceServicer):
    """Unpack, call, pack."""

    def __init__(self, database: Database, keys: ApiKeys, store: KeyStore, ring: KeyRing) -> None:
        self._database = database
        self._keys = keys
        self._store = store
        self._ring = ring

    async def ExchangeApiKey(self, request: rpc.ExchangeApiKeyRequest, _: Any) -> Any:
        """Turn an API key into a token."""
        now = datetime.now(UTC)
        async with self._database.connection() as connection:
            key = await self._keys.prove(connection, request.api_key, now)
        granted = key.narrowed(request.scopes, request.project)
        signed = self._ring.sign(granted, now)
        return rpc.ExchangeApiKeyResponse(
            token=signed.token,
            expire_time=Timestamp(seconds=signed.expire_time),
            scopes=granted.scopes,
            projects=granted.projects,
        )

    async def CreateApiKey(self, request: rpc.CreateApiKeyRequest, _: Any) -> Any:
        """Make a key and show its secret, once."""
        who = caller()
        project = who.project(request.project)

        async def work(tx: Any) -> rpc.CreateApiKeyResponse:
            secret = Secret.new()
            draft = convert.draft(request, secret, owner=who.subject, project=project)
            made = await self._keys.create(tx, draft, secret, who.scopes, who.projects)
            return rpc.CreateApiKeyResponse(api_key=convert.api_key(made), secret=secret.text())

        return await once(
            self._database,
            request,
            rpc.CreateApiKeyResponse,
            work,
            redact=convert.without_secret,
        )

    async def GetApiKey(self, request: rpc.GetApiKeyRequest, _: Any) -> Any:
        """Return a key without its secret."""
        async with self._database.connection() as connection:
            found = await self._keys.get(connection, request.api_key_id, caller().projects)
        return rpc.GetApiKeyResponse(api_key=convert.api_key(found))

    async def ListApiKeys(self, request: rpc.ListApiKeysRequest, _: Any) -> Any:
        """Return the keys of a project, the oldest first."""
        project = caller().project(request.project)
        wanted = page(request)
        after = wanted.after
        start = (datetime.fromisoformat(after[0]), after[1]) if after else None
        async with self._database.connection() as connection:
            rows = await self._store.page(connection, project, start, wanted.size + 1)
        rows, token = wanted.cut(rows, key=lambda k: (str(k.create_time), k.api_key_id))
        return rpc.ListApiKeysResponse(
            api_keys=[convert.api_key(row) for row in rows], next_page_token=token
        )

    async def RevokeApiKey(self, request: rpc.RevokeApiKeyRequest, _: Any) -> Any:
        """End a key for ever."""
        projects = caller().projects

        async def work(tx: Any) -> rpc.RevokeApiKeyResponse:
            found = await self._keys.revoke(tx, request.api_key_id, projects)
            return rpc.RevokeApiKeyResponse(api_key=convert.api_key(found))

        return await once(self._database, request, rpc.RevokeApiKeyResponse, work)

    async def GetJwks(self, request: rpc.GetJwksRequest, _: Any) -> Any:
        """Return the public keys."""
        return rpc.GetJwksResponse(keys=[convert.web_key(key) for key in self._ring.jwks()])

    async def WhoAmI(self, request: rpc.WhoAmIRequest, _: Any) -> Any:
        """Return what the token says."""
        who = caller()
        return rpc.WhoAmIResponse(
            subject=who.subject,
            scopes=sorted(who.scopes),
            projects=who.projects,
            expire_time=Timestamp(seconds=int(who.expires_at)),
        )


class MeshServicer(MeshServiceServicer):
    """Says what this mesh is."""

    def __init__(self, info: Callable[[], mesh_rpc.GetMeshInfoResponse]) -> None:
        self._info = info

    async def GetMeshInfo(self, request: mesh_rpc.GetMeshInfoRequest, _: Any) -> Any:
        """Return versions, services and limits."""
        return self._info()
