"""Whole states of a trader: what a restore begins with, however long the history is.

A snapshot holds currencies, instruments, accounts, open orders and positions whole, the last
closed ones, and of the others what Nautilus needs: their profits summed up and their ids. It is
made of facts, so that it is read by what reads facts.
"""

import zlib
from collections.abc import Iterable
from typing import Any

import msgspec
from nautilus_trader.model.currencies import Currency
from nautilus_trader.model.enums import PositionAdjustmentType
from nautilus_trader.model.events import PositionAdjusted
from nautilus_trader.model.identifiers import ClientOrderId, PositionId
from nautilus_trader.model.objects import Money
from nautilus_trader.model.orders import Order
from nautilus_trader.model.position import Position
from nautilus_trader.system.kernel import NautilusKernel

from mesh.execution.v1 import events_pb2 as pb
from meshkit.nautilus.execution import from_fact, to_fact
from services.live_execution.engine.memory import Memory
from services.live_execution.engine.restoring_ledger import Ledger
from services.live_execution.engine.restoring_positions import summed

VERSION = 1

ORDERS = 2_000
"""How many closed orders a snapshot holds."""

FORGOTTEN = 100_000
"""How many ids of older ones it holds."""


class UnreadableSnapshot(Exception):
    """A snapshot of another version, or not one."""


class _Account(msgspec.Struct):
    """An account: its first state (it began with that), its last one, and what it has paid."""

    account_id: str
    states: list[bytes]
    commissions: list[str]


class _Order(msgspec.Struct):
    """An order: its events, and the position and the client that it has in the cache."""

    events: list[bytes]
    position_id: str
    client_id: str


class _Holding(msgspec.Struct):
    """A position: its fills, and the adjustments that no fill makes."""

    instrument_id: str
    fills: list[bytes]
    adjustments: list[bytes]


class _Snapshot(msgspec.Struct):
    """Bytes are ``TraderFact`` messages."""

    version: int
    trader_id: str
    definitions: list[bytes]
    accounts: list[_Account]
    orders: list[_Order]
    holdings: list[_Holding]
    memory: Memory


def make(kernel: NautilusKernel, memory: Memory) -> bytes:
    """Return a snapshot of a node that runs: everything up to the last fact that was recorded."""
    cache, trader_id = kernel.cache, str(kernel.trader_id)
    _sweep(cache, memory)
    keys = [*memory.closed_orders, *memory.live_orders]
    body = _Snapshot(
        version=VERSION,
        trader_id=trader_id,
        definitions=list(_definitions(cache, memory)),
        accounts=[_account(each, trader_id) for each in cache.accounts()],
        orders=[_order(cache, ClientOrderId(key), memory) for key in keys],
        holdings=[_holding(position, memory) for position in _positions(cache, memory)],
        memory=msgspec.structs.replace(memory, records={}, holdings={}),
    )
    return zlib.compress(msgspec.msgpack.encode(body, enc_hook=_encode), 1)


def load(body: bytes, ledger: Ledger) -> None:
    """Fill a ledger and its memory from a snapshot. Raises ``UnreadableSnapshot``."""
    snapshot = _read(body)
    ledger.memory = snapshot.memory
    for each in snapshot.definitions:
        ledger.define(pb.TraderFact.FromString(each))
    for account in snapshot.accounts:
        _load_account(account, ledger)
    for order in snapshot.orders:
        _load_order(order, ledger)
    for holding in snapshot.holdings:
        _load_holding(holding, ledger)
    _load_sums(snapshot, ledger)


def clock_of(body: bytes) -> int:
    """Return the data time (unix ns) that a snapshot holds. Raises ``UnreadableSnapshot``."""
    return _read(body).memory.clock_ns


def _encode(value: Any) -> bytes:
    body: bytes = value.SerializeToString()  # msgspec knows everything but protobuf messages
    return body


def _decode(kind: type, value: Any) -> Any:
    return kind.FromString(value)  # type: ignore[attr-defined]  # a protobuf message


def _read(body: bytes) -> _Snapshot:
    try:
        plain = zlib.decompress(body)
        snapshot = msgspec.msgpack.decode(plain, type=_Snapshot, dec_hook=_decode)
    except (zlib.error, msgspec.DecodeError):
        raise UnreadableSnapshot("it is no snapshot of this version of the mesh") from None
    if snapshot.version != VERSION:
        raise UnreadableSnapshot(f"its version is {snapshot.version}, and {VERSION} is known")
    return snapshot


def _sweep(cache: Any, memory: Memory) -> None:
    """Move the orders that have closed since the last snapshot; forget the oldest of them."""
    closed: list[Order] = []
    for key in list(memory.live_orders):
        order = cache.order(ClientOrderId(key))
        if order is None or order.is_closed:
            del memory.live_orders[key]
        if order is not None and order.is_closed:
            closed.append(order)
    closed.sort(key=lambda order: int(order.ts_last))
    for order in closed:
        memory.closed_orders[order.client_order_id.value] = None
    while len(memory.closed_orders) > ORDERS:
        key = next(iter(memory.closed_orders))
        del memory.closed_orders[key]
        memory.records.pop(key, None)
        memory.forgotten[key] = None
    while len(memory.forgotten) > FORGOTTEN:
        del memory.forgotten[next(iter(memory.forgotten))]


def _fact(thing: object, trader_id: str = "") -> bytes:
    fact = to_fact(thing, trader_id)
    if fact is None:
        raise TypeError(f"{type(thing).__name__} has no fact")
    return fact.SerializeToString()


def _definitions(cache: Any, memory: Memory) -> Iterable[bytes]:
    for code in sorted(memory.currencies):
        yield _fact(Currency.from_str(code))
    for instrument in (*cache.instruments(), *cache.synthetics()):
        if str(instrument.id) in memory.instruments:
            yield _fact(instrument)


def _account(account: Any, trader_id: str) -> _Account:
    first, last = account.events[0], account.last_event
    return _Account(
        account_id=str(account.id),
        states=[_fact(each, trader_id) for each in ([first] if first is last else [first, last])],
        commissions=[str(paid) for paid in account.commissions().values()],
    )


def _load_account(account: _Account, ledger: Ledger) -> None:
    for each in account.states:
        ledger.account(pb.TraderFact.FromString(each))
    for paid in account.commissions:
        ledger.accounts[account.account_id].update_commissions(Money.from_str(paid))


def _order(cache: Any, key: ClientOrderId, memory: Memory) -> _Order:
    order = cache.order(key)
    position_id, client_id = cache.position_id(key), cache.client_id(key)
    return _Order(
        events=_events(order, memory),
        position_id=str(position_id) if position_id is not None else "",
        client_id=str(client_id) if client_id is not None else "",
    )


def _events(order: Order, memory: Memory) -> list[bytes]:
    """Return the facts of an order's events; those of a closed order are made once."""
    key, count = order.client_order_id.value, order.event_count
    known = memory.records.get(key)
    if known is not None and known[0] == count:
        return known[1]
    facts = [_fact(each) for each in order.events]
    if order.is_closed:
        memory.records[key] = (count, facts)
    return facts


def _load_order(order: _Order, ledger: Ledger) -> None:
    key = ""
    for each in order.events:
        fact = pb.TraderFact.FromString(each)
        key = fact.order.client_order_id
        ledger.order(fact.order, fact)
    if order.position_id:
        ledger.order_positions[key] = order.position_id
    if order.client_id:
        ledger.order_clients[key] = order.client_id


def _positions(cache: Any, memory: Memory) -> Iterable[Position]:
    for key in memory.closed_positions:
        position = cache.position(PositionId(key))
        if position is not None and position.is_closed:
            yield position
    yield from cache.positions_open()


def _holding(position: Position, memory: Memory) -> _Holding:
    other = [
        each
        for each in position.adjustments
        if each.adjustment_type != PositionAdjustmentType.COMMISSION  # a fill makes it again
    ]
    return _Holding(
        instrument_id=str(position.instrument_id),
        fills=_fills(position, memory),
        adjustments=[_fact(each) for each in other],
    )


def _fills(position: Position, memory: Memory) -> list[bytes]:
    """Return the facts of a position's fills; those of a closed one are made once."""
    key = position.id.value
    known = memory.holdings.get(key)
    if known is not None and known[0] == position.ts_last:
        return known[1]
    facts = [_fact(each) for each in position.events]
    if position.is_closed:
        memory.holdings[key] = (position.ts_last, facts)
    return facts


def _load_holding(holding: _Holding, ledger: Ledger) -> None:
    instrument = ledger.instruments[holding.instrument_id]
    fills = [from_fact(pb.TraderFact.FromString(each)) for each in holding.fills]
    position = Position(instrument, fills[0])
    for fill in fills[1:]:
        position.apply(fill)
    for each in holding.adjustments:
        adjusted: PositionAdjusted = from_fact(pb.TraderFact.FromString(each))
        position.apply_adjustment(adjusted)
    ledger.holdings.positions[position.id.value] = position


def _load_sums(snapshot: _Snapshot, ledger: Ledger) -> None:
    """Put summed profits where Nautilus' portfolio looks for those of earlier positions.

    It tells the last life of a position from the others, so that one is separate.
    """
    memory, earlier, trader_id = ledger.memory, ledger.holdings.earlier, snapshot.trader_id
    for position_id, of in memory.cycles.items():
        instrument = ledger.instruments[of.instrument_id]
        if of.count > 1:
            rest = of.total - of.last
            earlier.append(summed(instrument, of, trader_id, position_id, rest))
        earlier.append(summed(instrument, of, trader_id, position_id, of.last))
    for kind, of in memory.realized.items():
        instrument = ledger.instruments[of.instrument_id]
        earlier.append(summed(instrument, of, trader_id, f"SUM|{kind}", of.total))
