"""What a sandbox says of its own book, as a real venue does; Nautilus' says nothing."""

from decimal import Decimal
from typing import Any

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import (
    GenerateFillReports,
    GenerateOrderStatusReport,
    GenerateOrderStatusReports,
    GeneratePositionStatusReports,
)
from nautilus_trader.execution.reports import (
    ExecutionMassStatus,
    FillReport,
    OrderStatusReport,
    PositionStatusReport,
)
from nautilus_trader.model.enums import OmsType, PositionSide
from nautilus_trader.model.events import OrderAccepted, OrderFilled, OrderTriggered
from nautilus_trader.model.identifiers import InstrumentId, PositionId
from nautilus_trader.model.objects import Quantity
from nautilus_trader.model.orders import Order
from nautilus_trader.model.position import Position


class Reports:
    """The reports of a client."""

    def open_orders(self: Any, instrument_id: InstrumentId | None = None) -> list[Order]:
        """Return the orders that rest at the exchange."""
        resting = [*self.exchange.get_open_orders(instrument_id), *self._parked.values()]
        return [
            order
            for order in resting
            if not order.is_closed and instrument_id in (None, order.instrument_id)
        ]

    async def generate_order_status_report(
        self: Any, command: GenerateOrderStatusReport
    ) -> OrderStatusReport | None:
        """Return the report of an order that the venue has or had; None for any other."""
        client_order_id = command.client_order_id or self._cache.client_order_id(
            command.venue_order_id
        )
        order = client_order_id and self._cache.order(client_order_id)
        return self._report(order) if order and order.venue_order_id else None

    async def generate_order_status_reports(
        self: Any, command: GenerateOrderStatusReports
    ) -> list[OrderStatusReport]:
        """Return the reports of the orders that rest."""
        return [self._report(order) for order in self.open_orders(command.instrument_id)]

    async def generate_fill_reports(self: Any, command: GenerateFillReports) -> list[FillReport]:
        """Return none: no fill of a sandbox is unknown to its trader."""
        return []

    async def generate_position_status_reports(
        self: Any, command: GeneratePositionStatusReports
    ) -> list[PositionStatusReport]:
        """Return the reports of open positions: with NETTING one for an instrument's net."""
        positions = self._cache.positions_open(self.venue, command.instrument_id)
        if self.oms_type == OmsType.HEDGING:
            return [self._position_report([each], each.id) for each in positions]
        by_instrument: dict[InstrumentId, list[Position]] = {}
        for position in positions:
            by_instrument.setdefault(position.instrument_id, []).append(position)
        return [self._position_report(each) for each in by_instrument.values()]

    async def generate_mass_status(
        self: Any, lookback_mins: int | None = None
    ) -> ExecutionMassStatus:
        """Return an empty one: there is nothing to reconcile, the venue was revived from it."""
        now_ns = self._clock.timestamp_ns()
        return ExecutionMassStatus(self.id, self.account_id, self.venue, UUID4(), now_ns)

    def _report(self: Any, order: Order) -> OrderStatusReport:
        accepted = [e.ts_event for e in order.events if isinstance(e, OrderAccepted | OrderFilled)]
        triggered = [e.ts_event for e in order.events if isinstance(e, OrderTriggered)]
        has_trigger = order.has_trigger_price
        return OrderStatusReport(
            account_id=self.account_id,
            instrument_id=order.instrument_id,
            venue_order_id=order.venue_order_id,
            client_order_id=order.client_order_id,
            order_side=order.side,
            order_type=order.order_type,
            time_in_force=order.time_in_force,
            order_status=order.status,
            quantity=order.quantity,
            filled_qty=order.filled_qty,
            report_id=UUID4(),
            ts_accepted=accepted[0] if accepted else order.ts_init,
            ts_last=order.ts_last,
            ts_init=self._clock.timestamp_ns(),
            order_list_id=order.order_list_id,
            linked_order_ids=order.linked_order_ids,
            parent_order_id=order.parent_order_id,
            contingency_type=order.contingency_type,
            expire_time=getattr(order, "expire_time", None),
            price=order.price if order.has_price else None,
            trigger_price=order.trigger_price if has_trigger else None,
            trigger_type=getattr(order, "trigger_type", 0),
            limit_offset=getattr(order, "limit_offset", None),
            trailing_offset=getattr(order, "trailing_offset", None),
            trailing_offset_type=getattr(order, "trailing_offset_type", 0),
            avg_px=order.avg_px if order.filled_qty > 0 else None,
            display_qty=getattr(order, "display_qty", None),
            post_only=order.is_post_only,
            reduce_only=order.is_reduce_only,
            ts_triggered=triggered[0] if triggered else None,
        )

    def _position_report(
        self: Any, positions: list[Position], position_id: PositionId | None = None
    ) -> PositionStatusReport:
        net = sum((each.signed_decimal_qty() for each in positions), Decimal(0))
        side = (
            PositionSide.LONG if net > 0 else PositionSide.SHORT if net < 0 else PositionSide.FLAT
        )
        first = positions[0]
        return PositionStatusReport(
            account_id=self.account_id,
            instrument_id=first.instrument_id,
            position_side=side,
            quantity=Quantity(abs(net), first.size_precision),
            report_id=UUID4(),
            ts_last=max(each.ts_last for each in positions),
            ts_init=self._clock.timestamp_ns(),
            venue_position_id=position_id,
        )
