"""Fills → positions, as Nautilus' execution engine makes them, without its bus."""

from contextlib import suppress
from decimal import Decimal

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.enums import OmsType
from nautilus_trader.model.events import OrderFilled, PositionAdjusted
from nautilus_trader.model.identifiers import PositionId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import Money
from nautilus_trader.model.orders import Order
from nautilus_trader.model.position import Position

from mesh.execution.v1 import events_pb2 as pb
from services.live_execution.engine.memory import Realized


class Positions:
    """The positions that fills add up to. ``earlier`` are closed ones whose id was used again."""

    def __init__(self) -> None:
        self.positions: dict[str, Position] = {}
        self.earlier: list[Position] = []
        self._turned: tuple[Instrument, OrderFilled] | None = None
        """The second half of a fill that turned a HEDGING position: its id comes as a fact."""

    def fill(self, instrument: Instrument, order: Order | None, fill: OrderFilled) -> None:
        """Apply a fill whose position is known."""
        self.settle()
        if fill.position_id is None:
            return
        position = self.positions.get(fill.position_id.value)
        if position is None or position.is_closed:
            if not _is_reducing(order, fill):
                self._open(instrument, position, fill)
        elif position.is_opposite_side(fill.order_side) and fill.last_qty > position.quantity:
            self._turn(instrument, position, fill)
        else:
            _apply(position, fill)

    def opened(self, event: pb.PositionEvent) -> None:
        """Take the id of a position from the fact that it was opened, if a fill waits for it."""
        if self._turned is None or event.type != pb.POSITION_EVENT_TYPE_OPENED:
            return
        if event.position.opening_order_id == self._turned[1].client_order_id.value:
            self._turn_into(event.position.position_id)

    def settle(self) -> None:
        """Open a turned position whose id was never told: the process died in between."""
        if self._turned is not None:
            self._turn_into(f"{self._turned[1].position_id}F")

    def adjust(self, event: PositionAdjusted) -> None:
        """Apply an adjustment (funding, say)."""
        position = self.positions.get(event.position_id.value)
        if position is not None:
            position.apply_adjustment(event)

    def _open(self, instrument: Instrument, former: Position | None, fill: OrderFilled) -> None:
        if former is not None:
            if any(_is_same(each, fill) for each in former.events):
                return  # told twice
            if oms_of(fill) == OmsType.NETTING:
                self.earlier.append(former)
        self.positions[fill.position_id.value] = Position(instrument, fill)

    def _turn(self, instrument: Instrument, position: Position, fill: OrderFilled) -> None:
        """Close a position with a part of a fill, and open the opposite one with the rest."""
        rest = fill.last_qty - position.quantity
        share = position.quantity / fill.last_qty
        currency = fill.commission.currency
        first = Money(fill.commission * share, currency)
        second = fill.commission - first
        _apply(position, part(fill, position.quantity, first, fill.id, fill.position_id))
        hedging = oms_of(fill) == OmsType.HEDGING
        opening = part(fill, rest, second, UUID4(), fill.position_id)
        if hedging and fill.position_id.value.startswith("P-"):
            self._turned = (instrument, opening)
            return
        if not hedging:
            self.earlier.append(position)
        self.positions[fill.position_id.value] = Position(instrument, opening)

    def _turn_into(self, position_id: str) -> None:
        assert self._turned is not None  # by the callers
        instrument, fill = self._turned
        self._turned = None
        opening = part(fill, fill.last_qty, fill.commission, fill.id, PositionId(position_id))
        self.positions[position_id] = Position(instrument, opening)


def oms_of(fill: OrderFilled) -> OmsType:
    """Return how the position of a fill is kept: NETTING has one id for a strategy's instrument."""
    netting = f"{fill.instrument_id}-{fill.strategy_id}"
    return OmsType.NETTING if fill.position_id.value == netting else OmsType.HEDGING


def part(
    fill: OrderFilled, quantity: object, commission: Money, event_id: UUID4, position_id: PositionId
) -> OrderFilled:
    """Return a part of a fill."""
    return OrderFilled(
        trader_id=fill.trader_id,
        strategy_id=fill.strategy_id,
        instrument_id=fill.instrument_id,
        client_order_id=fill.client_order_id,
        venue_order_id=fill.venue_order_id,
        account_id=fill.account_id,
        trade_id=fill.trade_id,
        position_id=position_id,
        order_side=fill.order_side,
        order_type=fill.order_type,
        last_qty=quantity,
        last_px=fill.last_px,
        currency=fill.currency,
        commission=commission,
        liquidity_side=fill.liquidity_side,
        event_id=event_id,
        ts_event=fill.ts_event,
        ts_init=fill.ts_init,
    )


def _is_reducing(order: Order | None, fill: OrderFilled) -> bool:
    """Whether a fill may not open a position: Nautilus refuses that of a reduce-only order."""
    return order is not None and order.is_reduce_only and oms_of(fill) == OmsType.NETTING


def _apply(position: Position, fill: OrderFilled) -> None:
    with suppress(KeyError):  # told twice
        position.apply(fill)


def _is_same(former: OrderFilled, fill: OrderFilled) -> bool:
    """Whether two fills are one that was told twice."""
    same_trade: bool = former.trade_id == fill.trade_id and former.order_side == fill.order_side
    same_size: bool = former.last_px == fill.last_px and former.last_qty == fill.last_qty
    return same_trade and same_size


def summed(
    instrument: Instrument, of: Realized, trader_id: str, position_id: str, pnl: Decimal
) -> Position:
    """Return a closed position with a profit, in place of those that made it.

    Opened and closed at one price, its profit is a negative commission.
    """
    values: dict[str, object] = {
        "trader_id": trader_id,
        "strategy_id": of.strategy_id,
        "instrument_id": of.instrument_id,
        "account_id": of.account_id,
        "position_id": position_id,
        "client_order_id": f"SUM-OF-{of.count}",
        "venue_order_id": f"SUM-OF-{of.count}",
        "trade_id": "OPENED",
        "order_side": "BUY",
        "order_type": "MARKET",
        "last_qty": str(instrument.size_increment),
        "last_px": str(instrument.price_increment),
        "currency": instrument.quote_currency.code,
        "commission": f"{-pnl} {of.currency}",
        "liquidity_side": "NO_LIQUIDITY_SIDE",
        "event_id": str(UUID4()),
        "ts_event": 0,
        "ts_init": 0,
        "info": {},
    }
    made = Position(instrument, OrderFilled.from_dict(values))
    values |= {"trade_id": "CLOSED", "order_side": "SELL", "commission": f"0 {of.currency}"}
    made.apply(OrderFilled.from_dict(values))
    return made
