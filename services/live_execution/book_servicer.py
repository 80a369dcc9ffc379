"""RPC methods of the order service that read: orders, positions, accounts, commands, and watch."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from mesh.common.v1 import enums_pb2 as enums
from mesh.events.v1.events_pb2 import Event
from mesh.execution.v1 import books_pb2
from mesh.execution.v1 import order_pb2 as pb
from mesh.execution.v1 import order_service_pb2 as rpc
from mesh.execution.v1.events_pb2 import TraderFact
from meshkit import enums as names
from meshkit.context import caller
from meshkit.database import Database
from meshkit.paging import page
from meshkit.watch import Batch, filter_hash
from services.live_execution import order_convert
from services.live_execution.errors import no_trader
from services.live_execution.marking import marked
from services.live_execution.names import TraderKey
from services.live_execution.order_errors import CommandNotFound, no_order
from services.live_execution.order_store import OrderStore
from services.live_execution.watching import Watching

PAGE, LARGEST_PAGE = 100, 1_000


class BookMethods:
    """The half of the order service that changes nothing."""

    def __init__(self, database: Database, store: OrderStore, watching: Watching) -> None:
        self._database = database
        self._store = store
        self._watching = watching

    async def GetOrder(self, request: rpc.GetOrderRequest, _: Any) -> Any:
        """Return an order."""
        key = TraderKey(caller().project(request.project), request.trader_id)
        async with self._database.connection() as tx:
            found = await self._store.orders(tx, key, [request.client_order_id])
        if not found:
            raise no_order(request.client_order_id)
        return rpc.GetOrderResponse(order=found[request.client_order_id])

    async def ListOrders(self, request: rpc.ListOrdersRequest, _: Any) -> Any:
        """Return orders, the newest first."""
        wanted = page(request, default=PAGE, maximum=LARGEST_PAGE)
        statuses = [names.bare(enums.OrderStatus, each) for each in request.statuses]
        source = names.bare(pb.OrderSource, request.source)
        async with self._database.connection() as tx:
            rows = await self._store.page_of_orders(
                tx, _projects(request), request, statuses, source, wanted.after, wanted.size + 1
            )
        rows, token = wanted.cut(rows, key=lambda row: row[0])
        return rpc.ListOrdersResponse(orders=[row[1] for row in rows], next_page_token=token)

    async def ListPositions(self, request: books_pb2.ListPositionsRequest, _: Any) -> Any:
        """Return positions, the newest first; open ones are marked by the last known prices."""
        wanted = page(request, default=PAGE, maximum=LARGEST_PAGE)
        async with self._database.connection() as tx:
            rows = await self._store.page_of_positions(
                tx, _projects(request), request, wanted.after, wanted.size + 1
            )
            rows, token = wanted.cut(rows, key=lambda row: row[0])
            prices = await self._store.prices(
                tx, {(key[1], key[2], row.instrument_id) for key, row in rows}
            )
        positions = [marked(row, prices.get((*key[1:3], row.instrument_id))) for key, row in rows]
        return books_pb2.ListPositionsResponse(positions=positions, next_page_token=token)

    async def ListAccounts(self, request: books_pb2.ListAccountsRequest, _: Any) -> Any:
        """Return accounts as they last were."""
        wanted = page(request, default=PAGE, maximum=LARGEST_PAGE)
        async with self._database.connection() as tx:
            rows = await self._store.page_of_accounts(
                tx, _projects(request), request.trader_id, wanted.after, wanted.size + 1
            )
        rows, token = wanted.cut(rows, key=lambda row: row[0])
        return books_pb2.ListAccountsResponse(
            accounts=[row[1] for row in rows], next_page_token=token
        )

    async def GetCommand(self, request: books_pb2.GetCommandRequest, _: Any) -> Any:
        """Return a command."""
        async with self._database.connection() as tx:
            found = await self._store.command(tx, caller().projects, request.command_id)
        if found is None:
            raise CommandNotFound(
                f"There is no command {request.command_id} in your projects.",
                metadata={"command_id": request.command_id},
            )
        return books_pb2.GetCommandResponse(command=order_convert.command(found))

    async def WatchOrders(
        self, request: books_pb2.WatchOrdersRequest, _: Any
    ) -> AsyncIterator[books_pb2.WatchOrdersResponse]:
        """Tell the facts of orders, positions and accounts of traders."""
        project = caller().project(request.project)
        async with self._database.connection() as tx:
            missing = await self._store.missing(tx, project, request.trader_ids)
        if missing:
            raise no_trader(missing)
        told = self._watching.facts(
            project,
            request.trader_ids,
            cursor=request.after_cursor,
            filter_hash=filter_hash(request),
            accept=_accepting(frozenset(request.instrument_ids)),
        )
        async for item in told:
            events = item.events if isinstance(item, Batch) else ()
            yield books_pb2.WatchOrdersResponse(
                events=events, cursor=item.cursor, checkpoint=not events
            )


def _accepting(instruments: frozenset[str]) -> Callable[[Event], bool]:
    """Return what lets the facts of a watcher pass; with instruments those of them alone, and
    orders of unknown outcome, which name none.
    """

    def accept(event: Event) -> bool:
        fact = TraderFact.FromString(event.payload.value)
        match fact.WhichOneof("fact"):
            case "order":
                return not instruments or fact.order.instrument_id in instruments
            case "position":
                return not instruments or fact.position.position.instrument_id in instruments
            case "account":
                return not instruments
            case kind:
                return kind == "unknown"

    return accept


def _projects(request: Any) -> tuple[str, ...]:
    who = caller()
    return (who.project(request.project),) if request.project else who.projects
