"""Errors ↔ gRPC status: the one mapper, both ways."""

from typing import Any

import asyncpg
import grpc
import grpc.aio
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from meshkit.context import request_id
from meshkit.errors import (
    DOMAIN,
    DeadlineExceeded,
    Internal,
    MeshError,
    ServiceUnavailable,
    StoreUnavailable,
)

DETAILS = "grpc-status-details-bin"


def to_mesh_error(error: Exception, request_id: str) -> MeshError:
    """Return what a caller may see of any exception; what is not foreseen becomes ``Internal``."""
    match error:
        case MeshError():
            return error
        case TimeoutError():
            return DeadlineExceeded(
                "The call took longer than its deadline. Repeat a change with the same request id."
            )
        case RedisConnectionError() | RedisTimeoutError():
            return StoreUnavailable(
                "Redis is out of reach. Try again.", metadata={"store": "redis"}, retry_after=1.0
            )
        case ConnectionError() | asyncpg.PostgresConnectionError():
            return StoreUnavailable(
                "A store is out of reach. Try again.",
                metadata={"store": "postgresql"},
                retry_after=1.0,
            )
        case RedisError() | _:
            return Internal(
                f"A fault of the mesh. Report it with request id {request_id}.",
                metadata={"request_id": request_id},
            )


def to_status(error: MeshError) -> status_pb2.Status:
    """Return the ``google.rpc.Status`` of an error: ErrorInfo first, then BadRequest and
    RetryInfo where due.
    """
    details = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    ]
    packed = [_pack(detail) for detail in details]
    if error.violations:
        packed.append(
            _pack(
                error_details_pb2.BadRequest(
                    field_violations=[
                        error_details_pb2.BadRequest.FieldViolation(
                            field=violation.field, description=violation.description
                        )
                        for violation in error.violations
                    ]
                )
            )
        )
    if error.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(int(error.retry_after * 1000))
        packed.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status_pb2.Status(
        code=code_pb2.Code.Value(error.code), message=error.message, details=packed
    )


async def abort(context: grpc.aio.ServicerContext[Any, Any], status: status_pb2.Status) -> None:
    """End the call with a status and its details; no headers went before, so its id is here."""
    code = next(c for c in grpc.StatusCode if c.value[0] == status.code)
    trailers = ((DETAILS, status.SerializeToString()), ("x-request-id", request_id()))
    await context.abort(code, status.message, trailers)


def relayed(error: grpc.aio.AioRpcError, service: str) -> status_pb2.Status:
    """Return the status to answer with when a look-up in another service failed.

    An error of that service is ours too and is passed on as it is; a failed connection is
    ``SERVICE_UNAVAILABLE``, and one that outlived our own deadline is that.
    """
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS and isinstance(value, bytes):
            return status_pb2.Status.FromString(value)
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return to_status(to_mesh_error(TimeoutError(), request_id()))
    return to_status(
        ServiceUnavailable(
            f"The {service} service does not answer. Try again.",
            metadata={"service": service},
            retry_after=1.0,
        )
    )


def _pack(message: Any) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
