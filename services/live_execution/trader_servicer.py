"""RPC methods of the trader service; those about the strategies of a trader are in a file of
their own.
"""

import secrets
from collections.abc import AsyncIterator
from typing import Any

from mesh.execution.v1 import trader_pb2 as pb
from mesh.execution.v1 import trader_service_pb2 as rpc
from mesh.execution.v1.trader_service_pb2_grpc import TraderServiceServicer
from meshkit import enums
from meshkit.context import caller
from meshkit.database import Database
from meshkit.errors import EtagMismatch
from meshkit.idempotency import once
from meshkit.paging import page
from services.live_execution import convert, credentials, events, stopping
from services.live_execution.domain import Plan, Trader
from services.live_execution.errors import TraderExists, TraderNotFlat
from services.live_execution.inputs import check_deploy, make_plan
from services.live_execution.launching.redis_users import RedisUsers
from services.live_execution.logs import TraderLogs
from services.live_execution.lookups import Lookups
from services.live_execution.store import TraderStore
from services.live_execution.trader_strategy_servicer import StrategyMethods
from services.live_execution.watching import Watching

PAGE, LONGEST_PAGE = 100, 1000


class TraderServicer(StrategyMethods, TraderServiceServicer):
    """Unpack, call, pack."""

    def __init__(
        self,
        database: Database,
        store: TraderStore,
        lookups: Lookups,
        watching: Watching,
        logs: TraderLogs,
        users: RedisUsers,
        settle_s: float = 20.0,
    ) -> None:
        super().__init__(database, store, lookups)
        self._watching = watching
        self._logs = logs
        self._users = users
        self._settle_s = settle_s

    async def CreateTrader(self, request: rpc.CreateTraderRequest, _: Any) -> Any:
        """Check a spec whole and store the trader."""
        key = self._key(request)

        async def prepare() -> Plan:
            return await make_plan(self._lookups, key.project, request.spec)

        async def work(tx: Any, plan: Plan) -> rpc.CreateTraderResponse:
            folder = f"{key.trader_id}.{secrets.token_hex(4)}"
            owner = caller().subject
            made = await self._store.insert(tx, key, owner, request.labels, plan, folder)
            if made is None:
                raise TraderExists(
                    f"The project has a trader '{key.trader_id}'. Choose another id, or update it.",
                    metadata={"trader_id": key.trader_id},
                )
            await credentials.check(tx, key.project, pb.TraderSpec.FromString(plan.spec))
            if request.start:
                made.check_not_halted()
                made = await self._store.want(tx, key)
                await events.wake(tx)
            await events.tell(tx, made)
            return rpc.CreateTraderResponse(trader=convert.trader(made))

        return await once(self._database, request, rpc.CreateTraderResponse, work, prepare=prepare)

    async def UpdateTrader(self, request: rpc.UpdateTraderRequest, _: Any) -> Any:
        """Replace spec and labels of a trader that does not run."""
        key = self._key(request)

        async def prepare() -> Plan:
            (await self._find(key)).check_stopped()
            return await make_plan(self._lookups, key.project, request.spec)

        async def work(tx: Any, plan: Plan) -> rpc.UpdateTraderResponse:
            found = await self._find(key, tx)
            found.check_stopped()
            _check_etag(found, request.etag)
            await credentials.check(tx, key.project, pb.TraderSpec.FromString(plan.spec))
            changed = await self._store.change(tx, key, plan, request.labels)
            await events.tell(tx, changed)
            return rpc.UpdateTraderResponse(trader=convert.trader(changed))

        return await once(self._database, request, rpc.UpdateTraderResponse, work, prepare=prepare)

    async def StartTrader(self, request: rpc.StartTraderRequest, _: Any) -> Any:
        """Want a trader to run."""
        key = self._key(request)

        async def work(tx: Any) -> rpc.StartTraderResponse:
            found = await self._find(key, tx)
            if not found.wanted:
                check_deploy(real=found.real)
                found.check_not_halted()
                await credentials.check(tx, key.project, pb.TraderSpec.FromString(found.spec))
                found = await self._store.want(tx, key)
                await events.wake(tx)
                await events.tell(tx, found)
            return rpc.StartTraderResponse(trader=convert.trader(found))

        return await once(self._database, request, rpc.StartTraderResponse, work)

    async def StopTrader(self, request: rpc.StopTraderRequest, _: Any) -> Any:
        """Want a trader not to run."""
        key = self._key(request)

        async def work(tx: Any) -> rpc.StopTraderResponse:
            found = await self._find(key, tx)
            if found.wanted:
                settling = await stopping.settle(
                    tx,
                    found,
                    self._settle_s,
                    cancel=request.cancel_orders,
                    close=request.close_positions,
                )
                found = await self._store.want_not(tx, key, settling, self._settle_s)
                await events.wake(tx)
                await events.tell(tx, found)
            return rpc.StopTraderResponse(trader=convert.trader(found))

        return await once(self._database, request, rpc.StopTraderResponse, work)

    async def DeleteTrader(self, request: rpc.DeleteTraderRequest, _: Any) -> Any:
        """Remove a trader that does not run, with its history."""
        key = self._key(request)
        gone: list[Trader] = []

        async def work(tx: Any) -> rpc.DeleteTraderResponse:
            found = await self._find(key, tx)
            found.check_stopped()
            if found.real and not request.force and await self._store.is_open(tx, key):
                raise TraderNotFlat(
                    "Orders or positions are open at a real venue. Flatten first, or force.",
                    metadata={"trader_id": key.trader_id},
                )
            await self._store.delete(tx, key)
            await events.tell(tx, found, deleted=True)
            gone.append(found)
            return rpc.DeleteTraderResponse()

        response = await once(self._database, request, rpc.DeleteTraderResponse, work)
        for (
            trader
        ) in gone:  # after the commit: what is left of no trader is better than the reverse
            await self._logs.forget(trader)
            await self._users.forget(trader.key)
        return response

    async def GetTrader(self, request: rpc.GetTraderRequest, _: Any) -> Any:
        """Return a trader."""
        return rpc.GetTraderResponse(trader=convert.trader(await self._find(self._key(request))))

    async def ListTraders(self, request: rpc.ListTradersRequest, _: Any) -> Any:
        """Return traders by id."""
        who = caller()
        projects = (who.project(request.project),) if request.project else who.projects
        wanted = page(request, default=PAGE, maximum=LONGEST_PAGE)
        key, _sign, value = request.label.partition("=")
        async with self._database.connection() as tx:
            rows = await self._store.page(
                tx,
                projects,
                [enums.bare(pb.TraderState, state) for state in request.states],
                (key, value) if key else None,
                wanted.after,
                wanted.size + 1,
            )
        rows, token = wanted.cut(rows, key=lambda row: (row.project, row.trader_id))
        return rpc.ListTradersResponse(
            traders=[convert.trader(row, whole=False) for row in rows], next_page_token=token
        )

    async def WatchTraders(
        self, request: rpc.WatchTradersRequest, _: Any
    ) -> AsyncIterator[rpc.WatchTradersResponse]:
        """Tell the changes of traders."""
        async for message in self._watching.traders(caller().project(request.project), request):
            yield message

    async def ReadTraderLog(
        self, request: rpc.ReadTraderLogRequest, _: Any
    ) -> AsyncIterator[rpc.ReadTraderLogResponse]:
        """Stream the last lines of a trader's log, and what follows."""
        key = self._key(request)
        found = await self._find(key)
        async for lines in self._logs.read(found, request, lambda: self._find(key)):
            yield rpc.ReadTraderLogResponse(lines=lines)


def _check_etag(found: Trader, etag: str) -> None:
    if etag and etag != str(found.revision):
        raise EtagMismatch(
            "The trader was changed since it was read. Read it again, and repeat.",
            metadata={"trader_id": found.trader_id, "etag": str(found.revision)},
        )
