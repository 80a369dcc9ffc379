"""Execution clients of sandbox venues, on the wall's time and on that of the data."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from nautilus_trader.adapters.sandbox import execution as stock
from nautilus_trader.adapters.sandbox.execution import SandboxExecutionClient
from nautilus_trader.common.component import Clock
from nautilus_trader.core.data import Data
from nautilus_trader.execution.messages import (
    BatchCancelOrders,
    CancelOrder,
    ModifyOrder,
    QueryOrder,
    SubmitOrder,
    SubmitOrderList,
)
from nautilus_trader.model.data import Bar
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.orders import Order

from meshkit.nautilus.data_time.sandbox import DataTimeSandbox
from meshkit.nautilus.data_time.substitute import substituted
from services.live_execution.engine.sandbox.clock import VenueClock
from services.live_execution.engine.sandbox.config import SandboxConfig
from services.live_execution.engine.sandbox.exchange import LastingExchange, LastingQueuedExchange
from services.live_execution.engine.sandbox.guards import (
    brings,
    change_refusal,
    misfit,
    order_refusal,
    prices_missing,
)
from services.live_execution.engine.sandbox.lost import tell_lost
from services.live_execution.engine.sandbox.market import Market, State
from services.live_execution.engine.sandbox.reports import Reports

BEFORE_STRATEGIES = 20
"""Priority on the message bus: a venue matches a tick before a strategy sees it."""


class Mended(Reports):
    """What both clients have beside Nautilus'."""

    exchange: LastingExchange | LastingQueuedExchange
    prompt: Any
    """Set by ``mend``."""
    _keeps_market = False

    def __init__(self, *, config: SandboxConfig, **kwargs: Any) -> None:
        self._refused: set[tuple[Any, str]] = set()
        self._parked: dict[ClientOrderId, Order] = {}
        self.market = Market()
        super().__init__(config=config, **kwargs)  # type: ignore[call-arg] # the sandbox's

    def connect(self: Any) -> None:
        """Connect: with the account as it is in the cache, else with a new one."""
        self.exchange.open_account()
        super().connect()  # type: ignore[misc] # SandboxExecutionClient's
        tell_lost(self)

    # -- orders ------------------------------------------------------------------------------------

    def submit_order(self: Any, command: SubmitOrder) -> None:
        """Submit an order, or refuse it with a reason."""
        if not self._refuse([command.order]):
            self._client.submit_order(command)
            self.settle()
            self.watch([command.order])

    def submit_order_list(self: Any, command: SubmitOrderList) -> None:
        """Submit a list, or refuse all of it with a reason."""
        orders = command.order_list.orders
        if not self._refuse(orders):
            self._client.submit_order_list(command)
            self.settle()
            self.watch(orders)

    def modify_order(self: Any, command: ModifyOrder) -> None:
        """Modify an order."""
        instrument = self._instrument(command.instrument_id)
        reason = "unknown instrument" if not instrument else change_refusal(command, instrument)
        if reason:
            order = self._cache.order(command.client_order_id)
            self.generate_order_modify_rejected(
                strategy_id=command.strategy_id,
                instrument_id=command.instrument_id,
                client_order_id=command.client_order_id,
                venue_order_id=command.venue_order_id or (order and order.venue_order_id),
                reason=f"INVALID: {reason}.",
                ts_event=self._clock.timestamp_ns(),
            )
            return
        parked = self._unpark(command.client_order_id)
        self._client.modify_order(command)
        self._park_again(parked)
        self.settle()

    def cancel_order(self: Any, command: CancelOrder) -> None:
        """Cancel an order."""
        parked = self._unpark(command.client_order_id)
        self._client.cancel_order(command)
        self._park_again(parked)
        self.settle()

    def cancel_all_orders(self: Any, command: Any) -> None:
        """Cancel the open orders of the command's strategy and instrument."""
        parked = [self._unpark(client_order_id) for client_order_id in list(self._parked)]
        self._client.cancel_all_orders(command)
        self._park_again(*parked)
        self.settle()

    def batch_cancel_orders(self: Any, command: BatchCancelOrders) -> None:
        """Cancel some orders; Nautilus' sandbox cannot."""
        for cancel in command.cancels:
            self.cancel_order(cancel)

    def query_order(self: Any, command: QueryOrder) -> None:
        """Answer with a report; of an order that a parent holds back there is none."""
        order = self._cache.order(command.client_order_id)
        if order is not None and order.venue_order_id is not None:
            super().query_order(command)  # type: ignore[misc] # LiveExecutionClient's

    def watch(self, orders: Iterable[Order]) -> None:
        """See to the expiry of orders, where the data does not."""

    def settle(self) -> None:
        """Match after a command, where no driver does."""

    def _refuse(self: Any, orders: list[Order]) -> bool:
        reasons = [self._refusal(order) for order in orders]
        reason = next(filter(None, reasons), "")
        for order in orders if reason else ():
            ids = (order.strategy_id, order.instrument_id, order.client_order_id)
            self.generate_order_submitted(*ids, self._clock.timestamp_ns())
            self.generate_order_rejected(*ids, reason, self._clock.timestamp_ns())
        return bool(reason)

    def _refusal(self: Any, order: Order) -> str:
        if not self.is_connected:
            return "NOT_CONNECTED: the sandbox is not connected. Submit again when it is."
        instrument_id = order.instrument_id
        if self._instrument(instrument_id) is None:
            reason = self.exchange.unfit.get(instrument_id) or "the trader has no definition of it"
            return f"INSTRUMENT_UNKNOWN: {instrument_id}: {reason}."
        return order_refusal(order, self._cache, self.exchange.core(instrument_id))

    # -- data --------------------------------------------------------------------------------------

    def on_data(self: Any, data: Data) -> None:
        """Match on data; what the venue cannot take is told once in the log and left out."""
        if isinstance(data, Instrument):
            self.exchange.add_instrument(data)
            return
        instrument_id = getattr(data, "instrument_id", None)
        if instrument_id is None:
            instrument_id = data.bar_type.instrument_id if isinstance(data, Bar) else None
        instrument = instrument_id and self._instrument(instrument_id)
        reason = misfit(data, instrument) if instrument else "no definition of the instrument"
        if reason:
            self._leave_out(instrument_id, reason)
            return
        if self._keeps_market:
            self.market.note(instrument_id, data)
        if self._parked:
            self._take_up_parked(data)
        super().on_data(data)  # type: ignore[misc] # SandboxExecutionClient's
        if self._parked:
            self._take_up_parked()

    def _instrument(self: Any, instrument_id: InstrumentId) -> Instrument | None:
        """Return the venue's definition of an instrument; it takes it from the cache at need."""
        known: Instrument | None = self.exchange.instruments.get(instrument_id)
        if known is None and instrument_id not in self.exchange.unfit:
            instrument = self._cache.instrument(instrument_id)
            if instrument is not None and instrument_id.venue == self.venue:
                self.exchange.add_instrument(instrument)
                known = self.exchange.instruments.get(instrument_id)
        return known

    def _leave_out(self: Any, instrument_id: Any, reason: str) -> None:
        if (instrument_id, reason) not in self._refused:
            self._refused.add((instrument_id, reason))
            self._log.error(f"Not matched on: {reason}, {instrument_id}. It is told once.")

    def know_instruments(self: Any) -> None:
        """Take all instruments of the venue from the cache."""
        for instrument in self._cache.instruments(venue=self.venue):
            self._instrument(instrument.id)

    def market_states(self: Any) -> list[State]:
        """Return the markets, where the data does not tell them again by itself."""
        return self.market.states(self.exchange) if self._keeps_market else []

    # -- orders that were taken up before there was a market ---------------------------------------

    def take_up(self: Any, order: Order) -> None:
        """Put an order that rests back; a trailing one waits for the price that it follows."""
        if prices_missing(order, self.exchange.core(order.instrument_id)):
            self._parked[order.client_order_id] = order
        else:
            self.exchange.get_matching_engine(order.instrument_id).accept_order(order)

    def _take_up_parked(self: Any, coming: Data | None = None) -> None:
        """Put those back whose price is known, or comes with data that is about to be matched."""
        for order in list(self._parked.values()):
            core = self.exchange.core(order.instrument_id)
            known = not prices_missing(order, core) or brings(coming, order, self.exchange)
            if order.is_closed or known:
                self._unpark(order.client_order_id)

    def _unpark(self: Any, client_order_id: ClientOrderId) -> Order | None:
        order: Order | None = self._parked.pop(client_order_id, None)
        if order is not None and not order.is_closed:
            with self.prompt.silent():
                self.exchange.get_matching_engine(order.instrument_id).accept_order(order)
        return order

    def _park_again(self: Any, *orders: Order | None) -> None:
        for order in orders:
            if order is not None and not order.is_closed:
                core = self.exchange.core(order.instrument_id)
                if prices_missing(order, core):
                    core.delete_order(order)
                    self._parked[order.client_order_id] = order


class Sandbox(Mended, SandboxExecutionClient):
    """A sandbox on the wall's time."""

    def __init__(self, *, loop: Any, clock: Clock, config: SandboxConfig, **kwargs: Any) -> None:
        made_by = partial(LastingExchange, life=config.life)
        self._settling = False
        self._venue_clock = VenueClock(clock, loop)
        with substituted(stock, TestClock=lambda: self._venue_clock, SimulatedExchange=made_by):
            super().__init__(loop=loop, clock=clock, config=config, **kwargs)

    def connect(self) -> None:
        """Connect, and match on bars too."""
        super().connect()
        stock_topic, bars = self._topics()
        self._msgbus.unsubscribe(stock_topic, handler=self.on_data)
        for topic in (stock_topic, bars):
            self._msgbus.subscribe(topic, handler=self.on_data, priority=BEFORE_STRATEGIES)

    def disconnect(self) -> None:
        """Disconnect."""
        super().disconnect()
        for topic in self._topics():
            self._msgbus.unsubscribe(topic, handler=self.on_data)
        self._venue_clock.stop()

    def settle(self) -> None:
        """Match once more when the commands that came together are done, as a backtest does."""
        if not self._settling:
            self._settling = True
            self._loop.call_soon(self._match)

    def _match(self) -> None:
        self._settling = False
        now_ns = self._clock.timestamp_ns()
        try:
            for engine in self.exchange.get_matching_engines().values():
                engine.iterate(now_ns)
        except Exception as error:
            self.prompt.failed(error)

    def watch(self, orders: Iterable[Order]) -> None:
        """Expire orders on time, whether there is data or not."""
        for order in orders:
            expire_ns = getattr(order, "expire_time_ns", 0)  # a market order has none
            if expire_ns and not order.is_closed:
                self._venue_clock.at(expire_ns, partial(self._expire, order))

    def _expire(self, order: Order) -> None:
        engine = self.exchange.get_matching_engine(order.instrument_id)
        order = self._cache.order(order.client_order_id)
        if engine.order_exists(order.client_order_id) and not order.is_closed:
            try:
                engine.expire_order(order)
            except Exception as error:
                self.prompt.failed(error)

    def _topics(self) -> tuple[str, str]:
        return f"data.*.{self.venue}.*", f"data.bars.*.{self.venue}-*"


class ReplaySandbox(Mended, DataTimeSandbox):
    """A sandbox on data time."""

    _keeps_market = True

    def __init__(self, *, config: SandboxConfig, **kwargs: Any) -> None:
        self.exchange_class = partial(LastingQueuedExchange, life=config.life)
        super().__init__(config=config, **kwargs)
