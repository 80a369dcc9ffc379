"""Contracts ↔ domain, pure, both ways."""

from collections.abc import Mapping
from datetime import UTC

from mesh.common.v1.identifiers_pb2 import ResourceMeta
from mesh.gateway.v1 import auth_pb2 as pb
from mesh.gateway.v1 import auth_service_pb2 as rpc
from meshkit.times import from_datetime
from services.gateway.domain import ApiKey, Secret


def draft(request: rpc.CreateApiKeyRequest, secret: Secret, *, owner: str, project: str) -> ApiKey:
    """Return the key that a request asks for."""
    beside = [p for p in request.projects if p != project]
    expires = request.HasField("expire_time")
    return ApiKey(
        api_key_id=secret.api_key_id,
        owner=owner,
        project=project,
        subject=request.subject or f"key-{secret.api_key_id}",
        scopes=tuple(sorted(request.scopes)),
        projects=(project, *beside),
        secret_hash=b"",
        display_name=request.display_name,
        expire_time=request.expire_time.ToDatetime(UTC) if expires else None,
    )


def api_key(value: ApiKey) -> pb.ApiKey:
    """Return a key as a message; it has nothing of the secret."""
    return pb.ApiKey(
        api_key_id=value.api_key_id,
        display_name=value.display_name,
        subject=value.subject,
        scopes=value.scopes,
        projects=value.projects,
        expire_time=from_datetime(value.expire_time),
        revoke_time=from_datetime(value.revoke_time),
        last_use_time=from_datetime(value.last_use_time),
        meta=ResourceMeta(
            owner=value.owner,
            project=value.project,
            create_time=from_datetime(value.create_time),
            update_time=from_datetime(value.update_time),
        ),
    )


def without_secret(response: rpc.CreateApiKeyResponse) -> rpc.CreateApiKeyResponse:
    """Return the answer to a repetition."""
    return rpc.CreateApiKeyResponse(api_key=response.api_key, secret_shown=True)


def web_key(value: Mapping[str, str]) -> pb.JsonWebKey:
    """Return a public key as a message."""
    return pb.JsonWebKey(**value)
