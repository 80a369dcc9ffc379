"""RPC methods of the order service: submissions, commands to running traders, and their orders.

What reads the books is in ``book_servicer``.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.common.v1 import enums_pb2 as enums
from mesh.execution.v1 import books_pb2
from mesh.execution.v1 import order_pb2 as pb
from mesh.execution.v1 import order_service_pb2 as rpc
from mesh.execution.v1.order_service_pb2_grpc import OrderServiceServicer
from meshkit import times
from meshkit.context import caller
from meshkit.database import Database
from meshkit.enums import bare
from meshkit.errors import FieldViolation, InvalidField, StoreUnavailable
from meshkit.idempotency import once
from services.live_execution import commanding, order_convert
from services.live_execution.book_servicer import BookMethods
from services.live_execution.errors import no_trader
from services.live_execution.names import TraderKey
from services.live_execution.order_convert import Submission
from services.live_execution.order_errors import bad_order, closed_order, no_order, no_position
from services.live_execution.order_store import Ground, OrderStore
from services.live_execution.querying import Querying
from services.live_execution.safety.latch import Latch
from services.live_execution.sending import Sender
from services.live_execution.submitting import (
    MANUAL,
    Answer,
    Submitting,
    check_takes,
    in_order,
    scopes_of,
    venue_of,
)
from services.live_execution.tickets import check_modify
from services.live_execution.waiting import Waiting
from services.live_execution.watching import Watching

EXPIRES = timedelta(seconds=60)
WAIT_S = 5.0

Check = Callable[[Any, TraderKey], Awaitable[Any]]


class OrderServicer(BookMethods, OrderServiceServicer):
    """Unpack, call, pack."""

    def __init__(
        self,
        database: Database,
        latch: Latch,
        waiting: Waiting,
        sender: Sender,
        querying: Querying,
        watching: Watching,
    ) -> None:
        store = OrderStore()
        super().__init__(database, store, watching)
        self._latch = latch
        self._sender = sender
        self._querying = querying
        self._submitting = Submitting(database, store, latch, waiting, sender)

    async def SubmitOrder(self, request: rpc.SubmitOrderRequest, _: Any) -> Any:
        """Submit an order, once."""
        answer = await self._submit(request, Submission.of([request.order]))
        return rpc.SubmitOrderResponse(
            command=order_convert.command(answer.command),
            outcome=answer.outcome,
            order=answer.orders.get(request.order.client_order_id),
        )

    async def SubmitOrderList(self, request: rpc.SubmitOrderListRequest, _: Any) -> Any:
        """Submit a list of orders, once."""
        submission = Submission.of(request.orders, request.order_list_id)
        answer = await self._submit(request, submission)
        return rpc.SubmitOrderListResponse(
            command=order_convert.command(answer.command),
            outcome=answer.outcome,
            orders=in_order(answer.orders, submission.client_order_ids),
        )

    async def _submit(self, request: Any, submission: Submission) -> Answer:
        bound = request.wait_bound.ToTimedelta().total_seconds()
        return await self._submitting.submit(
            self._key(request),
            submission,
            request.wait_for,
            bound if request.HasField("wait_bound") else WAIT_S,
            _expires(request),
        )

    async def ModifyOrder(self, request: rpc.ModifyOrderRequest, _: Any) -> Any:
        """Change an open order."""
        change = pb.ModifyCommand(
            client_order_id=request.client_order_id,
            quantity=request.quantity,
            price=request.price,
            trigger_price=request.trigger_price,
        )

        async def check(tx: Any, key: TraderKey) -> None:
            found = await self._check_open(tx, key, request.client_order_id)
            venue = venue_of(found.instrument_id) if found else ""
            await self._check_trader(tx, key, halt=True, venue=venue)
            faults = check_modify(change)
            if faults:
                raise bad_order(faults)

        return await self._command(
            request,
            rpc.ModifyOrderResponse,
            "MODIFY",
            pb.TraderCommand(modify=change),
            check,
            [request.client_order_id],
            expires=_in(EXPIRES),
        )

    async def CancelOrder(self, request: rpc.CancelOrderRequest, _: Any) -> Any:
        """Cancel an open order."""

        async def check(tx: Any, key: TraderKey) -> None:
            await self._check_trader(tx, key)
            await self._check_open(tx, key, request.client_order_id)

        cancel = pb.CancelCommand(client_order_ids=[request.client_order_id])
        return await self._command(
            request,
            rpc.CancelOrderResponse,
            "CANCEL",
            pb.TraderCommand(cancel=cancel),
            check,
            [request.client_order_id],
        )

    async def BatchCancelOrders(self, request: rpc.BatchCancelOrdersRequest, _: Any) -> Any:
        """Cancel many orders; each id is answered by itself."""
        key, ids = self._key(request), list(request.client_order_ids)

        async def work(tx: Any) -> rpc.BatchCancelOrdersResponse:
            await self._check_trader(tx, key)
            orders = await self._store.orders(tx, key, ids)
            coming = await self._store.on_the_way(tx, key, ids)
            items = [_item(each, orders.get(each), each in coming) for each in ids]
            wanted = [item.client_order_id for item in items if not item.reason]
            response = rpc.BatchCancelOrdersResponse(items=items)
            if wanted:
                command = pb.TraderCommand(cancel=pb.CancelCommand(client_order_ids=wanted))
                made = await self._put(tx, key, "CANCEL", command, wanted)
                response.command.CopyFrom(made)
            return response

        response = await once(self._database, request, rpc.BatchCancelOrdersResponse, work)
        await self._send(key)
        return response

    async def CancelAllOrders(self, request: rpc.CancelAllOrdersRequest, _: Any) -> Any:
        """Cancel every open order that fits."""
        cancel = pb.CancelAllCommand(
            instrument_id=request.instrument_id,
            strategy_id=request.strategy_id,
            side=request.side,
        )
        command = pb.TraderCommand(cancel_all=cancel)
        return await self._command(
            request, rpc.CancelAllOrdersResponse, "CANCEL_ALL", command, self._check_trader
        )

    async def ClosePosition(self, request: rpc.ClosePositionRequest, _: Any) -> Any:
        """Close a position at the market."""

        async def check(tx: Any, key: TraderKey) -> None:
            instrument_id = await self._store.open_position(tx, key, request.position_id)
            await self._check_trader(tx, key, halt=True, venue=venue_of(instrument_id or ""))
            if instrument_id is None:
                raise no_position(request.position_id)

        command = pb.TraderCommand(close=pb.CloseCommand(position_id=request.position_id))
        return await self._command(
            request, rpc.ClosePositionResponse, "CLOSE_POSITION", command, check
        )

    async def CloseAllPositions(self, request: rpc.CloseAllPositionsRequest, _: Any) -> Any:
        """Close every open position that fits, at the market."""

        async def check(tx: Any, key: TraderKey) -> None:
            venue = venue_of(request.instrument_id)
            await self._check_trader(tx, key, halt=True, venue=venue)

        close = pb.CloseCommand(
            instrument_id=request.instrument_id, strategy_id=request.strategy_id
        )
        command = pb.TraderCommand(close=close)
        return await self._command(
            request, rpc.CloseAllPositionsResponse, "CLOSE_ALL", command, check
        )

    async def PreviewOrder(self, request: rpc.PreviewOrderRequest, _: Any) -> Any:
        """Ask a trader what would become of an order."""
        key = self._key(request)
        await self._submitting.check_preview(key, Submission.of([request.order]))
        answer = await self._querying.ask(
            key, "preview", request.SerializeToString(), request.order.client_order_id
        )
        return rpc.PreviewOrderResponse.FromString(answer)

    # ---- what all commands do --------------------------------------------------------------------

    async def _command(
        self,
        request: Any,
        response_type: Any,
        kind: str,
        command: pb.TraderCommand,
        check: Check,
        client_order_ids: Sequence[str] = (),
        expires: Timestamp | None = None,
    ) -> Any:
        """Commit a command once per request id, when ``check`` finds nothing against it."""
        key = self._key(request)

        async def work(tx: Any) -> Any:
            await check(tx, key)
            made = await self._put(tx, key, kind, command, client_order_ids, expires)
            return response_type(command=made)

        response = await once(self._database, request, response_type, work)
        await self._send(key)
        return response

    async def _put(
        self,
        tx: Any,
        key: TraderKey,
        kind: str,
        command: pb.TraderCommand,
        client_order_ids: Sequence[str],
        expires: Timestamp | None = None,
    ) -> pb.Command:
        return await commanding.put(
            tx,
            key,
            kind,
            command,
            submitter=caller().subject,
            client_order_ids=client_order_ids,
            expires=expires,
        )

    async def _send(self, key: TraderKey) -> None:
        try:
            async with self._database.connection() as tx:
                rows = await self._store.unpublished(tx, key)
        except StoreUnavailable:
            return  # it is committed, and the publisher will send it
        await self._sender.send(rows)

    async def _check_trader(
        self, tx: Any, key: TraderKey, *, halt: bool = False, venue: str = ""
    ) -> Ground:
        ground = await self._store.ground(tx, key, scopes_of(key, venue))
        if ground is None:
            raise no_trader(key.trader_id)
        if halt:
            ground = ground.halted(await self._latch.forbidding(key.latches(venue, MANUAL)))
        check_takes(key, ground, halt=halt)
        return ground

    async def _check_open(self, tx: Any, key: TraderKey, client_order_id: str) -> pb.Order | None:
        """Return an order that can be changed; None when its submission is on its way."""
        found = (await self._store.orders(tx, key, [client_order_id])).get(client_order_id)
        coming = found is None and await self._store.on_the_way(tx, key, [client_order_id])
        reason = _item(client_order_id, found, bool(coming)).reason
        if found is not None and reason:
            raise closed_order(client_order_id, bare(enums.OrderStatus, found.status))
        if reason:
            await self._check_trader(tx, key)  # no trader comes before no order
            raise no_order(client_order_id)
        return found

    def _key(self, request: Any) -> TraderKey:
        return TraderKey(caller().project(request.project), request.trader_id)


def _item(client_order_id: str, order: pb.Order | None, coming: bool) -> books_pb2.CancelItem:
    reason = ""
    if order is not None and order_convert.is_closed(order):
        reason = "ORDER_CLOSED"
    elif order is None and not coming:
        reason = "ORDER_NOT_FOUND"
    return books_pb2.CancelItem(client_order_id=client_order_id, reason=reason)


def _expires(request: Any) -> Timestamp:
    if not request.HasField("expire_time"):
        return _in(EXPIRES)
    given: Timestamp = request.expire_time
    if given.ToNanoseconds() <= times.now().ToNanoseconds():
        text = "is past; leave it out, or give a later one"
        raise InvalidField(f"expire_time {text}", violations=[FieldViolation("expire_time", text)])
    return given


def _in(span: timedelta) -> Timestamp:
    return times.to_timestamp(
        times.now().ToNanoseconds() + span // timedelta(microseconds=1) * 1000
    )
