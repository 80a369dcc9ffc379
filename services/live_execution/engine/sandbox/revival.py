"""Sandboxes as they were, from the cache that was restored: no event is made of it.

The cache has the accounts, positions and orders. What an exchange has beside it is put back here:
which orders rest, how much of them is filled, whether a trailing stop is at work, and the ids that
come next.
"""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import msgspec
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.data import QuoteTick, TradeTick
from nautilus_trader.model.enums import AggressorSide, LiquiditySide, OrderStatus
from nautilus_trader.model.events import OrderPendingUpdate, OrderSubmitted, OrderUpdated
from nautilus_trader.model.identifiers import InstrumentId, TradeId
from nautilus_trader.model.objects import Quantity
from nautilus_trader.model.orders import MarketOrder, Order

from mesh.execution.v1.events_pb2 import Mark
from services.live_execution.engine.sandbox.guards import TRAILING
from services.live_execution.engine.sandbox.market import State, give_again
from services.live_execution.engine.sandbox.mending import sandboxes

ENOUGH = 1_000_000_000
"""Size of a seeded price."""
RESTING = (
    OrderStatus.ACCEPTED,
    OrderStatus.TRIGGERED,
    OrderStatus.PARTIALLY_FILLED,
    OrderStatus.PENDING_UPDATE,
    OrderStatus.PENDING_CANCEL,
)


def market(node: Any) -> bytes:
    """Return what the sandboxes know of their markets; empty on the wall's time.

    To be kept with the time that the replay has reached, and given to ``revive``.
    """
    states = [state for client in sandboxes(node) for state in client.market_states()]
    return msgspec.msgpack.encode(states) if states else b""


def revive(
    node: Any, market: bytes = b"", marks: Mapping[str, Mark] = MappingProxyType({})
) -> None:
    """Put the sandboxes of a node back to where its cache says they were.

    After ``build``, ``mend`` and the cache's restoration, before the node runs. ``market`` is what
    ``market`` gave. ``marks`` are last known prices by instrument id, for a node that gets no data
    and is to close positions at them; else a sandbox on the wall's time waits for its first quote.
    Raises ``msgspec.DecodeError`` for another ``market``.
    """
    clients = {client.venue.value: client for client in sandboxes(node)}
    if not clients:
        return
    with next(iter(clients.values())).prompt.silent():
        for client in clients.values():
            client.know_instruments()
        for state in msgspec.msgpack.decode(market, type=list[State]) if market else ():
            client = clients.get(state.instrument_id.rpartition(".")[2])
            if client is not None and not give_again(client, state):
                client._log.warning(f"The market of {state.instrument_id} is not quite as it was")
        for mark in marks.values():
            client = clients.get(mark.instrument_id.rpartition(".")[2])
            if client is not None:
                _seed(client, mark)
        for client in clients.values():
            _put_back(client)


def _seed(client: Any, mark: Mark) -> None:
    """Give a market without prices the last known ones, with enough of each for any position."""
    instrument_id = InstrumentId.from_str(mark.instrument_id)
    instrument = client._instrument(instrument_id)
    bid, ask = mark.bid or mark.last or mark.ask, mark.ask or mark.last or mark.bid
    if instrument is None or not bid or client.exchange.best_bid_price(instrument_id) is not None:
        return
    size, now = instrument.make_qty(ENOUGH), client._clock.timestamp_ns()
    prices = (instrument.make_price(Decimal(bid)), instrument.make_price(Decimal(ask)))
    client.on_data(QuoteTick(instrument_id, *prices, size, size, now, now))


def _put_back(client: Any) -> None:
    """Put the orders of a venue back, in the order in which they came."""
    orders = client._cache.orders(venue=client.venue)
    resting = [order for order in orders if order.status in RESTING and not order.is_emulated]
    resting.sort(key=lambda order: (order.ts_init, order.client_order_id.value))
    for order in resting:
        if client._instrument(order.instrument_id) is None:
            client._log.error(f"{order.client_order_id} is lost: no {order.instrument_id}")
            continue
        if order.filled_qty > 0:
            _remember_filled(client, order)
        if order.order_type in TRAILING and not order.is_activated and _was_activated(order):
            _activate(client, order)
        client.take_up(order)
    client.watch(orders)


def _remember_filled(client: Any, order: Order) -> None:
    """Tell the engine how much of an order is filled, by a fill of one that is like it.

    Not of the order itself: that would cancel what is linked to it.
    """
    like = MarketOrder(
        trader_id=order.trader_id,
        strategy_id=order.strategy_id,
        instrument_id=order.instrument_id,
        client_order_id=order.client_order_id,
        order_side=order.side,
        quantity=order.quantity,
        init_id=UUID4(),
        ts_init=order.ts_init,
    )
    like.apply(next(event for event in order.events if isinstance(event, OrderSubmitted)))
    engine = client.exchange.get_matching_engine(order.instrument_id)
    precision = engine.instrument.size_precision
    engine.fill_order(
        order=like,
        last_px=engine.instrument.make_price(order.avg_px),
        last_qty=Quantity(order.filled_qty.as_double(), precision),
        liquidity_side=LiquiditySide.TAKER,
    )


def _was_activated(order: Order) -> bool:
    """Say whether a trailing stop has begun to trail: at once, or when its price was reached."""
    if order.activation_price is None:
        return True
    before = None
    for event in order.events:
        moved = isinstance(event, OrderUpdated) and event.trigger_price is not None
        if moved and not isinstance(before, OrderPendingUpdate):
            return True
        before = event
    return False


def _activate(client: Any, order: Order) -> None:
    """Activate a trailing stop: an engine of its own sees the price that does it."""
    instrument = client._instrument(order.instrument_id)
    engine = client.exchange.scratch(instrument)
    price = order.activation_price or order.trigger_price
    if price is None:
        return  # it has not trailed yet; the next price does it
    now = client._clock.timestamp_ns()
    trade = TradeTick(
        instrument.id,
        instrument.make_price(price),
        instrument.make_qty(1),
        AggressorSide.NO_AGGRESSOR,
        TradeId("0"),
        now,
        now,
    )
    engine.process_trade_tick(trade)
    engine.process_order(order, client.account_id)
