"""Sandbox venues that match, queue and settle as the venues of a backtest do.

Nautilus' sandbox takes an order in the middle of the strategy that sends it, sees data through the
message bus after aggregators and never sees bars, and has a clock of its own.
"""

from collections.abc import Callable, Sequence
from typing import Any

from nautilus_trader.adapters.sandbox import execution as stock
from nautilus_trader.adapters.sandbox.execution import SandboxExecutionClient
from nautilus_trader.backtest.engine import SimulatedExchange
from nautilus_trader.common.component import Clock
from nautilus_trader.execution.messages import TradingCommand
from nautilus_trader.model.data import Bar
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.instruments import Instrument

from meshkit.nautilus.data_time.clock import timeline_of
from meshkit.nautilus.data_time.substitute import substituted


class QueuedExchange(SimulatedExchange):
    """Keeps commands until they are settled, after the data or time event that they answer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pending: list[TradingCommand] = []
        self.on_command: Callable[[], None] = lambda: None

    def send(self, command: TradingCommand) -> None:
        """Keep a command."""
        self.pending.append(command)
        self.on_command()

    def drain(self) -> None:
        """Process the commands, those too that come while it does."""
        while self.pending:
            super().send(self.pending.pop(0))

    def iterate(self, ts_ns: int) -> None:
        """Match the orders that the commands have added."""
        for engine in self.get_matching_engines().values():
            engine.iterate(ts_ns)


class DataTimeSandbox(SandboxExecutionClient):
    """A sandbox on its node's time, given its data by the driver before anybody else."""

    exchange_class: Callable[..., QueuedExchange] = QueuedExchange
    """What makes its exchange."""

    def __init__(self, *, clock: Clock, **kwargs: Any) -> None:
        timeline = timeline_of(clock)
        exchange = self.exchange_class
        with substituted(stock, TestClock=timeline.clock_class, SimulatedExchange=exchange):
            super().__init__(clock=clock, **kwargs)

    def connect(self) -> None:
        """Connect: as the stock client, but from the bus come instruments alone."""
        super().connect()
        self._msgbus.unsubscribe(f"data.*.{self.venue}.*", handler=self.on_data)
        self._msgbus.subscribe(f"data.instrument.{self.venue}.*", handler=self.on_data)


class Venues:
    """The sandboxes of a node."""

    def __init__(self, clients: Sequence[DataTimeSandbox], on_command: Callable[[], None]) -> None:
        self._clients: dict[Venue, DataTimeSandbox] = {c.venue: c for c in clients}
        self._exchanges: list[QueuedExchange] = [c.exchange for c in clients]
        for exchange in self._exchanges:
            exchange.on_command = on_command

    def feed(self, data: Any) -> None:
        """Let the venue of the data match on it, whether or not a strategy has asked for it."""
        client = self._clients.get(_venue(data))
        if client is not None:
            client.on_data(data)

    def settle(self, ts_ns: int) -> None:
        """Process pending commands until there are none, as a backtest does after each step."""
        while any(exchange.pending for exchange in self._exchanges):
            for exchange in self._exchanges:
                exchange.process(ts_ns)  # sets the venue's clock
                exchange.drain()
            for exchange in self._exchanges:
                exchange.iterate(ts_ns)
        for exchange in self._exchanges:
            exchange.process(ts_ns)


def _venue(data: Any) -> Venue | None:
    """Return the venue of the data; None for what is of none, and for instruments (on the bus)."""
    if isinstance(data, Bar):
        return data.bar_type.instrument_id.venue
    if isinstance(data, Instrument):
        return None
    instrument_id = getattr(data, "instrument_id", None)
    return None if instrument_id is None else instrument_id.venue
