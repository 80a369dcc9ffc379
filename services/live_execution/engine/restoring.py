"""Facts of a trader's earlier lives → its node's cache, as it was, and what it remembers."""

from typing import Any

from nautilus_trader.model.enums import OrderStatus
from nautilus_trader.model.identifiers import ClientId, PositionId, StrategyId
from nautilus_trader.model.instruments import SyntheticInstrument
from nautilus_trader.model.orders import Order
from nautilus_trader.system.kernel import NautilusKernel
from nautilus_trader.trading.strategy import Strategy

from mesh.execution.v1.events_pb2 import TraderFact
from meshkit.times import to_nanos
from services.live_execution.engine import snapshots
from services.live_execution.engine.memory import Memory
from services.live_execution.engine.restoring_ledger import Ledger
from services.live_execution.engine.restoring_positions import oms_of
from services.live_execution.trader.ports import Restored


def restore(kernel: NautilusKernel, restored: Restored) -> Memory:
    """Fill the cache of a node that is built and not started; return what the trader remembers.

    Nothing is published. Balances, orders, positions and their indexes are those of the process
    that wrote the last fact; the portfolio computes its figures from them as the node starts.
    Raises ``snapshots.UnreadableSnapshot``.
    """
    ledger = Ledger(Memory())
    if restored.snapshot:
        snapshots.load(restored.snapshot, ledger)
    for _, body in restored.facts:
        ledger.apply(TraderFact.FromString(body))
    ledger.finish()
    _fill_cache(kernel, ledger)
    _continue_positions(kernel, ledger.memory)
    return ledger.memory


def clock_of(restored: Restored) -> int:
    """Return the data time (unix ns) that a replay had reached; 0 when it never ran."""
    for _, body in reversed(restored.facts):
        fact = TraderFact.FromString(body)
        if fact.WhichOneof("fact") == "clock":
            return to_nanos(fact.clock.ts)
    return snapshots.clock_of(restored.snapshot) if restored.snapshot else 0


def continue_ids(strategy: Strategy, memory: Memory) -> None:
    """Let the ids that a strategy makes go on where they were, so that none comes twice.

    To be called as ``on_start`` begins: before it, Nautilus sets the counts to the numbers of
    orders in its cache, which says nothing of ids that were not used, and of forgotten orders.
    """
    factory, key = strategy.order_factory, str(strategy.id)
    factory.set_client_order_id_count(
        max(factory.get_client_order_id_count(), memory.order_counts.get(key, 0))
    )
    factory.set_order_list_id_count(
        max(factory.get_order_list_id_count(), memory.list_counts.get(key, 0))
    )


def _continue_positions(kernel: NautilusKernel, memory: Memory) -> None:
    generator = kernel.exec_engine._pos_id_generator
    for strategy_id, number in memory.position_counts.items():
        key = StrategyId(strategy_id)
        generator.set_count(key, max(generator.get_count(key), number))


def _fill_cache(kernel: NautilusKernel, ledger: Ledger) -> None:
    cache = kernel.cache
    for currency in ledger.currencies.values():
        cache.add_currency(currency)
    for instrument in ledger.instruments.values():
        _add_instrument(cache, instrument)
    for account in ledger.accounts.values():
        cache.add_account(account)
    for key, order in ledger.orders.items():
        _add_order(cache, order, ledger.order_positions.get(key), ledger.order_clients.get(key))
    cache.cache_order_lists()
    for position in ledger.holdings.earlier:
        cache.snapshot_position(position)
    for position in ledger.holdings.positions.values():
        _add_position(cache, position)


def _add_instrument(cache: Any, instrument: Any) -> None:
    """Add an instrument, unless the node has it already: newer than the recorded one."""
    if isinstance(instrument, SyntheticInstrument):
        if cache.synthetic(instrument.id) is None:
            cache.add_synthetic(instrument)
    elif cache.instrument(instrument.id) is None:
        cache.add_instrument(instrument)


def _add_order(cache: Any, order: Order, position_id: str | None, client_id: str | None) -> None:
    cache.add_order(
        order,
        PositionId(position_id) if position_id else None,
        ClientId(client_id) if client_id else None,
    )
    for each in order.venue_order_ids:
        # A venue that modifies by replacing has given it several.
        cache.add_venue_order_id(order.client_order_id, each, overwrite=True)
    if order.venue_order_id is not None:
        cache.add_venue_order_id(order.client_order_id, order.venue_order_id, overwrite=True)
    cache.update_order(order)
    if order.status == OrderStatus.PENDING_CANCEL:
        cache.update_order_pending_cancel_local(order)


def _add_position(cache: Any, position: Any) -> None:
    cache.add_position(position, oms_of(position.last_event))
    cache.update_position(position)
