"""The server and the call pipeline, over a real channel."""

import os
import stat
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from integration.issuer import Signer
from integration.meshkit.echo import SERVICE, Echo, EchoRequest, method, watch
from meshkit.channel import channel
from meshkit.config import ConfigError
from meshkit.server import MeshServer


@pytest.fixture
def signer() -> Signer:
    """Give an issuer of tokens."""
    return Signer()


@pytest.fixture
async def server(tmp_path: Path, signer: Signer) -> AsyncIterator[MeshServer]:
    """Give a serving echo service on a Unix socket."""
    listen = f"unix:{tmp_path}/echo.sock"
    async with MeshServer(
        name="echo", listen=listen, keys=signer, http_listen="127.0.0.1:0", grace=1.0
    ) as mesh_server:
        Echo(mesh_server.draining).add_to(mesh_server.grpc)
        await mesh_server.start(SERVICE)
        yield mesh_server


async def failure(call: Any) -> tuple[str, error_details_pb2.ErrorInfo, list[Message]]:
    """Return code, ErrorInfo and further details of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    details = dict(caught.value.trailing_metadata() or ())["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(details)
    unpacked: list[Message] = []
    kinds = (
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.RetryInfo,
    )
    for packed in status.details:
        kind = next(k for k in kinds if packed.Is(k.DESCRIPTOR))
        unpacked.append(kind.FromString(packed.value))
    info = unpacked.pop(0)
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert info.domain == "nautilus-mesh"
    return caught.value.code().name, info, unpacked


async def test_scope_opens_a_method(server: MeshServer, signer: Signer) -> None:
    """A token with the scope is let in, and the handler knows its holder and the request id."""
    async with channel(server.listen, SERVICE, token=signer.token("echo.say")) as to:
        call = method(to, "Say")(EchoRequest(text="who"), metadata=(("x-request-id", "abc-1"),))
        assert (await call).text == "tester abc-1"
        assert dict(await call.initial_metadata())["x-request-id"] == "abc-1"


@pytest.mark.parametrize(
    ("name", "make", "code", "reason"),
    [
        ("Say", lambda s: None, "UNAUTHENTICATED", "TOKEN_MISSING"),
        ("Say", lambda s: s.token("other"), "PERMISSION_DENIED", "SCOPE_MISSING"),
        ("Say", lambda s: "x.y.z", "UNAUTHENTICATED", "TOKEN_INVALID"),
        ("Say", lambda s: s.token("echo.say", kid="k2"), "UNAUTHENTICATED", "TOKEN_INVALID"),
        ("Say", lambda s: Signer().token("echo.say"), "UNAUTHENTICATED", "TOKEN_INVALID"),
        ("Say", lambda s: s.token("echo.say", aud="x"), "UNAUTHENTICATED", "TOKEN_INVALID"),
        ("Say", lambda s: s.token("echo.say", iss="x"), "UNAUTHENTICATED", "TOKEN_INVALID"),
        ("Say", lambda s: s.token("echo.say", lifetime=-1), "UNAUTHENTICATED", "TOKEN_EXPIRED"),
        ("SayKnown", lambda s: None, "UNAUTHENTICATED", "TOKEN_MISSING"),
        ("Ruleless", lambda s: s.token("echo.say"), "UNIMPLEMENTED", "UNKNOWN_METHOD"),
        ("SaySlow", lambda s: s.token(), "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
    ],
)
async def test_refusals_are_typed(
    server: MeshServer, signer: Signer, name: str, make: Any, code: str, reason: str
) -> None:
    """Each way of not being let in has its own code and reason."""
    async with channel(server.listen, token=make(signer)) as to:
        got, info, _ = await failure(method(to, name)(EchoRequest(text="hi")))
    assert (got, info.reason) == (code, reason)


async def test_public_and_known_need_no_scope(server: MeshServer, signer: Signer) -> None:
    """A public method needs no token, and an authenticated one any valid token."""
    async with channel(server.listen) as to:
        assert (await method(to, "SayOpen")(EchoRequest(text="a"))).text == "a"
    async with channel(server.listen, token=signer.token()) as to:
        assert (await method(to, "SayKnown")(EchoRequest(text="b"))).text == "b"


async def test_every_broken_field_is_named(server: MeshServer, signer: Signer) -> None:
    """Field rules are checked before the handler, and each violation has its path."""
    async with channel(server.listen, token=signer.token("echo.say")) as to:
        request = EchoRequest(text="x" * 21, names=["ab", "c"], page_size=-1)
        code, info, (bad, *_) = await failure(method(to, "Say")(request))
    assert (code, info.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert isinstance(bad, error_details_pb2.BadRequest)
    assert [v.field for v in bad.field_violations] == ["text", "names[1]", "page_size"]


async def test_own_errors_arrive_whole(server: MeshServer, signer: Signer) -> None:
    """An error of the domain keeps its reason and metadata."""
    async with channel(server.listen, token=signer.token("echo.say")) as to:
        code, info, _ = await failure(method(to, "Say")(EchoRequest(text="missing")))
    assert (code, info.reason, dict(info.metadata)) == (
        "NOT_FOUND",
        "STRATEGY_NOT_FOUND",
        {"thing": "x"},
    )


async def test_unforeseen_errors_say_nothing(server: MeshServer, signer: Signer) -> None:
    """A bug is INTERNAL with the request id and without its text."""
    async with channel(server.listen, token=signer.token("echo.say")) as to:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await method(to, "Say")(EchoRequest(text="bug"), metadata=(("x-request-id", "r-9"),))
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "r-9" in str(caught.value.details())
    assert "secret" not in repr(caught.value)
    assert "RuntimeError" not in repr(caught.value)


async def test_drain_ends_streams(server: MeshServer, signer: Signer) -> None:
    """A stream without an end is ended by the server when it drains."""
    async with channel(server.listen, token=signer.token()) as to:
        stream = watch(to)(EchoRequest())
        assert (await stream.read()).text == "attached"
        await server.drain()
        assert await stream.read() == grpc.aio.EOF
        assert await stream.code() is grpc.StatusCode.OK


async def test_health_and_reflection_need_no_token(server: MeshServer) -> None:
    """Health and reflection list the service to anybody who reaches the socket."""
    async with channel(server.listen) as to:
        check = health_pb2.HealthCheckRequest(service=SERVICE)
        health: Any = health_pb2_grpc.HealthStub(to)
        reply = await health.Check(check)
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        make: Any = reflection_pb2_grpc.ServerReflectionStub
        stub = make(to)
        answers = [answer async for answer in stub.ServerReflectionInfo(asked)]
    assert SERVICE in {s.name for s in answers[0].list_services_response.service}


async def test_unix_socket_is_private(server: MeshServer) -> None:
    """Nobody but the owner may open the socket."""
    path = server.listen.removeprefix("unix:")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


async def test_metrics_count_calls(server: MeshServer, signer: Signer) -> None:
    """A call is counted under its method and code on the HTTP port."""
    async with channel(server.listen) as to:
        await method(to, "SayOpen")(EchoRequest(text="a"))
    with urllib.request.urlopen(f"http://{server.http_address}/metrics") as reply:
        text = reply.read().decode()
    assert f'grpc_server_handled_total{{code="OK",method="/{SERVICE}/SayOpen"}}' in text


async def test_taken_port_is_named(server: MeshServer, signer: Signer) -> None:
    """A second server on a taken port refuses to start and names the address."""
    async with MeshServer(name="one", listen="127.0.0.1:0", keys=signer) as one:
        await one.start(SERVICE)
        async with MeshServer(name="two", listen=one.address, keys=signer) as two:
            with pytest.raises(ConfigError, match=f"two cannot listen on {one.address}"):
                await two.start(SERVICE)
