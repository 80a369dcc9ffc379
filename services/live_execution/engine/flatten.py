"""Cancels all orders and closes all positions in a scope, and reads back whether it is so.

In rounds: cancel, wait until that is confirmed, close at the market with reduce-only orders of the
safety desk, wait, read back from the venue. It ends when the venue and the trader's books call it
flat, or after a number of rounds with what is left and why. Needs no strategies.
"""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import count
from typing import Any

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.enums import (
    MarketStatusAction,
    OrderSide,
    OrderStatus,
    PositionSide,
    PriceType,
)
from nautilus_trader.model.events import OrderDenied, OrderRejected
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import Quantity
from nautilus_trader.model.orders import MarketOrder, Order
from nautilus_trader.model.position import Position

from mesh.execution.v1.events_pb2 import FlattenDone, FlattenResult
from mesh.execution.v1.order_pb2 import FlattenCommand
from services.live_execution.engine.desk import Desk
from services.live_execution.engine.flatten_reading import Left, Reader, Reading, Scope
from services.live_execution.trader.ports import Outside

log = logging.getLogger("trader")

ROUNDS = 5
WAIT_S = 5.0
"""How long (s) of a round a venue may take to confirm cancels, and again to fill what closes."""
PAUSE_S = 0.2
"""Time (s) between rounds, for what comes late."""
MARGIN = Decimal("0.95")
"""Share of the largest notional that is used: prices move."""
CLOSED_MARKET = (
    MarketStatusAction.CLOSE,
    MarketStatusAction.HALT,
    MarketStatusAction.PAUSE,
    MarketStatusAction.SUSPEND,
    MarketStatusAction.POST_CLOSE,
    MarketStatusAction.NOT_AVAILABLE_FOR_TRADING,
)
SAYS_CLOSED = re.compile(
    r"clos(e|ed|ing)\b|halt|suspend|not (yet )?active|expired|not trading", re.I
)
SAYS_DUST = re.compile(
    r"min.{0,12}(notional|qty|quantity|size|amount)|(notional|quantity|size).{0,16}(less|below|small)"
    r"|lot.?size|too small",
    re.I,
)
REMEDIES = {
    "VENUE_UNREACHABLE": "Look at the venue itself, and flatten again when it is in reach.",
    "MARKET_CLOSED": "Flatten again when the market is open.",
    "DUST": "Sell it at the venue by hand: it is below what an order may be.",
    "ORDER_REJECTED": "Do what the rejection says, then flatten again.",
}


class Flattener:
    """Does the flattens of one trader, one after the other."""

    def __init__(self, node: Any, desk: Desk, outside: Outside) -> None:
        self._node = node
        self._cache = node.kernel.cache
        self._desk = desk
        self._outside = outside
        self._one = asyncio.Lock()

    async def run(self, command: FlattenCommand) -> FlattenDone:
        """Flatten, and return what was read back. It never raises for what a venue does."""
        async with self._one:
            return await _Flatten(self._node, self._desk, command).run()


class _Flatten:
    """One flatten."""

    def __init__(self, node: Any, desk: Desk, command: FlattenCommand) -> None:
        self._cache = node.kernel.cache
        self._risk = node.kernel.risk_engine
        self._bus = node.kernel.msgbus
        self._desk = desk
        self._id = command.flatten_id
        self._scope = Scope(command.venue, command.order_id_tag)
        self._reader = Reader(node, self._scope)
        self._touched: set[InstrumentId] = set()
        self._canceled: Counter[InstrumentId] = Counter()
        self._closing: dict[ClientOrderId, Order] = {}
        self._changed = asyncio.Event()

    async def run(self) -> FlattenDone:
        self._bus.subscribe("events.order.*", self._on_event)
        try:
            reading = await self._rounds()
        finally:
            self._bus.unsubscribe("events.order.*", self._on_event)
        results = [self._result(i, left, reading) for i, left in sorted(reading.left.items())]
        results += [_unreachable(venue, why) for venue, why in self._silent(reading)]
        flat = all(not result.reason for result in results)
        return FlattenDone(flatten_id=self._id, flat=flat, results=results)

    async def _rounds(self) -> Reading:
        for number in range(ROUNDS):
            if number:
                await asyncio.sleep(PAUSE_S)
            await self._cancel_all()
            await self._close_all()
            reading = await self._reader.read(self._touched)
            if not reading.unreachable and all(left.is_flat for left in reading.left.values()):
                break
            if not self._worth_another(reading):
                break
        return reading

    # -- cancel ------------------------------------------------------------------------------------

    async def _cancel_all(self) -> None:
        orders = self._working()
        before = [order.client_order_id for order in orders]
        self._touched.update(order.instrument_id for order in orders)
        for order in _parents_first(orders):
            fresh = self._cache.order(order.client_order_id)
            if not fresh.is_closed and not self._is_held(fresh):
                self._desk.cancel(fresh)
        await self._wait(lambda: not any(self._awaits(each) for each in before))
        for client_order_id in before:
            order = self._cache.order(client_order_id)
            if order.status == OrderStatus.CANCELED:
                self._canceled[order.instrument_id] += 1

    def _working(self) -> list[Order]:
        return [order for order in self._desk.working() if self._scope.holds(order)]

    def _is_held(self, order: Order) -> bool:
        """Whether a parent that was just cancelled takes an order along."""
        parent = order.parent_order_id and self._cache.order(order.parent_order_id)
        waits = order.status == OrderStatus.SUBMITTED
        return bool(waits and parent and parent.is_pending_cancel)

    def _awaits(self, client_order_id: ClientOrderId) -> bool:
        """Whether an answer about an order is still to come. An emulated one is replaced."""
        order = self._cache.order(client_order_id)
        return not order.is_closed and (order.is_inflight or order.is_active_local)

    # -- close -------------------------------------------------------------------------------------

    async def _close_all(self) -> None:
        sent: list[ClientOrderId] = []
        for position in self._positions():
            self._touched.add(position.instrument_id)
            for order in self._orders_to_close(position):
                self._closing[order.client_order_id] = order
                sent.append(order.client_order_id)
                self._desk.send(order, position.id)
        await self._wait(lambda: all(self._cache.order(each).is_closed for each in sent))

    def _positions(self) -> list[Position]:
        found = [each for each in self._cache.positions_open() if self._scope.holds(each)]
        return sorted(found, key=lambda position: str(position.id))

    def _orders_to_close(self, position: Position) -> Iterator[Order]:
        instrument = self._cache.instrument(position.instrument_id)
        if instrument is None or is_dust(position, instrument):
            return
        for piece, quantity in enumerate(pieces(position.quantity, self._most(instrument))):
            key, known = self._next(position, piece)
            if known is None or known.status == OrderStatus.INITIALIZED:
                yield known or self._order(position, key, quantity)

    def _next(self, position: Position, piece: int) -> tuple[ClientOrderId, Order | None]:
        """Return the id of the next attempt, and its order where it is at work already.

        A flatten that goes on in a later process comes to the same ids.
        """
        for attempt in count():
            cause = f"{self._id}/{attempt}/{piece}"
            key = ClientOrderId(self._desk.closing_id(position, cause))
            known = self._cache.order(key)
            if known is None or not known.is_closed:
                break
        return key, known

    def _most(self, instrument: Instrument) -> Quantity | None:
        """Return the largest quantity of an order; None for any."""
        most = instrument.max_quantity
        bound = self._risk.max_notional_per_order(instrument.id)
        price = bound and _price(self._cache, instrument.id)
        if not price:
            return most
        allowed = Decimal(bound) * MARGIN / (price * instrument.multiplier.as_decimal())
        quantity = instrument.make_qty(allowed, round_down=True)
        return quantity if most is None else min(quantity, most)

    def _order(self, position: Position, key: ClientOrderId, quantity: Quantity) -> Order:
        account = self._cache.account(position.account_id)
        return MarketOrder(
            trader_id=self._desk.trader_id,
            strategy_id=position.strategy_id,
            instrument_id=position.instrument_id,
            client_order_id=key,
            order_side=OrderSide.SELL if position.side == PositionSide.LONG else OrderSide.BUY,
            quantity=quantity,
            init_id=UUID4(),
            ts_init=self._desk.clock.timestamp_ns(),
            reduce_only=account is None or not account.is_cash_account,  # spot venues know none
            tags=[self._desk.mark],
        )

    # -- what came of it ---------------------------------------------------------------------------

    def _worth_another(self, reading: Reading) -> bool:
        """Whether another round may do more: not where all that is left is dust."""
        left = [i for i, each in reading.left.items() if not each.is_flat]
        return bool(reading.unreachable) or any(
            reading.left[i].orders or not self._only_dust(i) for i in left
        )

    def _only_dust(self, instrument_id: InstrumentId) -> bool:
        instrument = self._cache.instrument(instrument_id)
        mine = [p for p in self._positions() if p.instrument_id == instrument_id]
        return bool(mine) and all(is_dust(position, instrument) for position in mine)

    def _result(self, instrument_id: InstrumentId, left: Left, reading: Reading) -> FlattenResult:
        result = FlattenResult(
            venue=str(instrument_id.venue),
            instrument_id=str(instrument_id),
            orders_canceled=self._canceled[instrument_id],
            closed_qty=self._text(instrument_id, self._closed(instrument_id)),
            orders_left=left.orders,
            left_qty=self._text(instrument_id, left.quantity),
        )
        silent = reading.unreachable.get(result.venue)
        if silent or not left.is_flat:
            result.reason, why = self._why(instrument_id, silent)
            result.message = f"{why} {REMEDIES[result.reason]}"
        return result

    def _text(self, instrument_id: InstrumentId, quantity: Decimal) -> str:
        instrument = self._cache.instrument(instrument_id)
        decimals = instrument.size_precision if instrument else None
        if not quantity:
            return "0"
        return f"{quantity:f}" if decimals is None else f"{quantity:.{decimals}f}"

    def _closed(self, instrument_id: InstrumentId) -> Decimal:
        done = (self._cache.order(each) for each in self._closing)
        mine = (order for order in done if order.instrument_id == instrument_id)
        return sum((order.filled_qty.as_decimal() for order in mine), Decimal(0))

    def _why(self, instrument_id: InstrumentId, silent: str | None) -> tuple[str, str]:
        if silent:
            return "VENUE_UNREACHABLE", f"Not known: {silent}."
        status = self._cache.instrument_status(instrument_id)
        if status is not None and status.action in CLOSED_MARKET:
            return "MARKET_CLOSED", f"The market of {instrument_id} is closed."
        if self._only_dust(instrument_id):
            return "DUST", f"What is left of {instrument_id} is too little for an order."
        return self._why_by_orders(instrument_id)

    def _why_by_orders(self, instrument_id: InstrumentId) -> tuple[str, str]:
        text = ""
        for each in self._closing:
            order = self._cache.order(each)
            if order.instrument_id == instrument_id:
                event = order.last_event
                refused = isinstance(event, OrderRejected | OrderDenied)
                text = event.reason if refused else ("" if order.is_closed else "no answer")
        if text == "no answer" or not text:
            return "VENUE_UNREACHABLE", "The venue did not answer in time."
        if SAYS_CLOSED.search(text):
            return "MARKET_CLOSED", f"Refused: {text}."
        if SAYS_DUST.search(text):
            return "DUST", f"Refused: {text}."
        return "ORDER_REJECTED", f"Refused: {text}."

    def _silent(self, reading: Reading) -> Iterable[tuple[str, str]]:
        """Give the venues that are silent and of which no line tells."""
        named = {str(instrument_id.venue) for instrument_id in reading.left}
        return [(venue, why) for venue, why in reading.unreachable.items() if venue not in named]

    # -- waiting -----------------------------------------------------------------------------------

    def _on_event(self, _: Any) -> None:
        self._changed.set()

    async def _wait(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition of orders, with a bound: what is not so then is read back."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            log.warning("flatten %s: a venue has not answered within %s s", self._id, WAIT_S)


def is_dust(position: Position, instrument: Instrument) -> bool:
    """Say whether a position is too small for an order that closes it."""
    least = instrument.min_quantity or instrument.size_increment
    return bool(position.quantity < least)


def pieces(quantity: Quantity, most: Quantity | None) -> list[Quantity]:
    """Return quantities, none above the largest, that add up."""
    if not most or quantity <= most:
        return [quantity]
    count, rest = divmod(quantity.raw, most.raw)
    rests = [Quantity.from_raw(rest, quantity.precision)] if rest else []
    return [most] * count + rests


def _price(cache: Any, instrument_id: InstrumentId) -> Decimal | None:
    kinds = (PriceType.ASK, PriceType.LAST, PriceType.BID, PriceType.MARK)
    prices = (cache.price(instrument_id, kind) for kind in kinds)
    price = next((each for each in prices if each is not None), None)
    return None if price is None else price.as_decimal()


def _parents_first(orders: list[Order]) -> list[Order]:
    return sorted(orders, key=lambda order: order.parent_order_id is not None)


def _unreachable(venue: str, why: str) -> FlattenResult:
    reason = "VENUE_UNREACHABLE"
    message = f"Not known: {why}. {REMEDIES[reason]}"
    return FlattenResult(venue=venue, left_qty="0", reason=reason, message=message)
