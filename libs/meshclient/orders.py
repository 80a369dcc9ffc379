"""Orders of traders: submit, change, look at, watch."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import grpc.aio

from mesh.common.v1 import enums_pb2 as enums
from mesh.execution.v1 import books_pb2
from mesh.execution.v1 import events_pb2 as pb
from mesh.execution.v1 import order_pb2 as order_pb
from mesh.execution.v1 import order_service_pb2 as rpc
from mesh.execution.v1.order_service_pb2_grpc import OrderServiceStub
from meshclient import words
from meshclient.data import timestamp
from meshclient.errors import MeshClientError
from meshclient.facts import FactWatch, unpacker
from meshclient.group import Group, new_request_id
from meshclient.tickets import bracket, new_id, ticket
from meshclient.words import Number

WAIT_SECONDS = 5.0
"""How long a submission that waits does so unless told otherwise."""
_BEYOND = 10.0  # seconds that a call may last longer than what it waits for
_PATIENCE = 60.0


class Submission[Reply]:
    """An order on its way: ``await`` it.

    Its ids are made with it, so awaiting it again after an error, whatever it was, never
    makes a second order: the mesh answers as the first time.
    """

    def __init__(
        self, call: Callable[[], Any], tickets: Sequence[order_pb.OrderTicket], list_id: str = ""
    ) -> None:
        self._call = call
        self.tickets = tickets
        self.order_list_id = list_id

    @property
    def client_order_id(self) -> str:
        """Id of the (first) order."""
        return self.tickets[0].client_order_id

    def __await__(self) -> Any:
        return self.send().__await__()

    async def send(self) -> Reply:
        """Make the call."""
        reply: Reply = await self._call()
        return reply


type One = Submission[rpc.SubmitOrderResponse]
type Many = Submission[rpc.SubmitOrderListResponse]


class Orders(Group):
    """``mesh.orders``."""

    def _make_stub(self, channel: grpc.aio.Channel) -> Any:
        return OrderServiceStub(channel)

    def submit(
        self,
        trader_id: str,
        instrument_id: str,
        side: str,
        quantity: Number,
        *,
        wait: str = "",
        wait_seconds: float = WAIT_SECONDS,
        expire_time: datetime | None = None,
        **more: Any,
    ) -> One:
        """Submit an order: ``await`` what this returns, again if that failed.

        ``more`` is what ``tickets.ticket`` takes: price, trigger_price, time_in_force, … ``wait``
        is ``submitted``, ``accepted`` or ``terminal``; without it the answer comes when the
        command is committed. When what is waited for has not happened after ``wait_seconds`` (at
        most 30) the answer's ``outcome`` is UNKNOWN: the order may be at the venue. After
        ``expire_time`` (60 s from now) a trader that comes to it refuses it.
        """
        made = ticket(instrument_id, side, quantity, **more)
        return self.send(
            trader_id, made, wait=wait, wait_seconds=wait_seconds, expire_time=expire_time
        )

    def send(
        self,
        trader_id: str,
        made: order_pb.OrderTicket,
        *,
        wait: str = "",
        wait_seconds: float = WAIT_SECONDS,
        expire_time: datetime | None = None,
    ) -> One:
        """Submit a ticket, as ``submit`` does."""
        request = self._change(rpc.SubmitOrderRequest, trader_id)
        request.order.CopyFrom(made)
        _waiting(request, wait, wait_seconds, expire_time)
        method = partial(self._stub.SubmitOrder, timeout=wait_seconds + _BEYOND)
        return Submission(partial(self._connection.unary, method, request), [made])

    def submit_list(
        self,
        trader_id: str,
        tickets: Sequence[order_pb.OrderTicket],
        *,
        order_list_id: str = "",
        wait: str = "",
        wait_seconds: float = WAIT_SECONDS,
        expire_time: datetime | None = None,
    ) -> Many:
        """Submit orders that belong together, as ``submit`` does; see ``tickets`` for brackets."""
        request = self._change(rpc.SubmitOrderListRequest, trader_id)
        request.order_list_id = order_list_id or new_id("L")
        request.orders.extend(tickets)
        _waiting(request, wait, wait_seconds, expire_time)
        method = partial(self._stub.SubmitOrderList, timeout=wait_seconds + _BEYOND)
        call = partial(self._connection.unary, method, request)
        return Submission(call, tickets, request.order_list_id)

    def bracket(
        self,
        trader_id: str,
        instrument_id: str,
        side: str,
        quantity: Number,
        *,
        stop: Number,
        target: Number,
        wait: str = "",
        wait_seconds: float = WAIT_SECONDS,
        **entry: Any,
    ) -> Many:
        """Submit an entry with a stop loss and a take profit, of which one cancels the other.

        ``entry`` is what ``tickets.ticket`` takes for the entry; without a price it is MARKET.
        """
        tickets = bracket(instrument_id, side, quantity, stop=stop, target=target, **entry)
        return self.submit_list(trader_id, tickets, wait=wait, wait_seconds=wait_seconds)

    async def modify(
        self,
        trader_id: str,
        client_order_id: str,
        *,
        quantity: Number | None = None,
        price: Number | None = None,
        trigger_price: Number | None = None,
    ) -> order_pb.Command:
        """Change an open order; what is not given stays."""
        request = self._change(rpc.ModifyOrderRequest, trader_id)
        request.client_order_id = client_order_id
        request.quantity = words.decimal(quantity, "quantity")
        request.price = words.decimal(price, "price")
        request.trigger_price = words.decimal(trigger_price, "trigger_price")
        return await self._command("ModifyOrder", request)

    async def cancel(self, trader_id: str, client_order_id: str) -> order_pb.Command:
        """Cancel an open order."""
        request = self._change(rpc.CancelOrderRequest, trader_id)
        request.client_order_id = client_order_id
        return await self._command("CancelOrder", request)

    async def cancel_many(
        self, trader_id: str, client_order_ids: Sequence[str]
    ) -> rpc.BatchCancelOrdersResponse:
        """Cancel orders; each id is answered by itself in ``items``."""
        request = self._change(rpc.BatchCancelOrdersRequest, trader_id)
        request.client_order_ids.extend(client_order_ids)
        reply: rpc.BatchCancelOrdersResponse = await self._call("BatchCancelOrders", request)
        return reply

    async def cancel_all(
        self, trader_id: str, *, instrument_id: str = "", strategy_id: str = "", side: str = ""
    ) -> order_pb.Command:
        """Cancel every open order that fits."""
        request = self._change(rpc.CancelAllOrdersRequest, trader_id)
        request.instrument_id, request.strategy_id = instrument_id, strategy_id
        request.side = words.value(enums.OrderSide, side, "side")
        return await self._command("CancelAllOrders", request)

    async def close(self, trader_id: str, position_id: str) -> order_pb.Command:
        """Close a position at the market."""
        request = self._change(rpc.ClosePositionRequest, trader_id)
        request.position_id = position_id
        return await self._command("ClosePosition", request)

    async def close_all(
        self, trader_id: str, *, instrument_id: str = "", strategy_id: str = ""
    ) -> order_pb.Command:
        """Close every open position that fits, at the market."""
        request = self._change(rpc.CloseAllPositionsRequest, trader_id)
        request.instrument_id, request.strategy_id = instrument_id, strategy_id
        return await self._command("CloseAllPositions", request)

    async def preview(
        self, trader_id: str, instrument_id: str, side: str, quantity: Number, **more: Any
    ) -> rpc.PreviewOrderResponse:
        """Say what would become of an order: verdict, notional, commission, margin."""
        request = rpc.PreviewOrderRequest(
            project=self._project,
            trader_id=trader_id,
            order=ticket(instrument_id, side, quantity, **more),
        )
        reply: rpc.PreviewOrderResponse = await self._call("PreviewOrder", request)
        return reply

    async def get(self, trader_id: str, client_order_id: str) -> order_pb.Order:
        """Return an order as it is."""
        request = rpc.GetOrderRequest(
            project=self._project, trader_id=trader_id, client_order_id=client_order_id
        )
        found: order_pb.Order = (await self._call("GetOrder", request)).order
        return found

    async def list(
        self,
        trader_id: str = "",
        *,
        instrument_id: str = "",
        strategy_id: str = "",
        statuses: Sequence[str | int] = (),
        open_only: bool = False,
        source: str = "",
        limit: int | None = None,
    ) -> Sequence[order_pb.Order]:
        """Return orders, the newest first. ``statuses`` such as ``FILLED``; ``source`` is
        ``STRATEGY``, ``MANUAL``, ``EXTERNAL`` or ``SAFETY``.
        """
        request: Any = rpc.ListOrdersRequest(
            project=self._project,
            trader_id=trader_id,
            instrument_id=instrument_id,
            strategy_id=strategy_id,
            open_only=open_only,
            source=words.value(order_pb.OrderSource, source, "source"),
        )
        request.statuses.extend(words.value(enums.OrderStatus, s, "statuses") for s in statuses)
        return [each async for each in self._pages("ListOrders", request, "orders", limit)]

    async def positions(
        self,
        trader_id: str = "",
        *,
        instrument_id: str = "",
        open_only: bool = False,
        limit: int | None = None,
    ) -> Sequence[pb.Position]:
        """Return positions, the newest first."""
        request = books_pb2.ListPositionsRequest(
            project=self._project,
            trader_id=trader_id,
            instrument_id=instrument_id,
            open_only=open_only,
        )
        return [each async for each in self._pages("ListPositions", request, "positions", limit)]

    async def accounts(self, trader_id: str = "") -> Sequence[pb.AccountState]:
        """Return accounts as they last were."""
        request = books_pb2.ListAccountsRequest(project=self._project, trader_id=trader_id)
        return [each async for each in self._pages("ListAccounts", request, "accounts", None)]

    async def command(self, command_id: str) -> order_pb.Command:
        """Return a command: whether the trader took it."""
        return await self._command("GetCommand", books_pb2.GetCommandRequest(command_id=command_id))

    def watch(
        self,
        *trader_ids: str,
        instrument_ids: Sequence[str] = (),
        cursor: str = "",
        broken: Callable[[MeshClientError], None] = lambda fault: None,
        patience: float = _PATIENCE,
    ) -> FactWatch[pb.TraderFact]:
        """Watch orders, positions and accounts: iterate over it, ``async for told in watch``.

        ``told.fact`` is a ``TraderFact``, each once and in order, through restarts of the mesh.
        No ids means all traders of the project, those too that are made later.
        """

        def after(place: str) -> books_pb2.WatchOrdersRequest:
            return books_pb2.WatchOrdersRequest(
                project=self._project,
                trader_ids=trader_ids,
                instrument_ids=instrument_ids,
                after_cursor=place,
            )

        messages = self._connection.watch(
            self._stub.WatchOrders, after, cursor=cursor, broken=broken, patience=patience
        )
        return FactWatch(messages, unpacker(pb.TraderFact), cursor)

    def _change(self, kind: type[Any], trader_id: str) -> Any:
        return kind(request_id=new_request_id(), project=self._project, trader_id=trader_id)

    async def _command(self, method: str, request: Any) -> order_pb.Command:
        found: order_pb.Command = (await self._call(method, request)).command
        return found


def _waiting(request: Any, wait: str, seconds: float, expire_time: datetime | None) -> None:
    request.wait_for = words.value(rpc.WaitFor, wait, "wait")
    if request.wait_for:
        request.wait_bound.FromMilliseconds(round(seconds * 1000))
    if expire_time is not None:
        request.expire_time.CopyFrom(timestamp(expire_time))
