"""What the facts add up to, as rows: written in the statement that stores the facts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.common.v1.enums_pb2 import OrderStatus
from mesh.execution.v1.events_pb2 import (
    ORDER_EVENT_TYPE_INITIALIZED,
    AccountState,
    CommandTaken,
    Mark,
    Position,
    TraderFact,
)
from mesh.execution.v1.order_pb2 import Order, OrderSource
from mesh.execution.v1.trader_pb2 import Trader, TraderState
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from meshkit.database import Connection
from meshkit.enums import bare
from meshkit.facts import Also
from services.live_execution import projection
from services.live_execution.names import TraderKey
from services.live_execution.trader import projection_sql as sql

KEPT = 20_000
"""Orders and positions kept in memory; others are read again when an event comes."""


@dataclass
class Changes:
    """Rows after a batch of facts, the last state of each."""

    orders: dict[str, Order] = field(default_factory=dict)
    positions: dict[str, tuple[int, Position]] = field(default_factory=dict)
    accounts: dict[str, tuple[int, AccountState]] = field(default_factory=dict)
    instruments: dict[str, tuple[int, InstrumentDefinition]] = field(default_factory=dict)
    marks: dict[str, tuple[int, Mark]] = field(default_factory=dict)
    commands: dict[str, CommandTaken] = field(default_factory=dict)
    reports: list[tuple[int, bytes]] = field(default_factory=list)
    trader: Trader | None = None
    data_time: Timestamp | None = None


class Projections:
    """Folds facts into rows.

    ``submitters`` are those of orders by hand that this process was told to make; for others the
    command is looked up.
    """

    def __init__(self, key: TraderKey, fence: int, submitters: Mapping[str, str]) -> None:
        self._key = key
        self._fence = fence
        self._submitters = submitters
        self._orders: dict[str, Order] = {}
        self._positions: dict[str, Position] = {}
        self._loaded = False

    def forget(self) -> None:
        """Read rows again: what became of the last transaction is not known."""
        self._orders.clear()
        self._positions.clear()
        self._loaded = False

    async def fold(
        self, connection: Connection, facts: Sequence[tuple[int, TraderFact]]
    ) -> Changes:
        """Return what the facts change."""
        await self._load(connection, facts)
        submitters = await self._made_by(connection, facts)
        changes = Changes()
        for number, fact in facts:
            self._take(changes, number, fact, submitters)
        return changes

    def writes(self, changes: Changes) -> list[Also]:
        """Return the statements that write rows, for the one that appends the facts."""
        return [
            (statement, [*self._key, *_columns(rows)])
            for statement, rows in (
                (sql.ORDERS, [order_row(order) for order in changes.orders.values()]),
                (sql.POSITIONS, [position_row(*each) for each in changes.positions.values()]),
                (sql.ACCOUNTS, _bodies(changes.accounts)),
                (sql.INSTRUMENTS, _bodies(changes.instruments)),
                (sql.MARKS, _bodies(changes.marks)),
                (sql.REPORTS, changes.reports),
            )
            if rows
        ] + [*self._commands(changes.commands), *self._trader(changes)]

    def committed(self) -> None:
        """Keep what may be needed again; the transaction went through."""
        if len(self._orders) > KEPT:
            self._orders = {k: o for k, o in self._orders.items() if projection.is_open(o)}
        if len(self._positions) > KEPT:
            self._positions.clear()

    async def _load(self, connection: Connection, facts: Sequence[tuple[int, TraderFact]]) -> None:
        if not self._loaded:  # all that are open: an order that is not among them is new or closed
            self._take_rows(await connection.fetch(sql.SELECT_OPEN_ORDERS, *self._key))
            self._loaded = True
        closed = _touched_orders(facts) - self._orders.keys()
        if closed:
            rows = await connection.fetch(sql.SELECT_ORDERS, *self._key, list(closed))
            self._take_rows(rows)
        adjusted = {
            fact.position.position.position_id
            for _, fact in facts
            if fact.WhichOneof("fact") == "position"
        } - self._positions.keys()
        if adjusted:
            for row in await connection.fetch(sql.SELECT_POSITIONS, *self._key, list(adjusted)):
                self._positions[row["position_id"]] = Position.FromString(row["body"])

    def _take_rows(self, rows: Iterable[Any]) -> None:
        for row in rows:
            self._orders[row["client_order_id"]] = Order.FromString(row["body"])

    async def _made_by(
        self, connection: Connection, facts: Sequence[tuple[int, TraderFact]]
    ) -> Mapping[str, str]:
        missing = [
            fact.order.client_order_id
            for _, fact in facts
            if _is_new(fact)
            and projection.source(fact.order.strategy_id) == OrderSource.ORDER_SOURCE_MANUAL
            and fact.order.client_order_id not in self._submitters
            and fact.order.client_order_id not in self._orders
        ]
        if not missing:
            return self._submitters
        rows = await connection.fetch(sql.SELECT_SUBMITTERS, *self._key, missing)
        return {**self._submitters, **{row["key"]: row["submitter"] for row in rows}}

    def _take(
        self, changes: Changes, number: int, fact: TraderFact, submitters: Mapping[str, str]
    ) -> None:
        match fact.WhichOneof("fact"):
            case "order" | "unknown":
                self._take_order(changes, number, fact, submitters)
            case "position":
                self._take_position(changes, number, fact)
            case "account":
                changes.accounts[fact.account.account_id] = number, fact.account
            case "instrument":
                changes.instruments[fact.instrument.instrument_id] = number, fact.instrument
            case "marks":
                changes.marks |= {m.instrument_id: (number, m) for m in fact.marks.marks}
            case "command":
                changes.commands[fact.command.command_id] = fact.command
            case "flatten" | "limit":
                changes.reports.append((number, fact.SerializeToString()))
            case "trader":
                changes.trader = fact.trader.trader
            case "clock":
                changes.data_time = fact.clock.ts

    def _take_order(
        self, changes: Changes, number: int, fact: TraderFact, submitters: Mapping[str, str]
    ) -> None:
        if fact.WhichOneof("fact") == "unknown":
            key = fact.unknown.client_order_id
            after = projection.unknown(self._orders.get(key), fact.unknown, number)
        else:
            key = fact.order.client_order_id
            submitter = submitters.get(key, "")
            after = projection.order(self._orders.get(key), fact.order, number, submitter)
        if after is not None:
            self._orders[key] = changes.orders[key] = after

    def _take_position(self, changes: Changes, number: int, fact: TraderFact) -> None:
        key = fact.position.position.position_id
        after = projection.position(self._positions.get(key), fact.position)
        if after is not None:
            self._positions[key] = after
            changes.positions[key] = number, after

    def _commands(self, commands: Mapping[str, CommandTaken]) -> list[Also]:
        if not commands:
            return []
        taken = commands.values()
        states = [command_state(each) for each in taken]
        texts = [[each.reason for each in taken], [each.message for each in taken]]
        ids = [UUID(command_id) for command_id in commands]
        return [
            (sql.COMMANDS, [ids, states, *texts]),
            (sql.OUTBOX_DONE, [self._key.commands, list(commands)]),
        ]

    def _trader(self, changes: Changes) -> list[Also]:
        trader, data_time = changes.trader, changes.data_time
        if trader is None:
            if data_time is None:
                return []
            return [(sql.DATA_TIME, [*self._key, self._fence, _time(data_time)])]
        if data_time is None and trader.HasField("data_time"):
            data_time = trader.data_time
        values = [
            bare(TraderState, trader.state),
            _time(trader.state_time),
            trader.reason,
            trader.message,
            list(trader.restrictions),
            [each.SerializeToString() for each in trader.strategies],
            trader.replay_ended,
            list(trader.halt_ids),
            _time(data_time) if data_time is not None else None,
        ]
        return [(sql.TRADER, [*self._key, self._fence, *values])]


def order_row(order: Order) -> tuple[Any, ...]:
    """Return an order as the columns of its table."""
    return (
        order.client_order_id,
        order.instrument_id,
        order.strategy_id,
        bare(OrderSource, order.source),
        bare(OrderStatus, order.status),
        projection.is_open(order),
        _time(order.ts_init),
        order.fact_number,
        order.SerializeToString(),
    )


def position_row(number: int, position: Position) -> tuple[Any, ...]:
    """Return a position as the columns of its table."""
    return (
        position.position_id,
        position.instrument_id,
        position.strategy_id,
        projection.is_position_open(position),
        _time(position.ts_opened),
        number,
        position.SerializeToString(),
    )


def command_state(taken: CommandTaken) -> str:
    """Return the state of a command that was taken."""
    if not taken.reason:
        return "DONE"
    return "EXPIRED" if taken.reason == "COMMAND_EXPIRED" else "REFUSED"


class _Body(Protocol):
    def SerializeToString(self) -> bytes: ...  # noqa: N802  # protobuf's


def _bodies(found: Mapping[str, tuple[int, _Body]]) -> list[tuple[str, int, bytes]]:
    return [(key, number, each.SerializeToString()) for key, (number, each) in found.items()]


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _touched_orders(facts: Sequence[tuple[int, TraderFact]]) -> set[str]:
    """Return the orders of events that need to know what was before."""
    made: set[str] = set()
    touched: set[str] = set()
    for _, fact in facts:
        if _is_new(fact):
            made.add(fact.order.client_order_id)
        elif fact.WhichOneof("fact") == "order":
            touched.add(fact.order.client_order_id)
        elif fact.WhichOneof("fact") == "unknown":
            touched.add(fact.unknown.client_order_id)
    return touched - made


def _is_new(fact: TraderFact) -> bool:
    return fact.WhichOneof("fact") == "order" and fact.order.type == ORDER_EVENT_TYPE_INITIALIZED


def _time(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(UTC)
