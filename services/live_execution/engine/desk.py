"""The desks: Nautilus strategies that make the orders which no user's strategy makes.

A position belongs to a strategy (with netting its id says so), and what a venue answers is told to
the strategy that an order names. So an order that closes a strategy's position, and a cancellation
or modification of a strategy's order, carry that strategy's id, and the desk's tag.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import (
    CancelOrder,
    ModifyOrder,
    SubmitOrder,
    SubmitOrderList,
)
from nautilus_trader.model.enums import OrderSide, OrderStatus, PositionSide, TriggerType
from nautilus_trader.model.events import OrderPendingCancel, OrderPendingUpdate
from nautilus_trader.model.identifiers import ClientOrderId, PositionId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.model.orders import MarketOrder, Order, OrderList
from nautilus_trader.model.position import Position
from nautilus_trader.trading.config import StrategyConfig
from nautilus_trader.trading.strategy import Strategy

from services.live_execution.engine.tickets import Maker
from services.live_execution.names import TAG_MANUAL, TAG_SAFETY

NAMES = UUID("6f2f5f64-3d5b-4a34-9d1f-7b7a3b0c5a10")
"""Namespace of the client order ids of closing orders."""

MANUAL, SAFETY = "MANUAL", "SAFETY"


class Desk(Strategy):
    """Makes orders; it hears of them and does nothing about them.

    ``tag`` is MANUAL, for callers, or SAFETY, for the mesh itself. ``contingent``: it cancels and
    updates orders that are tied to each other, where venues do not. ``closing`` is shared by the
    two, so that neither closes what the other does already.
    """

    def __init__(
        self,
        tag: str,
        *,
        contingent: bool = False,
        closing: dict[ClientOrderId, None] | None = None,
    ) -> None:
        super().__init__(StrategyConfig(order_id_tag=tag, manage_contingent_orders=contingent))
        # What makes a trader flat must not wait behind what it is to stop: the risk engine
        # counts rates and would deny it. The gate is behind both.
        self._way = "ExecEngine.execute" if tag == SAFETY else "RiskEngine.execute"
        self.first: Callable[[], None] = lambda: None
        """What it does when it starts; otherwise it does what it is told."""
        self.sent: set[ClientOrderId] = set()
        """Orders that this desk has sent, whichever strategy they name."""
        self.closing: dict[ClientOrderId, None] = {} if closing is None else closing
        """Closing orders that this desk and its twin have sent."""
        self.mark = TAG_SAFETY if tag == SAFETY else TAG_MANUAL
        """Tag of orders that it makes for other strategies."""

    def on_start(self) -> None:
        """Do what it was told to do first: before a replay plays its first row."""
        self.first()

    def on_stop(self) -> None:
        """Do nothing."""

    @property
    def maker(self) -> Maker:
        """What makes orders of this desk's own."""
        return Maker(self.trader_id, self.id)

    # -- orders

    def send(self, order: Order, position_id: PositionId | None = None) -> None:
        """Submit an order for the strategy that it names, this desk or another.

        An order that the cache has and that was never sent (the process ended in between) is sent
        as it is.
        """
        self.sent.add(order.client_order_id)
        if order.is_reduce_only:
            self.closing[order.client_order_id] = None
        if not self.cache.order_exists(order.client_order_id):
            self._tell(order, order.init_event)
            self.cache.add_order(order, position_id, None)
        command = SubmitOrder(
            trader_id=self.trader_id,
            strategy_id=order.strategy_id,
            order=order,
            command_id=UUID4(),
            ts_init=self.clock.timestamp_ns(),
            position_id=position_id,
        )
        if order.emulation_trigger != TriggerType.NO_TRIGGER:
            self._send("OrderEmulator.execute", command)
        elif order.exec_algorithm_id is not None:
            self._send(f"{order.exec_algorithm_id}.execute", command)
        else:
            self._send(self._way, command)

    def send_list(self, order_list: OrderList, position_id: PositionId | None = None) -> None:
        """Submit an order list of this desk's own."""
        for order in order_list.orders:
            if not self.cache.order_exists(order.client_order_id):
                self._tell(order, order.init_event)
                self.cache.add_order(order, position_id, None)
        if self.cache.order_list(order_list.id) is None:
            self.cache.add_order_list(order_list)
        command = SubmitOrderList(
            trader_id=self.trader_id,
            strategy_id=order_list.strategy_id,
            order_list=order_list,
            command_id=UUID4(),
            ts_init=self.clock.timestamp_ns(),
            position_id=position_id,
        )
        emulated = any(o.emulation_trigger != TriggerType.NO_TRIGGER for o in order_list.orders)
        self._send("OrderEmulator.execute" if emulated else "RiskEngine.execute", command)

    def close(self, position: Position, cause: str) -> Order | None:
        """Close a position at the market and return the order; None when all of it is being closed.

        ``cause`` is the id of what closes it: the same cause and position give the same order, so
        that what is repeated after a crash is sent once.
        """
        client_order_id = ClientOrderId(self.closing_id(position, cause))
        order: Order | None = self.cache.order(client_order_id)
        if order is None:
            quantity = self.unclosed(position)
            if quantity is None:
                return None
            order = self._closing(position, client_order_id, quantity)
        if order.status == OrderStatus.INITIALIZED:
            self.send(order, position.id)
        return order

    def closing_id(self, position: Position, cause: str) -> str:
        """Return the client order id of ``close``."""
        return str(uuid5(NAMES, f"{cause}/{position.id}/{position.opening_order_id}"))

    def unclosed(self, position: Position) -> Quantity | None:
        """Return what of a position no closing order of the mesh is about to close; None: nothing.

        Venues that drop the instruction to reduce only would sell it twice.
        """
        side = OrderSide.SELL if position.side == PositionSide.LONG else OrderSide.BUY
        fits = {
            "instrument_id": position.instrument_id,
            "strategy_id": position.strategy_id,
            "side": side,
        }
        known = [self.cache.order(each) for each in self.closing]
        for order in known:
            if order is not None and order.is_closed:
                del self.closing[order.client_order_id]
        found = (
            *self.cache.orders_open(**fits),
            *self.cache.orders_inflight(**fits),
            *(o for o in known if o is not None and o.is_active_local and _fits(o, **fits)),
        )
        ours = {o.client_order_id: o for o in found if {*(o.tags or ())} & {TAG_MANUAL, TAG_SAFETY}}
        going = sum((o.leaves_qty.as_decimal() for o in ours.values()), Decimal(0))
        left = position.quantity.as_decimal() - going
        return Quantity(left, position.size_precision) if left > 0 else None

    def _closing(
        self, position: Position, client_order_id: ClientOrderId, quantity: Quantity
    ) -> Order:
        return MarketOrder(
            trader_id=self.trader_id,
            strategy_id=position.strategy_id,
            instrument_id=position.instrument_id,
            client_order_id=client_order_id,
            order_side=OrderSide.SELL if position.side == PositionSide.LONG else OrderSide.BUY,
            quantity=quantity,
            init_id=UUID4(),
            ts_init=self.clock.timestamp_ns(),
            reduce_only=True,
            tags=[self.mark],
        )

    # -- orders that are there

    def cancel(self, order: Order) -> bool:
        """Cancel an order of any strategy; return False where there is nothing left to cancel."""
        if order.is_closed or order.is_pending_cancel:
            return False
        if not order.is_active_local and not self._pend(order, OrderPendingCancel):
            return False
        command = CancelOrder(
            trader_id=self.trader_id,
            strategy_id=order.strategy_id,
            instrument_id=order.instrument_id,
            client_order_id=order.client_order_id,
            venue_order_id=order.venue_order_id,
            command_id=UUID4(),
            ts_init=self.clock.timestamp_ns(),
        )
        if order.is_emulated or order.emulation_trigger != TriggerType.NO_TRIGGER:
            self._send("OrderEmulator.execute", command)
        elif order.exec_algorithm_id is not None and order.is_active_local:
            self._send(f"{order.exec_algorithm_id}.execute", command)
        else:
            self._send("ExecEngine.execute", command)
        return True

    def modify(
        self,
        order: Order,
        quantity: Quantity | None = None,
        price: Price | None = None,
        trigger_price: Price | None = None,
    ) -> bool:
        """Modify an order of any strategy; return False where it cannot be modified any more."""
        if order.is_closed or order.is_pending_cancel:
            return False
        if not order.is_active_local and not self._pend(order, OrderPendingUpdate):
            return False
        command = ModifyOrder(
            trader_id=self.trader_id,
            strategy_id=order.strategy_id,
            instrument_id=order.instrument_id,
            client_order_id=order.client_order_id,
            venue_order_id=order.venue_order_id,
            quantity=quantity,
            price=price,
            trigger_price=trigger_price,
            command_id=UUID4(),
            ts_init=self.clock.timestamp_ns(),
        )
        emulated = order.is_emulated
        self._send("OrderEmulator.execute" if emulated else "RiskEngine.execute", command)
        return True

    def working(self, instrument_id: Any = None, strategy_id: Any = None) -> Sequence[Order]:
        """Return all orders that can be cancelled: at a venue, on their way, or held here."""
        cache, fits = self.cache, {"instrument_id": instrument_id, "strategy_id": strategy_id}
        found = [
            *cache.orders_open(**fits),
            *cache.orders_inflight(**fits),
            *cache.orders_emulated(**fits),
            *self._held(**fits),
        ]
        return list({order.client_order_id: order for order in found}.values())

    # --

    def _held(self, instrument_id: Any, strategy_id: Any) -> Sequence[Order]:
        """Return orders that execution algorithms hold and have not sent yet."""
        found = (
            order
            for algorithm_id in self.cache.exec_algorithm_ids()
            for order in self.cache.orders_for_exec_algorithm(
                algorithm_id, instrument_id=instrument_id, strategy_id=strategy_id
            )
        )
        return [order for order in found if order.is_active_local]

    def _pend(self, order: Order, kind: type) -> bool:
        """Note that a change is on its way, as Nautilus' strategies do before they send one."""
        now = self.clock.timestamp_ns()
        event = kind(
            trader_id=order.trader_id,
            strategy_id=order.strategy_id,
            instrument_id=order.instrument_id,
            client_order_id=order.client_order_id,
            venue_order_id=order.venue_order_id,
            account_id=order.account_id,
            event_id=UUID4(),
            ts_event=now,
            ts_init=now,
        )
        try:
            order.apply(event)
        except Exception as error:  # of Nautilus' state machine: it has no class to name
            self.log.warning(f"{order.client_order_id} cannot be changed now: {error}")
            return False
        self.cache.update_order(order)
        self._tell(order, event)
        return True

    def _tell(self, order: Order, event: Any) -> None:
        self.msgbus.publish(topic=f"events.order.{order.strategy_id}", msg=event)

    def _send(self, endpoint: str, command: Any) -> None:
        self.msgbus.send(endpoint=endpoint, msg=command)


def _fits(order: Order, instrument_id: Any, strategy_id: Any, side: OrderSide) -> bool:
    same = order.instrument_id == instrument_id and order.strategy_id == strategy_id
    return bool(same and order.side == side)
