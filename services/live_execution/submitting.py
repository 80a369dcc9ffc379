"""Orders by hand: each is committed once under its client order id, and may be waited for."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.execution.v1 import order_pb2 as pb
from mesh.execution.v1 import order_service_pb2 as rpc
from meshkit.context import caller, deadline
from meshkit.database import Database
from services.live_execution import commanding
from services.live_execution.errors import TraderHalted, TraderNotRunning, no_trader
from services.live_execution.names import TraderKey
from services.live_execution.order_convert import CommandRow, Goal, Submission
from services.live_execution.order_errors import (
    OrderDenied,
    bad_order,
    id_reused,
    no_instrument,
    refused,
)
from services.live_execution.order_store import Ground, OrderStore
from services.live_execution.safety.latch import Latch
from services.live_execution.sending import Sender
from services.live_execution.tickets import check_list, check_ticket
from services.live_execution.waiting import Waiting, left

MANUAL = "MANUAL"
"""Order id tag of the desk through which orders by hand go."""


@dataclass(frozen=True)
class Answer:
    """What is known of a submission when it is answered."""

    command: CommandRow
    outcome: rpc.Outcome.ValueType
    orders: dict[str, pb.Order]


class Submitting:
    """Commits orders and waits for what becomes of them."""

    def __init__(
        self,
        database: Database,
        store: OrderStore,
        latch: Latch,
        waiting: Waiting,
        sender: Sender,
    ) -> None:
        self._database = database
        self._store = store
        self._latch = latch
        self._waiting = waiting
        self._sender = sender

    async def submit(
        self,
        key: TraderKey,
        submission: Submission,
        wait_for: int,
        bound: float,
        expires: Timestamp,
    ) -> Answer:
        """Submit orders, unless that was done before; wait at most ``bound`` seconds."""
        new = commanding.new(
            key,
            submission.kind,
            caller().subject,
            client_order_ids=submission.client_order_ids,
            expires=expires,
        )
        if not wait_for:
            command = await self._once(key, submission, new)
            orders = {} if command is new else await self._orders(command)
            return Answer(command, rpc.OUTCOME_COMMITTED, orders)
        goal = Goal.of(wait_for, submission.orders)
        with self._waiting.expecting(goal, new.command_id) as waiter:
            command = await self._once(key, submission, new)
            if command is not new:
                waiter.command_id = command.command_id
                self._waiting.look()
            now = asyncio.get_running_loop().time()
            reached = await self._waiting.wait(waiter, left(bound, deadline(), now))
        return _answer(goal, waiter.command or command, waiter.orders, reached=reached)

    async def check_preview(self, key: TraderKey, submission: Submission) -> None:
        """Raise what a submission would be refused for, but for what the trader alone knows."""
        async with self._database.connection() as tx:
            ground = await self._ground(tx, key, submission)
        if ground.keys:
            raise id_reused(submission.client_order_ids[0])
        _check(key, submission, ground)

    async def _orders(self, command: CommandRow) -> dict[str, pb.Order]:
        async with self._database.connection() as tx:
            found = await self._store.awaited(tx, [command.command_id])
        return found[command.command_id][1] if command.command_id in found else {}

    async def _once(self, key: TraderKey, submission: Submission, new: CommandRow) -> CommandRow:
        """Commit the new command, or return the one that submitted the same orders before."""
        async with self._database.connection() as tx:
            ground = await self._ground(tx, key, submission)
            if (first := _first(ground, submission)) is not None:
                return await self._earlier(tx, key, first)
            _check(key, submission, ground)
            body = commanding.body(new, submission.command)
            rows = await self._stored(tx, key, submission, new, body)
            if rows is None:  # somebody was faster with one of the ids
                first = _first(await self._ground(tx, key, submission), submission)
                if first is None:
                    raise id_reused(submission.client_order_ids[0])
                return await self._earlier(tx, key, first)
        await self._sender.send(rows)
        return new

    async def _stored(
        self, tx: Any, key: TraderKey, submission: Submission, new: CommandRow, body: bytes
    ) -> Any:
        if len(submission.keys) == 1:
            return await self._store.submit(tx, key, submission, new, body)
        transaction = tx.transaction()
        await transaction.start()
        try:
            rows = await self._store.submit(tx, key, submission, new, body)
        except BaseException:
            await transaction.rollback()
            raise
        await (transaction.rollback() if rows is None else transaction.commit())
        return rows

    async def _ground(self, tx: Any, key: TraderKey, submission: Submission) -> Ground:
        venues = {venue_of(each) for each in submission.instrument_ids}
        scopes = [scope for venue in venues for scope in scopes_of(key, venue)]
        latches = {name for venue in venues for name in key.latches(venue, MANUAL)}
        ground, halt_id = await asyncio.gather(
            self._store.ground(tx, key, scopes, submission), self._latch.forbidding(latches)
        )
        if ground is None:
            raise no_trader(key.trader_id)
        return ground.halted(halt_id)

    async def _earlier(self, tx: Any, key: TraderKey, command_id: str) -> CommandRow:
        found = await self._store.command(tx, [key.project], command_id)
        assert found is not None  # a key is stored with its command, and both are kept
        return found


def scopes_of(key: TraderKey, venue: str = "") -> list[str]:
    """Return the scopes of halts that reach an order by hand, of a venue if one is named."""
    scopes = ["all", f"trader:{key.trader_id}", f"strategy:{key.trader_id}:{MANUAL}"]
    return [*scopes, f"venue:{venue}"] if venue else scopes


def venue_of(instrument_id: str) -> str:
    """Return the venue of an instrument id."""
    return instrument_id.rpartition(".")[2]


def check_takes(key: TraderKey, ground: Ground, *, halt: bool) -> None:
    """Raise unless a trader takes commands; with ``halt`` those that a halt forbids."""
    if not ground.takes_commands:
        state = "in safety mode" if ground.safety_mode else ground.state
        raise TraderNotRunning(
            f"The trader '{key.trader_id}' is {state}, and takes no orders. Start it first.",
            metadata={"trader_id": key.trader_id, "state": ground.state},
        )
    if halt and ground.halt_id:
        raise TraderHalted(
            f"A halt is in force for '{key.trader_id}', and nothing was sent. ResetHalt, once its "
            "cause is gone.",
            metadata={"trader_id": key.trader_id, "halt_id": ground.halt_id},
        )


def _first(ground: Ground, submission: Submission) -> str | None:
    """Return the command that submitted the same before, None when nobody did.

    Raises ``OrderIdReused`` when one of the ids was used for anything else.
    """
    used = {key: ground.keys[key] for key in submission.keys if key in ground.keys}
    for key, (body_hash, _) in used.items():
        if body_hash != submission.keys[key]:
            raise id_reused(key.removeprefix("list/"))
    commands = {command_id for _, command_id in used.values()}
    if not commands:
        return None
    if len(commands) > 1 or len(used) < len(submission.keys):
        raise id_reused(next(iter(used)).removeprefix("list/"))
    return commands.pop()


def _check(key: TraderKey, submission: Submission, ground: Ground) -> None:
    check_takes(key, ground, halt=True)
    for made in ground.made:
        raise id_reused(made)
    for each in submission.instrument_ids:
        if venue_of(each) not in ground.venues:
            raise no_instrument(
                each,
                f"The trader '{key.trader_id}' has no account at the venue of '{each}'; it trades "
                f"at {', '.join(sorted(ground.venues))}.",
            )
    orders = submission.orders
    definitions = [ground.instruments.get(each.instrument_id) for each in orders]
    if submission.order_list_id:
        faults = check_list(orders, submission.order_list_id, definitions=definitions)
    else:
        faults = check_ticket(orders[0], definitions[0])
    if faults:
        raise bad_order(faults)


def _answer(
    goal: Goal, command: CommandRow, orders: dict[str, pb.Order], *, reached: bool
) -> Answer:
    first = next(iter(goal.statuses), "")
    if command.refused:
        raise refused(command.reason, command.message, first)
    if (denied := goal.denied(orders)) is not None:
        raise OrderDenied(
            f"The order was denied: {denied.reason}",
            metadata={"client_order_id": denied.client_order_id},
        )
    return Answer(command, rpc.OUTCOME_REACHED if reached else rpc.OUTCOME_UNKNOWN, orders)


def in_order(orders: dict[str, pb.Order], ids: Iterable[str]) -> list[pb.Order]:
    """Return the orders that are there, in the order of their ids."""
    return [orders[each] for each in ids if each in orders]
