"""What a failed call says, whoever answered it."""

import grpc
import grpc.aio
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from meshclient.errors import MeshClientError, decode


def _failed(
    code: grpc.StatusCode, text: str = "", *details: Message, trailer: bytes | None = None
) -> grpc.aio.AioRpcError:
    trailers = grpc.aio.Metadata()
    if details:
        status = status_pb2.Status(code=code.value[0], message=text)
        for detail in details:
            packed = Packed()
            packed.Pack(detail)
            status.details.append(packed)
        trailer = status.SerializeToString()
    if trailer is not None:
        trailers.add("grpc-status-details-bin", trailer)
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, details=text)


def test_mc_01_details_of_a_service_are_decoded_whole() -> None:
    """MC-01: reason, metadata, fields, delay and remedy come out of a service's error."""
    error = decode(
        _failed(
            grpc.StatusCode.INVALID_ARGUMENT,
            "A field is wrong.",
            error_details_pb2.ErrorInfo(
                reason="INVALID_FIELD", domain="nautilus-mesh", metadata={"a": "b"}
            ),
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field="venues[0].name", description="must not be empty"
                    )
                ]
            ),
            error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000)),
        ),
        "id-1",
    )
    assert (error.code, error.reason, error.message) == (
        "INVALID_ARGUMENT",
        "INVALID_FIELD",
        "A field is wrong.",
    )
    assert error.metadata == {"a": "b"}
    assert error.violations[0].field == "venues[0].name"
    assert error.retry_after == 1.5
    assert error.request_id == "id-1"
    assert error.remedy == "Mend the fields named."
    assert error.as_dict()["violations"] == [
        {"field": "venues[0].name", "description": "must not be empty"}
    ]


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "Jwt is expired", "TOKEN_EXPIRED"),
        (grpc.StatusCode.UNAUTHENTICATED, "Jwt is missing", "TOKEN_MISSING"),
        (grpc.StatusCode.UNAUTHENTICATED, "Jwt verification fails", "TOKEN_INVALID"),
        (grpc.StatusCode.PERMISSION_DENIED, "RBAC: access denied", "SCOPE_MISSING"),
        (grpc.StatusCode.UNAVAILABLE, "local_rate_limited: rate limited", "RATE_LIMITED"),
        (grpc.StatusCode.UNAVAILABLE, "no healthy upstream", "SERVICE_UNAVAILABLE"),
        (
            grpc.StatusCode.UNAVAILABLE,
            "failed to connect to all addresses; last error: Connection refused",
            "MESH_UNREACHABLE",
        ),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", "DEADLINE_EXCEEDED"),
        (grpc.StatusCode.UNIMPLEMENTED, "", "UNKNOWN_METHOD"),
        (grpc.StatusCode.UNKNOWN, "", "INTERNAL"),
        (grpc.StatusCode.INTERNAL, "a fault", "INTERNAL"),
    ],
)
def test_mc_01_answers_of_the_gateway_have_reasons(
    code: grpc.StatusCode, text: str, reason: str
) -> None:
    """MC-01: an answer without details gets the reason that a service would have given."""
    error = decode(_failed(code, text))
    assert error.reason == reason
    assert error.code == code.name
    assert error.message


def test_mc_01_a_connection_that_breaks_is_worth_repeating() -> None:
    """MC-01: a server that dies within a call is UNAVAILABLE, whatever the library calls it."""
    text = "Stream removed (RST_STREAM (Received RST_STREAM with error code 2))"
    error = decode(_failed(grpc.StatusCode.INTERNAL, text))
    assert (error.code, error.reason) == ("UNAVAILABLE", "SERVICE_UNAVAILABLE")


def test_mc_01_damaged_details_are_no_fault_of_the_caller() -> None:
    """MC-01: details that are not a Status leave code and text."""
    error = decode(_failed(grpc.StatusCode.NOT_FOUND, "gone", trailer=b"\xff\xff\xff"))
    assert (error.code, error.message) == ("NOT_FOUND", "gone")


def test_mc_01_codes_are_those_of_the_contract() -> None:
    """MC-01: a code is a name of google.rpc.Code."""
    assert decode(_failed(grpc.StatusCode.ABORTED)).code in dict(code_pb2.Code.items())


def test_an_unknown_reason_has_no_remedy() -> None:
    """A reason that the client does not know is shown without advice."""
    assert MeshClientError("x", reason="NEW_ONE").remedy == ""
