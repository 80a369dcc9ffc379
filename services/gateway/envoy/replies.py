"""What Envoy says itself: the same typed errors as the services, for gRPC and for REST.

A refusal of a gRPC or gRPC-Web call is a status with its details in ``grpc-status-details-bin``;
of a REST call it is the same status as JSON. Both are made here, before anything runs, and what
depends on the method (the scope that lacks, the service that is down) comes from the metadata of
its route.
"""

import base64
import json

from google.protobuf.json_format import MessageToDict

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
    failed = "grpc_json_transcode_failure"
    return {
        "mappers": [
            *_fixed(f"{details}.contains('Jwt_is_missing')", MISSING),
            *_fixed(f"{details}.contains('Jwt_is_expired')", EXPIRED),
            *_fixed(f"{details}.contains('Jwks_remote_fetch')", AUTH_DOWN, status=503),
            *_fixed(f"{details}.startsWith('jwt_authn_access_denied')", INVALID, status=401),
            *_by_route(f"{details}.startsWith('rbac_access_denied')", "denied"),
            *_fixed(f"{details} == 'local_rate_limited'", LIMITED),
            *_fixed(f"{details} == 'cluster_not_found'", UNKNOWN),
            *_fixed(f"{details}.contains('{failed}') && response.code == 404", UNKNOWN),
            _as_given(f"{details}.contains('{failed}')"),
            *_fixed("response.code == 504 || response.code == 408", TOO_LATE),
            *_by_route("response.code == 503 || response.code == 502", "unavailable"),
            _as_given("response.code >= 400"),
        ]
    }


def as_json(error: MeshError) -> str:
    """Return the body of a REST reply, as the transcoder writes the errors of services."""
    return json.dumps(MessageToDict(to_status(error)), separators=(",", ":"))


_GRPC = (
    "'content-type' in request.headers && "
    "request.headers['content-type'].startsWith('application/grpc') && "
    "!('x-envoy-original-method' in request.headers)"  # which the transcoder adds to its calls
)


def _when(expression: str) -> Json:
    kind = "extensions.access_loggers.filters.cel.v3.ExpressionFilter"
    return {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": typed(kind, expression=expression),
        }
    }


def _fixed(expression: str, error: MeshError, *, status: int = 0) -> list[Json]:
    """Return the mappers of a refusal that is always the same; ``status`` replaces Envoy's own."""
    for_grpc, for_rest = _pair(expression, encoded(error), error.message, as_json(error))
    wait = error.retry_after
    later = [] if wait is None else [header("retry-after", f"{wait:g}")]
    code = header("grpc-status", str(to_status(error).code))  # Envoy would guess it from HTTP's
    more: Json = {"status_code": status} if status else {}
    return [
        {**for_grpc, **more, "headers_to_add": [*for_grpc["headers_to_add"], code, *later]},
        {**for_rest, **more, "headers_to_add": later},
    ]


def _by_route(expression: str, refusal: str) -> list[Json]:
    """Return the mappers of a refusal whose words depend on the method."""
    return _pair(
        expression,
        *(f"%METADATA(ROUTE:{ROUTE}:{refusal}_{part})%" for part in ("details", "message", "json")),
    )


def of_route(refusal: str, error: MeshError) -> dict[str, str]:
    """Return what a route's metadata says of a refusal."""
    return {
        f"{refusal}_details": encoded(error),
        f"{refusal}_message": error.message,
        f"{refusal}_json": as_json(error),
    }


def _pair(expression: str, details: str, message: str, body: str) -> list[Json]:
    return [
        {
            "filter": _when(f"({expression}) && {_GRPC}"),
            "headers_to_add": [header(DETAILS, details)],
            "body_format_override": {"text_format_source": {"inline_string": message}},
        },
        {
            "filter": _when(expression),
            "body_format_override": {
                "text_format_source": {"inline_string": body},
                "content_type": "application/json",
            },
        },
    ]


def _as_given(expression: str) -> Json:
    """Return the mapper of a REST request that Envoy could not read; the text is Envoy's own."""
    error = InvalidField("%LOCAL_REPLY_BODY%")
    return {
        "filter": _when(expression),
        "body_format_override": {
            "json_format": MessageToDict(to_status(error)),
            "content_type": "application/json",
        },
    }
