"""What a trader does about halts: it says so, and flattens once where that is wanted."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mesh.execution.v1.events_pb2 import FlattenDone, TraderFact
from mesh.execution.v1.order_pb2 import FlattenCommand
from services.live_execution.trader.ports import HaltNotice, Outside

log = logging.getLogger("trader.halting")


class Halting:
    """Flattens of one trader: by halts and by commands, each id once over all its lives.

    ``run`` does one and returns how it ended; ``ended`` has those that did, by id: what is
    recorded goes into it.
    """

    def __init__(
        self,
        outside: Outside,
        run: Callable[[FlattenCommand], Any],
        ended: Mapping[str, FlattenDone],
    ) -> None:
        self._outside = outside
        self._run = run
        self._ended = ended
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def on_halts(self, halts: Sequence[HaltNotice]) -> None:
        """Begin the flattens that these halts want and that were not begun yet."""
        for halt in halts:
            known = halt.flatten_id in self._tasks or halt.flatten_id in self._ended
            if halt.flatten_id and not known:
                self._begin(self._command(halt))

    async def flatten(self, command: FlattenCommand) -> None:
        """Do a flatten, or tell again how one of this id has ended."""
        ended = self._ended.get(command.flatten_id)
        if ended is not None:
            self._outside.record(TraderFact(flatten=ended))
        elif command.flatten_id not in self._tasks:
            await self._begin(command)

    def stop(self) -> None:
        """Give up what is at work: a successor begins it anew."""
        for task in tuple(self._tasks.values()):
            task.cancel()

    def _begin(self, command: FlattenCommand) -> "asyncio.Task[None]":
        task = asyncio.ensure_future(self._do(command))
        self._tasks[command.flatten_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(command.flatten_id, None))
        return task

    async def _do(self, command: FlattenCommand) -> None:
        log.warning("flatten %s begins", command.flatten_id)
        done: FlattenDone = await self._run(command)
        self._outside.record(TraderFact(flatten=done))
        log.warning("flatten %s ends: %s", command.flatten_id, "flat" if done.flat else "NOT FLAT")

    def _command(self, halt: HaltNotice) -> FlattenCommand:
        kind, _, where = halt.scope.partition(":")
        made = FlattenCommand(flatten_id=halt.flatten_id)
        if kind == "venue":
            made.venue = where
        elif kind == "strategy":
            made.order_id_tag = where.rpartition(":")[2]
        return made


def halted_tags(halts: Iterable[HaltNotice]) -> set[str]:
    """Return the order id tags of the strategies that have a halt of their own."""
    return {h.scope.rpartition(":")[2] for h in halts if h.scope.startswith("strategy:")}
