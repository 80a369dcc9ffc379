"""Carries out commands of callers, each once, and says on record what became of it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Container, Sequence
from typing import Any, Protocol

from mesh.execution.v1.events_pb2 import CommandTaken, TraderFact
from mesh.execution.v1.order_pb2 import StrategyCommand, TraderCommand
from meshkit.times import to_nanos
from services.live_execution.engine.orders import Orders
from services.live_execution.engine.refused import Refused
from services.live_execution.trader.ports import Outside

log = logging.getLogger("trader.commands")

ENDLESS = {"cancel", "cancel_all", "close", "flatten"}
"""Commands that make a trader safer: they are carried out however late they come."""

type Done = Sequence[str]
"""Client order ids that a command made or touched."""


class StrategyChanges(Protocol):
    """What carries out commands about strategies."""

    async def change(self, command: StrategyCommand) -> None:
        """Add, start, stop or remove a strategy. Raises ``Refused``."""


class Commands:
    """Takes the commands of a trader one after the other.

    ``taken`` are the ids of commands that are carried out, by this process or an earlier one.
    ``flatten`` is what does a flatten, and records its end.
    """

    def __init__(
        self,
        outside: Outside,
        orders: Orders,
        strategies: StrategyChanges,
        flatten: Callable[[Any], Awaitable[None]],
        taken: Container[str],
    ) -> None:
        self._outside = outside
        self._orders = orders
        self._strategies = strategies
        self._flatten = flatten
        self._taken = taken
        self._flattens: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Take commands as long as they come."""
        async for command in self._outside.commands():
            await self.take(command)

    async def take(self, command: TraderCommand) -> None:
        """Carry a command out, unless that was done already, and record what became of it."""
        if command.command_id in self._taken:
            return
        taken = CommandTaken(command_id=command.command_id, submitter=command.submitter)
        try:
            taken.client_order_ids.extend(await self._done(command))
        except Refused as refused:
            taken.reason, taken.message = refused.reason, str(refused)
            taken.client_order_ids.extend(refused.client_order_ids)
        except Exception:
            log.exception("command %s could not be carried out", command.command_id)
            taken.reason = "INTERNAL"
            taken.message = "A fault of the trader; its log says more. Look at the orders."
        self._outside.record(TraderFact(command=taken))

    async def _done(self, command: TraderCommand) -> Done:
        kind = command.WhichOneof("command")
        late = command.HasField("expire_time") and time.time_ns() > to_nanos(command.expire_time)
        if late and kind not in ENDLESS:
            raise Refused("COMMAND_EXPIRED", "The trader came to it too late; nothing was sent.")
        match kind:
            case "submit":
                return await self._orders.submit(command.submit)
            case "modify":
                return await self._orders.modify(command.modify)
            case "cancel":
                return await self._orders.cancel(command.cancel)
            case "cancel_all":
                return await self._orders.cancel_all(command.cancel_all)
            case "close":
                return await self._orders.close(command.close, command.command_id)
            case "strategy":
                await self._strategies.change(command.strategy)
            case "flatten":
                # It takes as long as venues do; its end is a fact of its own.
                task = asyncio.ensure_future(self._flatten(command.flatten))
                self._flattens.add(task)
                task.add_done_callback(self._flattens.discard)
            case _:
                raise Refused("INTERNAL", "The trader does not know this command.")
        return ()
