"""What a trader does about halts: it says so, and flattens once where that is wanted."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mesh.execution.v1.events_pb2 import FlattenDone, TraderFact
from mesh.execution.v1.order_pb2 import FlattenCommand
from services.live_execution.trader.ports import HaltNotice, Outside

log = logging.getLogger("trader.halting")


class Halting:
    """Flattens of one trader: by halts and by commands, each id once while it is at work.

    ``run`` does one and returns how it ended; ``instance_of`` gives Nautilus' strategy id of an
    order id tag, empty when there is none.
    """

    def __init__(
        self, outside: Outside, run: Callable[[FlattenCommand], Any], instance_of: Any
    ) -> None:
        self._outside = outside
        self._run = run
        self._instance_of = instance_of
        self._tasks: dict[str, asyncio.Task[FlattenDone]] = {}

    def on_halts(self, halts: Sequence[HaltNotice]) -> None:
        """Begin the flattens that these halts want and that were not begun yet."""
        for halt in halts:
            if halt.flatten_id and halt.flatten_id not in self._tasks:
                self._begin(self._command(halt))

    async def flatten(self, command: FlattenCommand) -> None:
        """Do a flatten, or tell again how one of this id has ended."""
        known = self._tasks.get(command.flatten_id)
        if known is not None and known.done() and not known.cancelled():
            self._outside.record(TraderFact(flatten=known.result()))
        elif known is None:
            await self._begin(command)

    def stop(self) -> None:
        """Give up what is at work: a successor begins it anew."""
        for task in self._tasks.values():
            task.cancel()

    def _begin(self, command: FlattenCommand) -> "asyncio.Task[FlattenDone]":
        task = asyncio.ensure_future(self._do(command))
        self._tasks[command.flatten_id] = task
        return task

    async def _do(self, command: FlattenCommand) -> FlattenDone:
        log.warning("flatten %s begins", command.flatten_id)
        done: FlattenDone = await self._run(command)
        self._outside.record(TraderFact(flatten=done))
        log.warning("flatten %s ends: %s", command.flatten_id, "flat" if done.flat else "NOT FLAT")
        return done

    def _command(self, halt: HaltNotice) -> FlattenCommand:
        kind, _, where = halt.scope.partition(":")
        made = FlattenCommand(flatten_id=halt.flatten_id)
        if kind == "venue":
            made.venue = where
        elif kind == "strategy":
            tag = where.rpartition(":")[2]
            made.strategy_id = self._instance_of(tag) or f"-{tag}"
        return made


def halted_tags(halts: Iterable[HaltNotice]) -> set[str]:
    """Return the order id tags of the strategies that have a halt of their own."""
    return {h.scope.rpartition(":")[2] for h in halts if h.scope.startswith("strategy:")}
