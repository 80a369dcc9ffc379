"""What Envoy says itself: the same typed errors as the services, for gRPC and for REST.

The transcoder and gRPC-Web stand before every filter that refuses, so a refusal is a gRPC status
with its details in ``grpc-status-details-bin``, and they make JSON or a gRPC-Web trailer of it.
Only what is refused before a call is known to be gRPC is written as JSON here.
"""

import base64
from typing import Any

from meshkit.errors import (
    DeadlineExceeded,
    InvalidField,
    MeshError,
    ResourceExhausted,
    ScopeMissing,
    ServiceUnavailable,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    Unimplemented,
)
from meshkit.status import DETAILS, to_status
from services.gateway.envoy.proto import Json, header, typed

RETRY_SECONDS = 1.0
"""The bucket is full again after this long."""
ROUTE = "mesh"
"""Namespace of the metadata that each route carries for its refusals."""


class RateLimited(ResourceExhausted):
    """Too many calls in a short time."""

    reason = "RATE_LIMITED"


MISSING = TokenMissing("The call carries no token. Send `authorization: Bearer <token>`.")
EXPIRED = TokenExpired("The token has expired. Exchange the API key for a new one.")
INVALID = TokenInvalid("The token is not a valid token of this mesh.")
LIMITED = RateLimited(
    "Too many calls in a short time. Wait a second; x-ratelimit-remaining says what is left.",
    retry_after=RETRY_SECONDS,
)
UNKNOWN = Unimplemented("The mesh has no such method. See the contracts, or GetMeshInfo.")
AUTH_DOWN = ServiceUnavailable(
    "The auth service does not answer, so the token cannot be checked. Try again.",
    metadata={"service": "auth"},
    retry_after=RETRY_SECONDS,
)
TOO_LATE = DeadlineExceeded(
    "The call took longer than it may. Repeat a change with the same request id."
)


def scope_missing(scope: str) -> ScopeMissing:
    """Return the refusal of a token without the scope."""
    return ScopeMissing(
        f"The token lacks the scope '{scope}'. Use an API key that holds it.",
        metadata={"scope": scope},
    )


def unavailable(service: str) -> ServiceUnavailable:
    """Return what is said while a service does not answer."""
    return ServiceUnavailable(
        f"The {service} service does not answer. Try again.",
        metadata={"service": service},
        retry_after=RETRY_SECONDS,
    )


def encoded(error: MeshError) -> str:
    """Return the value of ``grpc-status-details-bin``: base64 without padding, as gRPC has it."""
    return base64.b64encode(to_status(error).SerializeToString()).decode().rstrip("=")


def local_replies() -> Json:
    """Return the mappers; the first that fits is used."""
    details = "response.code_details"
    return {
        "mappers": [
            _grpc(f"{details}.contains('Jwt_is_missing')", MISSING),
            _grpc(f"{details}.contains('Jwt_is_expired')", EXPIRED),
            _grpc(f"{details}.contains('Jwks_remote_fetch')", AUTH_DOWN, status=503),
            _grpc(f"{details}.startsWith('jwt_authn_access_denied')", INVALID),
            _by_route(f"{details}.startsWith('rbac_access_denied')", "denied"),
            _grpc(f"{details} == 'local_rate_limited'", LIMITED, _retry_after()),
            _json(f"{details} == 'grpc_json_transcode_failure{{unknown_method}}'", UNKNOWN),
            _json(f"{details}.startsWith('grpc_json_transcode_failure')", _as_given()),
            _grpc(f"{details} == 'direct_response'", UNKNOWN),
            _grpc("response.code == 504 || response.code == 408", TOO_LATE),
            _by_route("response.code == 503 || response.code == 502", "unavailable"),
            _json("response.code >= 400", _as_given()),
        ]
    }


def _as_given() -> MeshError:
    return InvalidField("%LOCAL_REPLY_BODY%")


def _retry_after() -> Json:
    return header("retry-after", f"{RETRY_SECONDS:g}")


def _when(expression: str) -> Json:
    kind = "extensions.access_loggers.filters.cel.v3.ExpressionFilter"
    return {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": typed(kind, expression=expression),
        }
    }


def _grpc(expression: str, error: MeshError, *headers: Json, status: int = 0) -> Json:
    """Return the mapper of a refusal that is always the same."""
    mapper: Json = {
        "filter": _when(expression),
        "headers_to_add": [header(DETAILS, encoded(error)), *headers],
        "body_format_override": {"text_format_source": {"inline_string": error.message}},
    }
    return mapper | ({"status_code": status} if status else {})


def _by_route(expression: str, refusal: str) -> Json:
    """Return the mapper of a refusal whose words depend on the method."""
    text = f"%METADATA(ROUTE:{ROUTE}:{refusal}_message)%"
    return {
        "filter": _when(expression),
        "headers_to_add": [header(DETAILS, f"%METADATA(ROUTE:{ROUTE}:{refusal}_details)%")],
        "body_format_override": {"text_format_source": {"inline_string": text}},
    }


def _json(expression: str, error: MeshError) -> Json:
    """Return the mapper of a refusal that no gRPC client can get."""
    status = to_status(error)
    detail: dict[str, Any] = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": error.reason,
        "domain": "nautilus-mesh",
        "metadata": error.metadata,
    }
    body = {"code": status.code, "message": error.message, "details": [detail]}
    return {
        "filter": _when(expression),
        "body_format_override": {"json_format": body, "content_type": "application/json"},
    }
