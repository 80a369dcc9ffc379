"""Previews: what the risk engine, the gate and the books say of an order that is not sent."""

from typing import Any

from nautilus_trader.common.component import MessageBus
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import SubmitOrder
from nautilus_trader.model.enums import LiquiditySide
from nautilus_trader.model.identifiers import ClientOrderId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import Currency, Money, Price, Quantity
from nautilus_trader.model.orders import Order
from nautilus_trader.risk.config import RiskEngineConfig
from nautilus_trader.risk.engine import RiskEngine

from mesh.common.v1 import types_pb2
from mesh.execution.v1.order_service_pb2 import PreviewOrderRequest, PreviewOrderResponse
from meshkit.errors import MeshError
from services.live_execution.engine.gate import Gate
from services.live_execution.engine.limits_exposure import price_for
from services.live_execution.engine.orders import Orders
from services.live_execution.engine.refused import Refused


class NotPreviewed(MeshError):
    """An order that cannot even be looked at: a reason of ``ErrorReason``."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(str(refused))
        self.reason = refused.reason  # type: ignore[misc]  # of this one, where others have a class


class Verdict(RiskEngine):
    """A risk engine beside the node's, with its settings and books, that sends nothing."""

    def __init__(self, kernel: Any) -> None:
        bus = MessageBus(trader_id=kernel.trader_id, clock=kernel.clock)
        config = RiskEngineConfig(max_order_submit_rate="1000000/00:00:01")
        super().__init__(kernel.portfolio, bus, kernel.cache, kernel.clock, config)
        self._kernel = kernel
        self.reason = ""

    def on(self, order: Order, command: SubmitOrder) -> str:
        """Return why the node's risk engine would deny an order now, empty when it would not."""
        self.reason = ""
        theirs = self._kernel.risk_engine
        if self.trading_state != theirs.trading_state:
            self.set_trading_state(theirs.trading_state)
        bound = theirs.max_notional_per_order(order.instrument_id)
        if self.max_notional_per_order(order.instrument_id) != bound:
            self.set_max_notional_per_order(order.instrument_id, bound)
        self._handle_submit_order(command)
        return self.reason

    def _deny_order(self, order: Order, reason: str) -> None:
        self.reason = self.reason or reason

    def _send_to_execution(self, command: Any) -> None:
        """Send nothing."""


class Previewer:
    """Answers ``PreviewOrderRequest``s."""

    def __init__(self, kernel: Any, orders: Orders, gate: Gate) -> None:
        self._kernel = kernel
        self._cache = kernel.cache
        self._orders = orders
        self._gate = gate
        self._verdict = Verdict(kernel)

    async def answer(self, request: bytes) -> bytes:
        """Return the bytes of the response. Raises ``NotPreviewed``."""
        ticket = PreviewOrderRequest.FromString(request).order
        try:
            order, instrument = await self._orders.make(ticket)
        except Refused as refused:
            raise NotPreviewed(refused) from None
        reason = self._reason(order)
        response = PreviewOrderResponse(passes=not reason, reason=reason)
        price = price_for(self._cache, order)
        if price is not None:
            self._value(response, order, instrument, Price(price, instrument.price_precision))
        return response.SerializeToString()

    def _reason(self, order: Order) -> str:
        if self._cache.order_exists(ClientOrderId(str(order.client_order_id))):
            return f"The client order id {order.client_order_id} is taken."
        command = SubmitOrder(
            trader_id=order.trader_id,
            strategy_id=order.strategy_id,
            order=order,
            command_id=UUID4(),
            ts_init=order.ts_init,
        )
        denied = self._verdict.on(order, command)
        if denied:
            return denied
        refusal = self._gate.refusal(order)
        return f"{refusal.reason}: {refusal.message}" if refusal is not None else ""

    def _value(
        self, response: PreviewOrderResponse, order: Order, instrument: Instrument, price: Price
    ) -> None:
        quantity = _base(order, instrument, price)
        response.price = str(price)
        notional = instrument.notional_value(quantity, price)
        response.notional.CopyFrom(_money(notional))
        account = self._cache.account_for_venue(instrument.id.venue)
        if account is None:
            return
        commission = account.calculate_commission(instrument, quantity, price, LiquiditySide.TAKER)
        response.commission.CopyFrom(_money(commission))
        pays: Currency = instrument.get_cost_currency()
        if account.is_margin_account:
            margin = account.calculate_margin_init(instrument, quantity, price)
            response.margin_init.CopyFrom(_money(margin))
            pays = margin.currency
        elif order.is_sell:
            pays = instrument.get_base_currency() or pays
        free = account.balance_free(pays)
        if free is not None:
            response.free.CopyFrom(_money(free))


def _base(order: Order, instrument: Instrument, price: Price) -> Quantity:
    """Return the quantity in the base currency."""
    if not order.is_quote_quantity or instrument.is_inverse:
        quantity: Quantity = order.quantity
        return quantity
    return instrument.calculate_base_quantity(order.quantity, price)


def _money(money: Money) -> types_pb2.Money:
    amount, _, currency = str(money).partition(" ")
    return types_pb2.Money(amount=amount, currency=currency)
