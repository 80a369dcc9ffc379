"""Domain → contract, pure; there is no way for a secret."""

from mesh.common.v1.identifiers_pb2 import ResourceMeta
from mesh.execution.v1 import credential_service_pb2 as rpc
from meshkit.times import from_datetime
from services.live_execution.credentials.domain import Credential


def credential(value: Credential) -> rpc.Credential:
    """Return a credential as a message."""
    return rpc.Credential(
        credential_id=value.credential_id,
        adapter=value.adapter,
        secret_fields=value.fields,
        expire_time=from_datetime(value.expire_time),
        rotated_time=from_datetime(value.rotated_time),
        meta=ResourceMeta(
            owner=value.owner,
            project=value.project,
            create_time=from_datetime(value.create_time),
            update_time=from_datetime(value.update_time),
            etag=value.etag,
        ),
    )
