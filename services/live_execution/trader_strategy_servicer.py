"""RPC methods about the strategies of a trader; a part of ``TraderServicer``."""

from typing import Any

import msgspec

from mesh.execution.v1 import order_pb2
from mesh.execution.v1 import trader_pb2 as pb
from mesh.execution.v1 import trader_service_pb2 as rpc
from meshkit.context import caller
from meshkit.database import Database
from meshkit.idempotency import once
from services.live_execution import commanding, convert, events
from services.live_execution.domain import Trader
from services.live_execution.errors import no_strategy, no_trader
from services.live_execution.inputs import Json, check_added, new_component, plan_of
from services.live_execution.lookups import Lookups
from services.live_execution.names import TraderKey
from services.live_execution.store import TraderStore
from services.live_execution.trader.ports import Component


class StrategyMethods:
    """Unpack, call, pack."""

    def __init__(self, database: Database, store: TraderStore, lookups: Lookups) -> None:
        self._database = database
        self._store = store
        self._lookups = lookups

    async def AddStrategy(self, request: rpc.AddStrategyRequest, _: Any) -> Any:
        """Add a strategy to a trader; it starts when the trader runs."""
        key = self._key(request)

        async def prepare() -> Json:
            found = await self._find(key)
            check_added(found.spec, request.strategy)
            return await new_component(
                self._lookups, key.project, request.strategy, real=found.real
            )

        async def work(tx: Any, component: Json) -> rpc.AddStrategyResponse:
            found = await self._find(key, tx)
            spec = check_added(found.spec, request.strategy)
            spec.strategies[-1].version = component["version"]
            components = [*await self._store.components(tx, key), component]
            command = _command(order_pb2.STRATEGY_ACTION_ADD, request.strategy.order_id_tag)
            command.strategy.component = msgspec.msgpack.encode(
                msgspec.convert(component, Component)
            )
            trader, sent = await self._change(tx, found, spec, components, command)
            return rpc.AddStrategyResponse(trader=trader, command=sent)

        return await once(self._database, request, rpc.AddStrategyResponse, work, prepare=prepare)

    async def StartStrategy(self, request: rpc.StartStrategyRequest, _: Any) -> Any:
        """Start a strategy of a running trader."""
        key = self._key(request)

        async def work(tx: Any) -> rpc.StartStrategyResponse:
            found = await self._find(key, tx)
            spec, components, index = await self._strategy(tx, found, request.order_id_tag)
            found.check_running()
            found.check_not_halted(request.order_id_tag)
            spec.strategies[index].stopped = components[index]["stopped"] = False
            command = _command(order_pb2.STRATEGY_ACTION_START, request.order_id_tag)
            trader, sent = await self._change(tx, found, spec, components, command)
            return rpc.StartStrategyResponse(trader=trader, command=sent)

        return await once(self._database, request, rpc.StartStrategyResponse, work)

    async def StopStrategy(self, request: rpc.StopStrategyRequest, _: Any) -> Any:
        """Stop a strategy alone."""
        key = self._key(request)

        async def work(tx: Any) -> rpc.StopStrategyResponse:
            found = await self._find(key, tx)
            spec, components, index = await self._strategy(tx, found, request.order_id_tag)
            spec.strategies[index].stopped = components[index]["stopped"] = True
            command = _command(order_pb2.STRATEGY_ACTION_STOP, request.order_id_tag, request)
            trader, sent = await self._change(tx, found, spec, components, command)
            return rpc.StopStrategyResponse(trader=trader, command=sent)

        return await once(self._database, request, rpc.StopStrategyResponse, work)

    async def RemoveStrategy(self, request: rpc.RemoveStrategyRequest, _: Any) -> Any:
        """Stop a strategy and take it out of the trader."""
        key = self._key(request)

        async def work(tx: Any) -> rpc.RemoveStrategyResponse:
            found = await self._find(key, tx)
            spec, components, index = await self._strategy(tx, found, request.order_id_tag)
            del spec.strategies[index], components[index]
            command = _command(order_pb2.STRATEGY_ACTION_REMOVE, request.order_id_tag, request)
            trader, sent = await self._change(tx, found, spec, components, command)
            return rpc.RemoveStrategyResponse(trader=trader, command=sent)

        return await once(self._database, request, rpc.RemoveStrategyResponse, work)

    # ---- shared --------------------------------------------------------------------------------

    def _key(self, request: Any) -> TraderKey:
        return TraderKey(caller().project(request.project), request.trader_id)

    async def _find(self, key: TraderKey, tx: Any = None) -> Trader:
        """Return a trader, locked inside a transaction; raises ``TraderNotFound``."""
        if tx is None:
            async with self._database.connection() as connection:
                return await self._find(key, connection)
        found = await self._store.find(tx, key)
        if found is None:
            raise no_trader(key.trader_id)
        return found

    async def _strategy(
        self, tx: Any, found: Trader, order_id_tag: str
    ) -> tuple[pb.TraderSpec, list[Json], int]:
        """Return spec, components and the place of a strategy in both."""
        spec = pb.TraderSpec.FromString(found.spec)
        tags = [strategy.order_id_tag for strategy in spec.strategies]
        if order_id_tag not in tags:
            raise no_strategy(found.trader_id, order_id_tag)
        return spec, await self._store.components(tx, found.key), tags.index(order_id_tag)

    async def _change(
        self,
        tx: Any,
        found: Trader,
        spec: pb.TraderSpec,
        components: list[Json],
        command: order_pb2.TraderCommand,
    ) -> tuple[pb.Trader, order_pb2.Command | None]:
        """Store the changed spec and send the command to a trader that runs, or is about to."""
        changed = await self._store.change(tx, found.key, plan_of(spec, components))
        sent = None
        if changed.wanted:
            action = order_pb2.StrategyAction.Name(command.strategy.action)
            kind = action.removeprefix("STRATEGY_ACTION_") + "_STRATEGY"
            sent = await commanding.put(tx, found.key, kind, command, submitter=caller().subject)
        await events.tell(tx, changed)
        return convert.trader(changed), sent


def _command(
    action: order_pb2.StrategyAction.ValueType, order_id_tag: str, request: Any = None
) -> order_pb2.TraderCommand:
    """Return a command; ``request`` says whether to cancel orders and close positions."""
    strategy = order_pb2.StrategyCommand(action=action, order_id_tag=order_id_tag)
    if request is not None:
        strategy.cancel_orders = request.cancel_orders
        strategy.close_positions = request.close_positions
    return order_pb2.TraderCommand(strategy=strategy)
