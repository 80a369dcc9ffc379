"""A strategy that does everything, on data made from a seed, in an engine whose facts are kept."""

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.examples.algorithms.twap import TWAPExecAlgorithm
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import (
    AccountType,
    OmsType,
    OrderSide,
    TimeInForce,
    TrailingOffsetType,
    TriggerType,
)
from nautilus_trader.model.identifiers import ExecAlgorithmId, TraderId, Venue
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.model.orders import Order
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy

from mesh.execution.v1.events_pb2 import TraderFact
from services.live_execution.engine.capture import Capture
from services.live_execution.engine.memory import Memory
from services.live_execution.engine.remembering import Remembering
from services.live_execution.engine.restoring import continue_ids
from services.live_execution.trader.ports import Restored

SPOT = TestInstrumentProvider.btcusdt_binance()
PERP = TestInstrumentProvider.ethusdt_perp_binance()
BINANCE = Venue("BINANCE")
START = 1_767_225_600_000_000_000
SECOND = 1_000_000_000
TRADER = TraderId("BUSY-001")
SPANS = [timedelta(seconds=5), timedelta(minutes=5)]


class Kept:
    """Facts as a journal has them; the part of ``Outside`` that a capture needs."""

    def __init__(self) -> None:
        self.facts: list[bytes] = []
        self.on_record: Callable[[TraderFact], None] = lambda fact: None

    def record(self, *facts: TraderFact) -> int:
        """Keep facts."""
        for fact in facts:
            self.facts.append(fact.SerializeToString())
            self.on_record(fact)
        return len(self.facts)

    def restored(self, snapshot: bytes = b"", number: int = 0) -> Restored:
        """Return what a successor is given."""
        after = list(enumerate(self.facts, start=1))[number:]
        return Restored(
            number=len(self.facts), snapshot=snapshot, snapshot_number=number, facts=after
        )


class BusyConfig(StrategyConfig, frozen=True):
    """What it trades, and from which seed."""

    seed: int = 1
    every: int = 1
    instruments: tuple[str, ...] = (str(SPOT.id), str(PERP.id))


class Busy(Strategy):
    """Submits, modifies and cancels orders of every kind at random."""

    def __init__(self, config: BusyConfig, memory: Memory | None = None) -> None:
        super().__init__(config)
        self.random = random.Random(config.seed)
        self.memory = memory
        self.ticks = 0

    def on_start(self) -> None:
        """Watch both instruments."""
        if self.memory is not None:
            continue_ids(self, self.memory)
        for instrument in (SPOT, PERP):
            self.subscribe_quote_ticks(instrument.id)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Do something."""
        self.ticks += 1
        if self.ticks % self.config.every or str(tick.instrument_id) not in self.config.instruments:
            return
        instrument = self.cache.instrument(tick.instrument_id)
        mid = (tick.bid_price.as_decimal() + tick.ask_price.as_decimal()) / 2
        action = self.random.choice(
            [self._market, self._market, self._rest, self._conditional, self._trailing,
             self._bracket, self._emulated, self._sliced, self._modify, self._cancel, self._never,
             self._close, self._turn]
        )  # fmt: skip
        action(instrument, mid)

    def _side(self) -> OrderSide:
        return self.random.choice([OrderSide.BUY, OrderSide.SELL])

    def _quantity(self, instrument: Any) -> Quantity:
        return instrument.make_qty(Decimal(self.random.randint(1, 40)) / 100)

    def _off(self, instrument: Any, mid: Decimal, side: OrderSide, sign: int) -> Price:
        step = Decimal(self.random.randint(1, 30)) / 10_000 * sign
        return instrument.make_price(mid * (1 - step if side == OrderSide.BUY else 1 + step))

    def _market(self, instrument: Any, mid: Decimal) -> None:
        order = self.order_factory.market(instrument.id, self._side(), self._quantity(instrument))
        self.submit_order(order)

    def _rest(self, instrument: Any, mid: Decimal) -> None:
        side = self._side()
        self.submit_order(
            self.order_factory.limit(
                instrument.id, side, self._quantity(instrument),
                self._off(instrument, mid, side, 1), time_in_force=TimeInForce.GTD,
                expire_time=self.clock.utc_now() + self.random.choice(SPANS),
                display_qty=instrument.make_qty(Decimal("0.01")), tags=["rest", "busy"],
            )
        )  # fmt: skip

    def _conditional(self, instrument: Any, mid: Decimal) -> None:
        side = self._side()
        price, quantity = self._off(instrument, mid, side, -1), self._quantity(instrument)
        touched = self._off(instrument, mid, side, 1)
        make, ids = self.order_factory, (instrument.id, side, quantity)
        kinds: list[Callable[[], Order]] = [
            lambda: make.stop_market(*ids, price),
            lambda: make.stop_limit(*ids, price, price),
            lambda: make.market_if_touched(*ids, touched),
            lambda: make.market_to_limit(*ids),
        ]
        self.submit_order(self.random.choice(kinds)())

    def _trailing(self, instrument: Any, mid: Decimal) -> None:
        self.submit_order(
            self.order_factory.trailing_stop_market(
                instrument.id, self._side(), self._quantity(instrument),
                trailing_offset=Decimal(30), trailing_offset_type=TrailingOffsetType.BASIS_POINTS,
            )
        )  # fmt: skip

    def _bracket(self, instrument: Any, mid: Decimal) -> None:
        side = self._side()
        self.submit_order_list(
            self.order_factory.bracket(
                instrument.id, side, self._quantity(instrument),
                tp_price=self._off(instrument, mid, side, -1),
                sl_trigger_price=self._off(instrument, mid, side, 1), tp_post_only=False,
            )
        )  # fmt: skip

    def _emulated(self, instrument: Any, mid: Decimal) -> None:
        side = self._side()
        self.submit_order(
            self.order_factory.limit(
                instrument.id, side, self._quantity(instrument),
                self._off(instrument, mid, side, 1), emulation_trigger=TriggerType.BID_ASK,
            )
        )  # fmt: skip

    def _sliced(self, instrument: Any, mid: Decimal) -> None:
        """Have an execution algorithm cut an order into slices."""
        self.submit_order(
            self.order_factory.market(
                instrument.id, self._side(), instrument.make_qty(Decimal("0.30")),
                exec_algorithm_id=ExecAlgorithmId("TWAP"),
                exec_algorithm_params={"horizon_secs": 9, "interval_secs": 3},
            )
        )  # fmt: skip

    def _open(self) -> Sequence[Order]:
        return sorted(self.cache.orders_open(strategy_id=self.id), key=lambda o: o.client_order_id)

    def _modify(self, instrument: Any, mid: Decimal) -> None:
        for order in self._open():
            if order.has_price and not order.is_pending_cancel and order.filled_qty == 0:
                own = self.cache.instrument(order.instrument_id)
                moved = order.price + own.price_increment * 3
                self.modify_order(order, price=own.make_price(moved))
                return

    def _cancel(self, instrument: Any, mid: Decimal) -> None:
        for order in self._open()[:2]:
            self.cancel_order(order)

    def _never(self, instrument: Any, mid: Decimal) -> None:
        """Make an id that is not used, and an order that the risk engine denies."""
        self.order_factory.generate_client_order_id()
        far = instrument.make_price(mid)
        self.submit_order(
            self.order_factory.limit(instrument.id, self._side(), instrument.make_qty(20_000), far)
        )

    def _turn(self, instrument: Any, mid: Decimal) -> None:
        """Sell more of a position than it is (or buy), so that it turns."""
        held = sorted(self.cache.positions_open(instrument_id=instrument.id), key=lambda p: p.id)
        if held:
            side = OrderSide.SELL if held[0].is_long else OrderSide.BUY
            quantity = instrument.make_qty(held[0].quantity.as_decimal() * 2)
            order = self.order_factory.market(instrument.id, side, quantity)
            self.submit_order(order, position_id=held[0].id)

    def _close(self, instrument: Any, mid: Decimal) -> None:
        self.close_all_positions(instrument.id)


def quotes(count: int, *, seed: int = 7, start: int = START, size: str = "0.25") -> list[QuoteTick]:
    """Return quotes of both instruments, one a second each; ``size`` is what they offer."""
    chance, made = random.Random(seed), []
    prices = {SPOT: Decimal(50_000), PERP: Decimal(2_500)}
    for i in range(count):
        for instrument in prices:
            prices[instrument] *= 1 + Decimal(chance.randint(-20, 20)) / 20_000
            mid, time = prices[instrument], start + i * SECOND
            made.append(
                QuoteTick(
                    instrument.id, instrument.make_price(mid),
                    instrument.make_price(mid + instrument.price_increment.as_decimal() * 2),
                    instrument.make_qty(Decimal(size)), instrument.make_qty(Decimal(size)),
                    time, time,
                )
            )  # fmt: skip
    return made


class Scene:
    """An engine that trades, and what it has recorded."""

    def __init__(
        self,
        oms: OmsType = OmsType.NETTING,
        *,
        virtual: bool = False,
    ) -> None:
        self.engine = BacktestEngine(
            BacktestEngineConfig(trader_id=TRADER, logging=LoggingConfig(bypass_logging=True))
        )
        balances = [Money(10_000_000, USDT), Money(100, SPOT.base_currency)]
        self.engine.add_venue(
            BINANCE, oms, AccountType.MARGIN, balances, use_position_ids=not virtual
        )
        for instrument in (SPOT, PERP):
            self.engine.add_instrument(instrument)
        if not virtual:  # Nautilus fails when a slice fills after its HEDGING position has closed
            self.engine.add_exec_algorithm(TWAPExecAlgorithm())
        self.kept = Kept()
        self.outside = Remembering(self.kept)  # type: ignore[arg-type]  # records, and that is all
        self.capture = Capture(self.engine.kernel, self.outside)

    @property
    def kernel(self) -> Any:
        """The engine's kernel."""
        return self.engine.kernel

    def begin(self, memory: Memory) -> None:
        """Record from now on."""
        self.outside.remember(memory, len(self.kept.facts))
        self.capture.begin(memory)

    def play(self, data: list[QuoteTick], *strategies: Strategy) -> None:
        """Trade on data; the engine goes on where it was."""
        for strategy in strategies:
            self.engine.add_strategy(strategy)
        self.engine.add_data(data)
        self.engine.run(streaming=True)
        self.engine.clear_data()

    def close(self) -> None:
        """End it."""
        self.engine.dispose()
