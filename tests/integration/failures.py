"""What a failed call says, unpacked."""

from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2


@dataclass(frozen=True)
class Failure:
    """Code, reason, metadata, message and violated fields of a failed call."""

    code: str
    reason: str
    metadata: dict[str, str]
    message: str
    fields: dict[str, str]
    retry_after: float | None


async def failure(call: Any) -> Failure:
    """Await a call that must fail with exactly one ErrorInfo of our domain, and unpack it."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return unpack(caught.value)


def unpack(error: grpc.aio.AioRpcError) -> Failure:
    """Unpack the details of an error."""
    details = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(details)
    infos: list[Any] = []
    fields: dict[str, str] = {}
    retry: float | None = None
    for packed in status.details:
        if packed.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            infos.append(error_details_pb2.ErrorInfo.FromString(packed.value))
        elif packed.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest.FromString(packed.value)
            fields = {v.field: v.description for v in bad.field_violations}
        elif packed.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            info = error_details_pb2.RetryInfo.FromString(packed.value)
            retry = info.retry_delay.ToMilliseconds() / 1000
    assert [i.domain for i in infos] == ["nautilus-mesh"]
    return Failure(
        error.code().name,
        infos[0].reason,
        dict(infos[0].metadata),
        str(error.details()),
        fields,
        retry,
    )
