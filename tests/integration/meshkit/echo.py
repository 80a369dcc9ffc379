"""A small contract and service of the tests' own, built at run time, with every kind of rule."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from buf.validate import validate_pb2
from mesh.common.v1 import options_pb2
from meshkit.context import caller, request_id
from meshkit.errors import NotFound

SERVICE = "mesh.testing.v1.EchoService"
METHODS: dict[str, dict[str, Any] | None] = {
    "Say": {"scope": "echo.say", "idempotent": True},
    "SayOpen": {"public": True},
    "SayKnown": {"authenticated": True},
    "SaySlow": {"authenticated": True, "max_deadline_ms": 50},
    "Watch": {"authenticated": True, "watch": True},
    "Ruleless": None,
}


class ThingNotFound(NotFound):
    """The error that the service raises on purpose."""

    reason = "STRATEGY_NOT_FOUND"


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="mesh/testing/v1/echo.proto",
        package="mesh.testing.v1",
        syntax="proto3",
        dependency=["mesh/common/v1/options.proto", "buf/validate/validate.proto"],
    )
    request = file.message_type.add(name="EchoRequest")
    types = descriptor_pb2.FieldDescriptorProto
    text = request.field.add(
        name="text", number=1, type=types.TYPE_STRING, label=types.LABEL_OPTIONAL
    )
    text.options.Extensions[validate_pb2.field].string.max_len = 20
    names = request.field.add(
        name="names", number=2, type=types.TYPE_STRING, label=types.LABEL_REPEATED
    )
    names.options.Extensions[validate_pb2.field].repeated.items.string.min_len = 2
    for number, name in ((3, "project"), (4, "request_id"), (6, "page_token")):
        request.field.add(
            name=name, number=number, type=types.TYPE_STRING, label=types.LABEL_OPTIONAL
        )
    size = request.field.add(
        name="page_size", number=5, type=types.TYPE_INT32, label=types.LABEL_OPTIONAL
    )
    size.options.Extensions[validate_pb2.field].int32.gte = 0
    response = file.message_type.add(name="EchoResponse")
    response.field.add(name="text", number=1, type=types.TYPE_STRING, label=types.LABEL_OPTIONAL)
    service = file.service.add(name="EchoService")
    for name, rule in METHODS.items():
        method = service.method.add(
            name=name,
            input_type=".mesh.testing.v1.EchoRequest",
            output_type=".mesh.testing.v1.EchoResponse",
            server_streaming=name == "Watch",
        )
        if rule is not None:
            method.options.Extensions[options_pb2.rule].CopyFrom(options_pb2.MethodRule(**rule))
    return file


# Through bytes: the pool must parse the options anew to know the extensions.
descriptor_pool.Default().AddSerializedFile(_file().SerializeToString())
_find = descriptor_pool.Default().FindMessageTypeByName
EchoRequest: Any = message_factory.GetMessageClass(_find("mesh.testing.v1.EchoRequest"))
EchoResponse: Any = message_factory.GetMessageClass(_find("mesh.testing.v1.EchoResponse"))


class Echo:
    """Answers with what it was told, or fails as the text says."""

    def __init__(self, draining: asyncio.Event) -> None:
        self._draining = draining

    async def say(self, request: Any, _: Any) -> Any:
        """Answer, or raise what the text names."""
        match request.text:
            case "missing":
                raise ThingNotFound("There is no such thing.", metadata={"thing": "x"})
            case "bug":
                raise RuntimeError("secret driver text")
            case "who":
                return EchoResponse(text=f"{caller().subject} {request_id()}")
        return EchoResponse(text=request.text)

    async def say_slow(self, request: Any, _: Any) -> Any:
        """Never answer."""
        await asyncio.Event().wait()

    async def watch(self, request: Any, _: Any) -> AsyncIterator[Any]:
        """Say one thing, then wait for the drain."""
        yield EchoResponse(text="attached")
        await self._draining.wait()

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register every method."""
        codec = {
            "request_deserializer": EchoRequest.FromString,
            "response_serializer": EchoResponse.SerializeToString,
        }
        unary = grpc.unary_unary_rpc_method_handler
        handlers = {
            name: unary(self.say, **codec) for name in METHODS if name not in {"SaySlow", "Watch"}
        }
        handlers["SaySlow"] = unary(self.say_slow, **codec)
        handlers["Watch"] = grpc.unary_stream_rpc_method_handler(self.watch, **codec)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


def method(channel: grpc.aio.Channel, name: str) -> Any:
    """Return the callable of a unary method."""
    return channel.unary_unary(
        f"/{SERVICE}/{name}",
        request_serializer=EchoRequest.SerializeToString,
        response_deserializer=EchoResponse.FromString,
    )


def watch(channel: grpc.aio.Channel) -> Any:
    """Return the callable of the stream."""
    return channel.unary_stream(
        f"/{SERVICE}/Watch",
        request_serializer=EchoRequest.SerializeToString,
        response_deserializer=EchoResponse.FromString,
    )
