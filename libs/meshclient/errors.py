"""Errors that the client raises: what a service said, decoded, with what to do about it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from meshclient.remedies import REMEDIES
from meshkit.errors import FieldViolation

_DETAILS = "grpc-status-details-bin"

# Reasons that only the client itself gives.
_OWN_REMEDIES = {
    "MESH_UNREACHABLE": "Start the mesh with `make run`, or check the address of the profile.",
    "PROFILE_MISSING": "Run `meshctl login`, or set MESH_ADDRESS and MESH_API_KEY.",
    "PROFILE_INVALID": "Mend the file named, or write it anew with `meshctl login`.",
    "SPEC_INVALID": "Mend the places named.",
    "FILE_UNREADABLE": "Check the path and its permissions.",
    "STREAM_DAMAGED": "Read again; if it stays so, report it with the request id.",
    "EXTRA_MISSING": "Install what is named.",
    "LATCH_UNKNOWN": "The mesh's operator has it: a user of Redis that may set halts alone.",
    "LATCH_UNREACHABLE": "Nothing is halted by this. Check MESH_LATCH_URL and Redis, or stop the "
    "traders' processes.",
    "CHANNEL_INVALID": "Name it so; ListFeedInstruments has the instruments of a feed.",
}


class MeshClientError(Exception):
    """A call that failed.

    ``code`` is a gRPC status name, ``reason`` a value of ``mesh.common.v1.ErrorReason`` without its
    prefix (or one of the client's own), ``metadata`` what belongs to the reason, ``remedy`` a
    sentence that says what to do (may be empty), ``violations`` the fields that are wrong,
    ``retry_after`` seconds to wait or None, ``request_id`` what to look for in the logs.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "UNKNOWN",
        reason: str = "INTERNAL",
        metadata: Mapping[str, str] | None = None,
        violations: Iterable[FieldViolation] = (),
        retry_after: float | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(f"{reason}: {message}")
        self.message = message
        self.code = code
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after = retry_after
        self.request_id = request_id

    @property
    def remedy(self) -> str:
        """What to do about the reason, as the contract documents it; empty when it says nothing."""
        return _OWN_REMEDIES.get(self.reason) or REMEDIES.get(self.reason, "")

    def as_dict(self) -> dict[str, Any]:
        """Return the error as plain data, for JSON."""
        found: dict[str, Any] = {
            "code": self.code,
            "reason": self.reason,
            "message": self.message,
            "remedy": self.remedy,
            "metadata": self.metadata,
        }
        if self.violations:
            found["violations"] = [
                {"field": each.field, "description": each.description} for each in self.violations
            ]
        if self.retry_after is not None:
            found["retry_after"] = self.retry_after
        if self.request_id:
            found["request_id"] = self.request_id
        return found


class ProfileError(MeshClientError):
    """There is no profile, or it cannot be used."""


class SpecError(MeshClientError):
    """A spec file is wrong; ``violations`` names the places."""

    def __init__(self, message: str, violations: Iterable[FieldViolation] = ()) -> None:
        super().__init__(
            message, code="INVALID_ARGUMENT", reason="SPEC_INVALID", violations=violations
        )


class UsageError(MeshClientError):
    """A command line that cannot be carried out; the message says what would be right."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="INVALID_ARGUMENT", reason="USAGE")


class JobFailed(MeshClientError):
    """Work that was accepted ended badly: a run or an import; ``resource`` is its last state."""

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        resource: Message,
        violations: Iterable[FieldViolation] = (),
    ) -> None:
        super().__init__(
            message,
            code="FAILED_PRECONDITION",
            reason=reason or "JOB_FAILED",
            violations=violations,
        )
        self.resource = resource


def decode(error: grpc.aio.AioRpcError, request_id: str = "") -> MeshClientError:
    """Return what a failed call says, whoever answered: a service, the gateway, or nobody."""
    status = _status_of(error)
    if status is not None:
        known = _from_details(error.code().name, status, request_id)
        if known is not None:
            return known
    code, message = error.code().name, error.details() or ""
    if code in ("INTERNAL", "UNKNOWN") and _BROKEN.search(message):
        code = "UNAVAILABLE"  # a server died within the call: as good as one that is not there
    reason, told = _from_text(code, message)
    return MeshClientError(told, code=code, reason=reason, request_id=request_id)


def _status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    for key, value in [*(error.trailing_metadata() or ()), *(error.initial_metadata() or ())]:
        if key == _DETAILS and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None  # a proxy damaged it; code and text are still there
    return None


def _from_details(code: str, status: status_pb2.Status, request_id: str) -> MeshClientError | None:
    info: error_details_pb2.ErrorInfo | None = None
    violations: list[FieldViolation] = []
    retry_after = None
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo.FromString(detail.value)
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            request = error_details_pb2.BadRequest.FromString(detail.value)
            violations += [FieldViolation(v.field, v.description) for v in request.field_violations]
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            delay = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
            retry_after = delay.seconds + delay.nanos / 1e9
    if info is None:
        return None
    return MeshClientError(
        status.message,
        code=code,
        reason=info.reason,
        metadata=info.metadata,
        violations=violations,
        retry_after=retry_after,
        request_id=request_id,
    )


_BROKEN = re.compile(
    r"stream removed|rst_stream|goaway|connection (reset|closed)|socket closed", re.I
)

# What Envoy and the gRPC library say in plain text when no service answered: code, a pattern of
# the text, the reason that a service would have given, and a better sentence.
_TEXTS = (
    ("UNAUTHENTICATED", "jwt is expired", "TOKEN_EXPIRED", "The token has expired."),
    ("UNAUTHENTICATED", "jwt is missing", "TOKEN_MISSING", "No token came with the call."),
    ("UNAUTHENTICATED", "", "TOKEN_INVALID", "The gateway refused the token."),
    ("PERMISSION_DENIED", "", "SCOPE_MISSING", "The API key may not do this."),
    ("RESOURCE_EXHAUSTED", "message", "INVALID_FIELD", ""),
    ("RESOURCE_EXHAUSTED", "", "RATE_LIMITED", "Too many calls in a short time."),
    ("UNAVAILABLE", "rate limit|ratelimit", "RATE_LIMITED", "Too many calls in a short time."),
    (
        "UNAVAILABLE",
        "failed to connect|connection refused|name resolution|dns|socket|handshake",
        "MESH_UNREACHABLE",
        "Nothing answers at the address of the mesh.",
    ),
    ("UNAVAILABLE", "", "SERVICE_UNAVAILABLE", "A service of the mesh does not answer."),
    ("UNIMPLEMENTED", "", "UNKNOWN_METHOD", "The mesh has no such method."),
    ("DEADLINE_EXCEEDED", "", "DEADLINE_EXCEEDED", "The call took longer than its deadline."),
    ("CANCELLED", "", "CALL_CANCELLED", "The call was cancelled."),
)


def _from_text(code: str, text: str) -> tuple[str, str]:
    """Return reason and sentence for an answer that carries no details."""
    for wanted, pattern, reason, told in _TEXTS:
        if code == wanted and re.search(pattern, text, re.IGNORECASE):
            return reason, told or text
    return "INTERNAL", text or f"The call failed with {code}."
