"""Order, trader and safety services that say what a script tells them, over real gRPC."""

import copy
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import grpc.aio

from mesh.events.v1.events_pb2 import Event
from mesh.execution.v1 import books_pb2
from mesh.execution.v1 import order_service_pb2_grpc as order_stubs
from mesh.execution.v1 import trader_service_pb2 as trader_rpc
from mesh.execution.v1 import trader_service_pb2_grpc as trader_stubs
from mesh.execution.v1.events_pb2 import TraderFact
from meshclient.connection import Connection, open_channel
from meshclient.orders import Orders
from meshclient.tokens import Token, TokenKeeper
from meshclient.traders import Traders

_OrderBase: Any = order_stubs.OrderServiceServicer  # their stubs are abstract; few methods do here
_TraderBase: Any = trader_stubs.TraderServiceServicer


class Service(_OrderBase, _TraderBase):
    """Answers each call with the next entry of ``script``: messages, or a code and a text."""

    def __init__(self) -> None:
        self.script: list[Sequence[Any]] = []
        self.requests: list[Any] = []

    async def SubmitOrder(self, request: Any, context: Any) -> Any:  # noqa: N802 # the contract's
        """Answer with the next entry."""
        self.requests.append(copy.deepcopy(request))
        for each in self.script.pop(0):
            if isinstance(each, tuple):
                await context.abort(*each)
            return each

    async def WatchOrders(self, request: Any, context: Any) -> Any:  # noqa: N802 # the contract's
        """Send the messages of the next entry."""
        async for each in self._stream(request, context):
            yield each

    async def ReadTraderLog(self, request: Any, context: Any) -> Any:  # noqa: N802 # the contract's
        """Send the messages of the next entry."""
        async for each in self._stream(request, context):
            yield each

    async def _stream(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.requests.append(copy.deepcopy(request))
        for each in self.script.pop(0):
            if isinstance(each, tuple):
                await context.abort(*each)
            yield each


class Client:
    """The calls to the service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        async def exchange() -> Token:
            return Token("token", expires_at=2e12)

        connection = Connection(TokenKeeper(exchange))
        self.orders = Orders(connection, channel, "p")
        self.traders = Traders(connection, channel, "p")


async def serve() -> AsyncIterator[tuple[Service, Client]]:
    """Give a service on a free port and the calls to it."""
    server, service = grpc.aio.server(), Service()
    order_stubs.add_OrderServiceServicer_to_server(service, server)
    trader_stubs.add_TraderServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    names = ("mesh.execution.v1.OrderService", "mesh.execution.v1.TraderService")
    channel = open_channel(f"127.0.0.1:{port}", *names)
    yield service, Client(channel)
    await channel.close()
    await server.stop(None)


def told(number: int, fact: TraderFact, trader_id: str = "T-1") -> Event:
    """Return the event of a fact."""
    event = Event(stream=f"facts:live_execution:p:{trader_id}", subject=trader_id, number=number)
    event.payload.Pack(fact)
    return event


def message(cursor: str, *events: Event) -> books_pb2.WatchOrdersResponse:
    """Return a message of a watch."""
    return books_pb2.WatchOrdersResponse(events=events, cursor=cursor, checkpoint=not events)


def lines(*texts: str) -> trader_rpc.ReadTraderLogResponse:
    """Return lines of a log."""
    return trader_rpc.ReadTraderLogResponse(lines=texts)
