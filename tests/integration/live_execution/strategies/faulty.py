"""Components that raise at one place; handed to traders as user code, never imported by tests."""

import threading
from datetime import timedelta
from typing import Any

from nautilus_trader.common.actor import Actor
from nautilus_trader.common.config import ActorConfig
from nautilus_trader.config import StrategyConfig
from nautilus_trader.core.data import Data
from nautilus_trader.execution.algorithm import ExecAlgorithm
from nautilus_trader.execution.config import ExecAlgorithmConfig
from nautilus_trader.indicators.base import Indicator
from nautilus_trader.model.data import BarType, DataType
from nautilus_trader.model.enums import BookType, OrderSide
from nautilus_trader.model.identifiers import ExecAlgorithmId, InstrumentId
from nautilus_trader.trading.strategy import Strategy

KINDS: dict[str, type[BaseException]] = {
    "ValueError": ValueError,
    "SystemExit": SystemExit,
    "MemoryError": MemoryError,
}


class Thing(Data):
    """Data of the user's own."""

    @property
    def ts_event(self) -> int:
        """Return the time of the event."""
        return 0

    @property
    def ts_init(self) -> int:
        """Return the time of its making."""
        return 0


class Broken(Indicator):
    """An indicator that raises at its first bar."""

    def __init__(self) -> None:
        super().__init__([])

    def handle_bar(self, bar: Any) -> None:
        """Raise."""
        raise ValueError("broken")


class FaultyConfig(StrategyConfig, frozen=True):
    """``where`` it raises, what, and what it does besides."""

    instrument_id: InstrumentId
    where: str
    raises: str = "ValueError"
    then: str = ""


class Faulty(Strategy):
    """Raises once, at the place that its config names; all calls after that are counted."""

    def __init__(self, config: FaultyConfig) -> None:
        super().__init__(config)
        self.calls: list[str] = []
        self.threads: set[bool] = set()

    def at(self, place: str) -> None:
        """Raise at the place."""
        self.calls.append(place)
        self.threads.add(threading.current_thread() is threading.main_thread())
        if place == self.config.where:
            raise KINDS[self.config.raises]("at " + place)
        if place == self.config.then:
            raise RuntimeError("again")

    def on_start(self) -> None:
        """Ask for everything there is."""
        self.at("on_start")
        instrument_id = self.config.instrument_id
        bar_type = BarType.from_str(f"{instrument_id}-1-MINUTE-LAST-EXTERNAL")
        if self.config.where == "indicator":
            self.register_indicator_for_bars(bar_type, Broken())
        self.subscribe_bars(bar_type)
        self.subscribe_quote_ticks(instrument_id)
        self.subscribe_trade_ticks(instrument_id)
        self.subscribe_mark_prices(instrument_id)
        self.subscribe_index_prices(instrument_id)
        self.subscribe_funding_rates(instrument_id)
        self.subscribe_instrument(instrument_id)
        self.subscribe_instrument_status(instrument_id)
        self.subscribe_instrument_close(instrument_id)
        self.subscribe_order_book_deltas(instrument_id, BookType.L2_MBP)
        self.subscribe_order_book_depth(instrument_id, BookType.L2_MBP)
        self.subscribe_data(DataType(Thing))
        self.subscribe_signal("alarm")
        self.clock.set_timer("timer", timedelta(seconds=20), callback=self.on_my_timer)
        self.clock.set_time_alert("default", self.clock.utc_now() + timedelta(seconds=5))
        self.clock.set_time_alert_ns("alert", self.clock.timestamp_ns() + 10**9, self.on_my_alert)
        self.msgbus.subscribe("my.topic", self.on_my_topic)
        self.msgbus.subscribe("my.topic", lambda _: self.at("lambda"))
        self.msgbus.register(f"{self.id}.mine", self.on_my_endpoint)
        self.request_bars(
            bar_type, self.clock.utc_now() - timedelta(hours=1), callback=self.on_answer
        )

    def buy(self) -> None:
        """Buy a little."""
        self.submit_order(self.market())

    def market(self, algorithm: str = "") -> Any:
        """Make a small order."""
        instrument = self.cache.instrument(self.config.instrument_id)
        return self.order_factory.market(
            instrument.id,
            OrderSide.BUY,
            instrument.make_qty(0.01),
            exec_algorithm_id=ExecAlgorithmId(algorithm) if algorithm else None,
        )

    def on_stop(self) -> None:
        """Stop."""
        self.at("on_stop")

    def on_save(self) -> dict[str, bytes]:
        """Save what it has been given and has seen."""
        self.at("on_save")
        return {"calls": str(len(self.calls)).encode()}

    def on_load(self, state: dict[str, bytes]) -> None:
        """Load."""
        self.at("on_load")

    def on_dispose(self) -> None:
        """Go."""
        self.at("on_dispose")

    def on_fault(self) -> None:
        """Fail."""
        self.at("on_fault")

    def on_my_timer(self, event: Any) -> None:
        """Hear a timer."""
        self.at("on_my_timer")

    def on_my_alert(self, event: Any) -> None:
        """Hear an alert."""
        self.at("on_my_alert")

    def on_my_topic(self, message: Any) -> None:
        """Hear a message."""
        self.at("on_my_topic")

    def on_my_endpoint(self, message: Any) -> None:
        """Hear a message sent to it."""
        self.at("on_my_endpoint")

    def on_answer(self, request_id: Any) -> None:
        """Hear that a request was answered."""
        self.at("on_answer")


def _handler(name: str) -> Any:
    def handler(self: Faulty, data: Any) -> None:
        self.at(name)

    return handler


PLAIN = [
    "on_quote_tick",
    "on_trade_tick",
    "on_bar",
    "on_mark_price",
    "on_index_price",
    "on_funding_rate",
    "on_instrument",
    "on_instrument_status",
    "on_instrument_close",
    "on_order_book_deltas",
    "on_order_book_depth",
    "on_data",
    "on_signal",
    "on_historical_data",
    "on_event",
    "on_order_event",
    "on_order_initialized",
    "on_order_submitted",
    "on_order_filled",
    "on_position_event",
    "on_position_opened",
]
for each in PLAIN:
    _made = _handler(each)
    _made.__code__ = _made.__code__.replace(co_name=each)  # what a traceback shows
    setattr(Faulty, each, _made)


class FaultyActorConfig(ActorConfig, frozen=True):
    """Of which instrument."""

    instrument_id: InstrumentId


class FaultyActor(Actor):
    """Raises at the first trade."""

    def on_start(self) -> None:
        """Subscribe."""
        self.subscribe_trade_ticks(self.config.instrument_id)

    def on_trade_tick(self, tick: Any) -> None:
        """Raise."""
        raise ValueError("an actor's")


class FaultyAlgorithmConfig(ExecAlgorithmConfig, frozen=True):
    """``where`` it raises."""

    where: str


class FaultyAlgorithm(ExecAlgorithm):
    """Raises at an order, or at an event of one."""

    def on_order(self, order: Any) -> None:
        """Raise, or send it on."""
        if self.config.where == "on_order":
            raise ValueError("an algorithm's")
        self.submit_order(order)

    def on_order_submitted(self, event: Any) -> None:
        """Raise."""
        raise ValueError("an algorithm's, later")
