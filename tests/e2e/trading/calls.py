"""Calls of any method by its descriptor, through the gateway, and requests that fit or do not."""

from collections.abc import Iterator
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import grpc
import grpc.aio
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from buf.validate import validate_pb2
from mesh.common.v1.types_pb2 import Money
from mesh.execution.v1 import credential_service_pb2, safety_pb2, safety_service_pb2
from mesh.execution.v1 import trader_pb2 as pb
from mesh.gateway.v1 import auth_service_pb2 as auth
from mesh.gateway.v1.auth_service_pb2_grpc import AuthServiceStub
from meshclient.errors import MeshClientError, decode
from meshclient.tickets import ticket
from meshkit.channel import channel

PACKAGE = "mesh.execution.v1"
SERVICES = ("TraderService", "OrderService", "SafetyService", "CredentialService")
IMPORTED = (credential_service_pb2, safety_service_pb2)  # so that the pool knows them


def methods() -> list[MethodDescriptor]:
    """Return the methods of the four services."""
    pool = descriptor_pool.Default()
    services = [pool.FindServiceByName(f"{PACKAGE}.{name}") for name in SERVICES]
    return [method for service in services for method in service.methods]


class Caller:
    """Who calls with a key, or with none."""

    def __init__(self, gateway: str, api_key: str = "") -> None:
        self._token = ""
        self._key = api_key
        self._channel = channel(gateway, token=lambda: self._token)

    async def __aenter__(self) -> "Caller":
        if self._key:
            stub: Any = AuthServiceStub(self._channel)
            reply = await stub.ExchangeApiKey(auth.ExchangeApiKeyRequest(api_key=self._key))
            self._token = reply.token
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def refused(self, method: MethodDescriptor, request: Any) -> MeshClientError:
        """Make a call that must fail, and return what it says."""
        assert method.containing_service is not None
        path = f"/{method.containing_service.full_name}/{method.name}"
        answers = GetMessageClass(method.output_type).FromString
        try:
            if method.server_streaming:
                made = self._channel.unary_stream(path, type(request).SerializeToString, answers)
                async with aclosing(aiter(made(request))) as stream:  # type: ignore[type-var] # a generator
                    answer = await anext(stream)
            else:
                call: Any = self._channel.unary_unary(
                    path, type(request).SerializeToString, answers
                )
                answer = await call(request)
        except grpc.aio.AioRpcError as error:
            return decode(error)
        raise AssertionError(f"{method.name} was not refused: {request} → {answer}")


def spec(**more: Any) -> pb.TraderSpec:
    """Return a spec that could be: a sandbox on the sample's feed."""
    venue = pb.TraderVenue(venue="SIM")
    venue.sandbox.starting_balances.append(Money(amount="1000", currency="USD"))
    data = pb.DataSource(replay=pb.ReplayData())
    return pb.TraderSpec(**{"venues": [venue], "data": data, **more})


def request_of(method: MethodDescriptor, trader_id: str) -> Any:
    """Return a request that is well-formed, about things that are not there, of a trader."""
    order = ticket("EUR/USD.SIM", "BUY", "1", client_order_id="none-1")
    values: dict[str, Any] = {
        "trader_id": trader_id,
        "order_id_tag": "999",
        "client_order_id": "none-1",
        "client_order_ids": ["none-1"],
        "position_id": "none",
        "credential_id": "none",
        "adapter": "BINANCE",
        "secrets": {"api_key": "k", "api_secret": "s"},
        "spec": spec(),
        "strategy": pb.TraderStrategy(order_id_tag="001", strategy_id="none"),
        "order": order,
        "orders": [order, ticket("EUR/USD.SIM", "BUY", "1")],
        "order_list_id": "L-1",
        "scope": safety_pb2.SafetyScope(trader_id=trader_id),
        "limits": safety_service_pb2.ProjectLimits(),
        "trader_ids": [trader_id] if method.name == "WatchOrders" else [],
        **{name: str(uuid4()) for name in ("request_id", "command_id", "halt_id", "flatten_id")},
        **({"quantity": "1"} if method.name == "ModifyOrder" else {}),
    }
    known = method.input_type.fields_by_name
    made: Any = GetMessageClass(method.input_type)
    return made(**{name: value for name, value in values.items() if name in known})


def broken(request: Any) -> Iterator[tuple[str, Any]]:
    """Yield the names of fields, and the request with that field breaking its rule."""
    for field in request.DESCRIPTOR.fields:
        if not field.GetOptions().HasExtension(validate_pb2.field):
            continue
        rules = field.GetOptions().Extensions[validate_pb2.field]
        for value in _bad(field, rules):
            made = type(request)()
            made.CopyFrom(request)
            made.ClearField(field.name)
            _set(made, field, value)
            yield field.name, made


def _bad(field: FieldDescriptor, rules: Any) -> Iterator[Any]:
    if rules.required:
        yield None
    if rules.string.uuid:
        yield "no uuid"
    if rules.string.HasField("max_len"):
        yield "x" * (rules.string.max_len + 1)
    if rules.string.min_len or rules.string.pattern:
        yield "" if rules.string.min_len else "no such/thing"
    if rules.HasField("enum"):
        yield 999
    if rules.HasField("int32"):
        yield -1
    if rules.HasField("repeated") and field.type == FieldDescriptor.TYPE_STRING:
        yield ["x"] * (rules.repeated.max_items + 1)


def _set(made: Message, field: FieldDescriptor, value: Any) -> None:
    if isinstance(value, list):
        getattr(made, field.name).extend(value)
    elif field.is_repeated:
        getattr(made, field.name).append(value)
    elif value is not None:
        setattr(made, field.name, value)
