"""Flattens at work: begun with a halt or alone, carried on by whichever keeper there is."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mesh.execution.v1.events_pb2 import FlattenDone
from mesh.execution.v1.order_pb2 import FlattenCommand, TraderCommand
from services.live_execution import commanding
from services.live_execution.events import wake
from services.live_execution.names import TraderKey
from services.live_execution.safety import events
from services.live_execution.safety.flatten_store import FlattenStore
from services.live_execution.safety.flattens import (
    AGAIN,
    FLAT,
    GIVE_UP,
    RUNNING,
    WAKE,
    Flatten,
    Part,
    Settings,
    View,
    new_part,
    next_step,
)

log = logging.getLogger("live_execution.flattening")


class Flattening:
    """Begins flattens, and goes on with those that are at work."""

    def __init__(self, store: FlattenStore, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    async def begin(
        self, tx: Any, flatten_id: str, project: str, owner: str, scope: str, reason: str
    ) -> Flatten | None:
        """Store a flatten and send its commands; None when there is one of its id."""
        now = datetime.now(UTC)
        views = await self._store.in_scope(tx, project, scope)
        flat = {v.key.trader_id: v.has_nothing for v in views}
        parts = tuple(new_part(each, now, flat=flat[each]) for each in flat)
        flatten = Flatten(
            flatten_id=flatten_id,
            project=project,
            owner=owner,
            scope=scope,
            reason=reason,
            state=RUNNING,
            create_time=now,
            deadline=now + timedelta(seconds=self._settings.flatten_s),
            update_time=now,
            end_time=None,
            parts=parts,
        )
        if flatten.outcome == FLAT:
            flatten = replace(flatten, state=FLAT, end_time=now)
        if not await self._store.insert(tx, flatten):
            return None
        for view, part in zip(views, parts, strict=True):
            if part.running:
                await self._step(tx, flatten, part, view, first=True)
        whole = await self._store.find(tx, [project], flatten_id)
        assert whole is not None  # it was just stored
        await events.tell_flatten(tx, whole)
        return whole

    async def reported(self, tx: Any, key: TraderKey, report: FlattenDone) -> bool:
        """Take over what a trader reports; False when its flatten is not on record (yet)."""
        flatten = await self._store.find(tx, [key.project], report.flatten_id)
        if flatten is None:
            return False
        for part in flatten.parts:
            if part.body.trader_id == key.trader_id and part.running:
                await self._end_part(tx, flatten, part, part.done(report))
                await self._tell(tx, flatten)
        return True

    async def go_on(self, tx: Any) -> None:
        """Do what is due for each flatten at work."""
        for flatten in await self._store.running(tx):
            changed = False
            for part in flatten.parts:
                if part.running:
                    key = TraderKey(flatten.project, part.body.trader_id)
                    view = await self._store.view(tx, key)
                    changed |= await self._step(tx, flatten, part, view)
            if changed:
                await self._tell(tx, flatten)

    async def _step(
        self, tx: Any, flatten: Flatten, part: Part, view: View | None, *, first: bool = False
    ) -> bool:
        """Do the next thing about a trader; return whether there is something to tell."""
        taken = not first and await self._store.is_taken(tx, part.command_id(flatten.flatten_id))
        step = next_step(
            part,
            view,
            taken=taken,
            now=datetime.now(UTC),
            deadline=flatten.deadline,
            by=self._settings,
        )
        if view is None or step == GIVE_UP:
            await self._give_up(tx, flatten, part, view)
            return True
        if step == WAKE:
            await self._store.wake(tx, view.key)
            await wake(tx)
        if first or step in {WAKE, AGAIN}:
            await self._send(tx, flatten, part, view, safety_mode=step == WAKE)
        return step == WAKE

    async def _send(
        self, tx: Any, flatten: Flatten, part: Part, view: View, *, safety_mode: bool
    ) -> None:
        if part.attempts:
            await commanding.expire(tx, view.key, [part.command_id(flatten.flatten_id)])
        sent = part.sent_again(datetime.now(UTC), view.fence, safety_mode=safety_mode)
        venue, tag = _reach(flatten.scope)
        command = FlattenCommand(flatten_id=flatten.flatten_id, venue=venue, order_id_tag=tag)
        await commanding.put(
            tx,
            view.key,
            "FLATTEN",
            TraderCommand(flatten=command),
            submitter=flatten.owner,
            command_id=sent.command_id(flatten.flatten_id),
        )
        await self._store.put(tx, flatten.flatten_id, sent)

    async def _give_up(self, tx: Any, flatten: Flatten, part: Part, view: View | None) -> None:
        key = TraderKey(flatten.project, part.body.trader_id)
        left = await self._store.left(tx, key, *_reach(flatten.scope))
        await self._end_part(tx, flatten, part, part.given_up(view, left))

    async def _end_part(self, tx: Any, flatten: Flatten, old: Part, part: Part) -> None:
        key = TraderKey(flatten.project, part.body.trader_id)
        await commanding.expire(tx, key, [old.command_id(flatten.flatten_id)])
        await self._store.put(tx, flatten.flatten_id, part)
        if part.body.safety_mode:
            await self._store.let_go(tx, key)
            await wake(tx)
        log.info(
            "flatten ended in a trader",
            extra={"flatten_id": flatten.flatten_id, "trader_id": key.trader_id},
        )

    async def _tell(self, tx: Any, flatten: Flatten) -> None:
        """Write the flatten's own state, and the fact that it went on."""
        now = await self._store.find(tx, [flatten.project], flatten.flatten_id)
        if now is not None:
            await events.tell_flatten(tx, await self._store.end(tx, now))


def _reach(scope: str) -> tuple[str, str]:
    """Return venue and order id tag that a flatten is of in a trader, empty for all."""
    kind, _, name = scope.partition(":")
    return (
        name if kind == "venue" else "",
        name.rpartition(":")[2] if kind == "strategy" else "",
    )
