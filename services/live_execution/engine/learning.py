"""Facts → what a trader remembers."""

import re
from collections.abc import Callable
from decimal import Decimal

from mesh.execution.v1 import events_pb2 as pb
from meshkit.times import to_nanos
from services.live_execution.engine.memory import Memory, Realized

COMMANDS = 10_000
"""How many ids of taken commands are kept: one that is older is given to nobody any more."""

POSITIONS = 500
"""How many closed positions a snapshot holds."""

NO_OUTCOME = frozenset(
    {
        pb.ORDER_EVENT_TYPE_INITIALIZED,
        pb.ORDER_EVENT_TYPE_EMULATED,
        pb.ORDER_EVENT_TYPE_RELEASED,
        pb.ORDER_EVENT_TYPE_SUBMITTED,
        pb.ORDER_EVENT_TYPE_PENDING_UPDATE,
        pb.ORDER_EVENT_TYPE_PENDING_CANCEL,
    }
)
"""Types of events that say nothing about what a venue did."""


FLATTENS = 100
"""Ended flattens that are remembered: a halt that is still in force may name one of them."""


def learn(memory: Memory, fact: pb.TraderFact) -> None:
    """Take note of a fact."""
    noted = _LEARN.get(fact.WhichOneof("fact") or "")
    if noted is not None:
        noted(memory, fact)


def _order(memory: Memory, fact: pb.TraderFact) -> None:
    event = fact.order
    if event.type == pb.ORDER_EVENT_TYPE_INITIALIZED:
        memory.live_orders[event.client_order_id] = None
        _count(memory, event)
    elif event.type not in NO_OUTCOME:
        memory.intents.pop(event.client_order_id, None)
        memory.unknown.discard(event.client_order_id)


def _count(memory: Memory, event: pb.OrderEvent) -> None:
    """Keep the highest numbers of a strategy's own ids."""
    strategy_id = event.strategy_id
    number = number_of(event.client_order_id, event.trader_id, strategy_id)
    if number > memory.order_counts.get(strategy_id, 0):
        memory.order_counts[strategy_id] = number
    list_id = event.initialized.order_list_id
    if list_id:
        number = number_of(list_id, event.trader_id, strategy_id)
        if number > memory.list_counts.get(strategy_id, 0):
            memory.list_counts[strategy_id] = number


def number_of(value: str, trader_id: str, strategy_id: str) -> int:
    """Return the number at the end of an id that Nautilus makes; 0 of any other id.

    ``O-20260101-120000-<trader>-<strategy>-7``, ``OL-…``, ``P-…`` (``7F`` after a flip), and
    ``O20260101120000<trader><strategy>7``.
    """
    trader, strategy = trader_id.rpartition("-")[2], strategy_id.rpartition("-")[2]
    found = _HYPHENS.match(value)
    if found is not None:
        return int(found[2]) if found[1] == f"{trader}-{strategy}" else 0
    prefix = 15 + len(trader) + len(strategy)
    bare = value[prefix:]
    plain = value[:1] == "O" and value[1:15].isdigit() and value[15:prefix] == trader + strategy
    return int(bare) if plain and bare.isdigit() else 0


_HYPHENS = re.compile(r"(?:O|OL|P)-\d{8}-\d{6}-(.+)-(\d+)F?$")


def _position(memory: Memory, fact: pb.TraderFact) -> None:
    position = fact.position.position
    key = position.position_id
    if fact.position.type == pb.POSITION_EVENT_TYPE_CLOSED:
        memory.closed_positions.pop(key, None)
        memory.closed_positions[key] = position
        memory.latest_closed[kind_of(position)] = key
        if len(memory.closed_positions) > POSITIONS:
            _forget_oldest(memory)
    elif fact.position.type == pb.POSITION_EVENT_TYPE_OPENED:
        _opened(memory, position)


def _opened(memory: Memory, position: pb.Position) -> None:
    key = position.position_id
    number = number_of(key, position.trader_id, position.strategy_id)
    if number > memory.position_counts.get(position.strategy_id, 0):
        memory.position_counts[position.strategy_id] = number
    former = memory.closed_positions.pop(key, None)
    if former is not None and key == f"{position.instrument_id}-{position.strategy_id}":
        # NETTING. Of a HEDGING position that a late fill opens again Nautilus keeps nothing.
        _add(memory.cycles, key, former)


def kind_of(position: pb.Position) -> str:
    """Return what closed positions are summed up by."""
    return f"{position.instrument_id}|{position.strategy_id}|{position.account_id}"


def _forget_oldest(memory: Memory) -> None:
    """Forget the oldest closed position that is not the last one of its kind."""
    for key, position in memory.closed_positions.items():
        if memory.latest_closed.get(kind_of(position)) != key:
            _forget(memory, key)
            return


def _forget(memory: Memory, key: str) -> None:
    """Sum up a closed position that a snapshot holds no more, with its earlier lives."""
    position = memory.closed_positions.pop(key)
    memory.holdings.pop(key, None)
    kind = kind_of(position)
    _add(memory.realized, kind, position)
    earlier = memory.cycles.pop(key, None)
    if earlier is not None:
        found = memory.realized[kind]
        found.count += earlier.count
        found.total += earlier.total


def _add(sums: dict[str, Realized], key: str, position: pb.Position) -> None:
    pnl = position.realized_pnl
    found = sums.get(key)
    if found is None:
        found = sums[key] = Realized(
            instrument_id=position.instrument_id,
            strategy_id=position.strategy_id,
            account_id=position.account_id,
            currency=pnl.currency,
        )
    found.add(Decimal(pnl.amount or "0"))


def _intent(memory: Memory, fact: pb.TraderFact) -> None:
    for client_order_id in fact.intent.client_order_ids:
        memory.intents[client_order_id] = fact.intent


def _command(memory: Memory, fact: pb.TraderFact) -> None:
    memory.commands[fact.command.command_id] = None
    if len(memory.commands) > COMMANDS:
        del memory.commands[next(iter(memory.commands))]


def _saved(memory: Memory, fact: pb.TraderFact) -> None:
    """Keep what a component saved; an empty state is one that is to be forgotten."""
    saved = fact.saved
    memory.strategy_states[saved.instance_id] = dict(saved.state)
    memory.state_versions[saved.instance_id] = saved.version
    if not saved.state:
        del memory.strategy_states[saved.instance_id]
        del memory.state_versions[saved.instance_id]


def _failed(memory: Memory, fact: pb.TraderFact) -> None:
    memory.strategy_failures[fact.failed.instance_id] = fact.failed


def _component(memory: Memory, fact: pb.TraderFact) -> None:
    if fact.component.state == "RUNNING":
        memory.strategy_failures.pop(fact.component.component_id, None)


def _clock(memory: Memory, fact: pb.TraderFact) -> None:
    memory.clock_ns = to_nanos(fact.clock.ts)
    memory.rows = fact.clock.rows
    memory.market = fact.clock.market


def _marks(memory: Memory, fact: pb.TraderFact) -> None:
    memory.marks.update((mark.instrument_id, mark) for mark in fact.marks.marks)


def _unknown(memory: Memory, fact: pb.TraderFact) -> None:
    memory.unknown.add(fact.unknown.client_order_id)


def _instrument(memory: Memory, fact: pb.TraderFact) -> None:
    memory.instruments.add(fact.instrument.instrument_id)


def _currency(memory: Memory, fact: pb.TraderFact) -> None:
    memory.currencies.add(fact.currency.code)


def _flatten(memory: Memory, fact: pb.TraderFact) -> None:
    memory.flattens.pop(fact.flatten.flatten_id, None)
    memory.flattens[fact.flatten.flatten_id] = fact.flatten
    if len(memory.flattens) > FLATTENS:
        del memory.flattens[next(iter(memory.flattens))]


_LEARN: dict[str, Callable[[Memory, pb.TraderFact], None]] = {
    "order": _order,
    "position": _position,
    "intent": _intent,
    "command": _command,
    "saved": _saved,
    "failed": _failed,
    "component": _component,
    "clock": _clock,
    "marks": _marks,
    "unknown": _unknown,
    "instrument": _instrument,
    "currency": _currency,
    "flatten": _flatten,
}
