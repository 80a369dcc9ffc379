"""Errors of the mesh: one base class per canonical code, one subclass per reason.

A service's ``errors.py`` subclasses these and sets ``reason`` to a value of
``mesh.common.v1.ErrorReason`` without its prefix. Domain code raises them; the error interceptor
is the one place that turns them into a gRPC status.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

DOMAIN = "nautilus-mesh"


@dataclass(frozen=True)
class FieldViolation:
    """A field that breaks a rule: its path in the request (``venues[0].name``) and what it must
    be.
    """

    field: str
    description: str


class MeshError(Exception):
    """An error that a caller may see: a sentence with the remedy, a reason and its metadata."""

    code: ClassVar[str] = "INTERNAL"
    reason: ClassVar[str] = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Iterable[FieldViolation] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after = retry_after


class InvalidArgument(MeshError):
    """The request can never succeed as it is."""

    code = "INVALID_ARGUMENT"
    reason = "INVALID_FIELD"


class NotFound(MeshError):
    """There is no such thing, or not in a project of the caller."""

    code = "NOT_FOUND"


class AlreadyExists(MeshError):
    """The key is taken by something else."""

    code = "ALREADY_EXISTS"


class FailedPrecondition(MeshError):
    """The request is right and the moment is wrong."""

    code = "FAILED_PRECONDITION"


class Aborted(MeshError):
    """Somebody else was faster: read again and repeat."""

    code = "ABORTED"


class OutOfRange(MeshError):
    """A position outside what is kept."""

    code = "OUT_OF_RANGE"


class ResourceExhausted(MeshError):
    """A limit is reached; ``retry_after`` says in seconds when to come back."""

    code = "RESOURCE_EXHAUSTED"


class Unavailable(MeshError):
    """Something is out of reach for now: retry with back-off."""

    code = "UNAVAILABLE"


class PermissionDenied(MeshError):
    """The caller is known and may not do this."""

    code = "PERMISSION_DENIED"


class Unauthenticated(MeshError):
    """The caller is not known."""

    code = "UNAUTHENTICATED"


class DeadlineExceeded(MeshError):
    """The call took longer than its deadline."""

    code = "DEADLINE_EXCEEDED"
    reason = "DEADLINE_EXCEEDED"


class Unimplemented(MeshError):
    """The server has no such method."""

    code = "UNIMPLEMENTED"
    reason = "UNKNOWN_METHOD"


class Internal(MeshError):
    """A fault of the mesh itself; the cause is in the log under the request id."""


class InvalidField(InvalidArgument):
    """Fields break their rules; ``violations`` names each."""


class InvalidPageToken(InvalidArgument):
    """The page token is damaged or belongs to another filter."""

    reason = "INVALID_PAGE_TOKEN"


class InvalidCursor(InvalidArgument):
    """The cursor is damaged or belongs to another filter."""

    reason = "INVALID_CURSOR"


class CursorTrimmed(OutOfRange):
    """The cursor is older than what is kept; metadata ``oldest_cursor`` says where to resume."""

    reason = "CURSOR_TRIMMED"


class RequestIdReused(AlreadyExists):
    """The request id was used with another body."""

    reason = "REQUEST_ID_REUSED"


class EtagMismatch(Aborted):
    """The resource changed since the caller read it."""

    reason = "ETAG_MISMATCH"


class SerializationClash(Aborted):
    """Two transactions clashed."""

    reason = "SERIALIZATION_CLASH"


class StoreUnavailable(Unavailable):
    """PostgreSQL or Redis is out of reach."""

    reason = "STORE_UNAVAILABLE"


class ServiceUnavailable(Unavailable):
    """Another service of the mesh is out of reach."""

    reason = "SERVICE_UNAVAILABLE"


class Draining(Unavailable):
    """The server is stopping."""

    reason = "DRAINING"


class TokenMissing(Unauthenticated):
    """No token came with the call."""

    reason = "TOKEN_MISSING"


class TokenInvalid(Unauthenticated):
    """The token is not one of this mesh."""

    reason = "TOKEN_INVALID"


class TokenExpired(Unauthenticated):
    """The token has expired."""

    reason = "TOKEN_EXPIRED"


class ScopeMissing(PermissionDenied):
    """The token lacks the method's scope."""

    reason = "SCOPE_MISSING"


class ProjectForbidden(PermissionDenied):
    """The token does not name the project."""

    reason = "PROJECT_FORBIDDEN"


def bad_field(field: str, description: str) -> InvalidArgument:
    """Return the error of one field that breaks a rule which a contract cannot state."""
    return InvalidArgument(
        f"{field}: {description}", violations=[FieldViolation(field, description)]
    )
