"""A strategy that keeps a count; handed to traders as user code, never imported by tests."""

from typing import Any

from nautilus_trader.config import StrategyConfig
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.trading.strategy import Strategy

STEP = 1


class KeeperConfig(StrategyConfig, frozen=True):
    """``fail_at`` is the count at which it raises, ``state`` what is odd about its state."""

    instrument_id: InstrumentId
    fail_at: int = 0
    trades: bool = True
    state: str = ""


class Keeper(Strategy):
    """Counts quotes over all its lives; buys at the first of a life, and lets an order rest."""

    def __init__(self, config: KeeperConfig) -> None:
        super().__init__(config)
        self.count = 0
        self.bought = False

    def on_start(self) -> None:
        """Subscribe, where there is such an instrument."""
        self.instrument = self.cache.instrument(self.config.instrument_id)
        if self.instrument is None:
            self.stop()
            return
        self.subscribe_quote_ticks(self.config.instrument_id)

    def on_quote_tick(self, tick: Any) -> None:
        """Count."""
        self.count += STEP
        if self.config.trades and not self.bought:
            self.bought = True
            quantity = self.instrument.make_qty(0.01)
            make, instrument_id = self.order_factory, self.config.instrument_id
            price = self.instrument.make_price(20_000)
            self.submit_order(make.market(instrument_id, OrderSide.BUY, quantity))
            self.submit_order(make.limit(instrument_id, OrderSide.BUY, quantity, price))
        if self.count == self.config.fail_at:
            raise ValueError("counted far enough")

    def on_stop(self) -> None:
        """Leave everything as it is."""

    def on_save(self) -> dict[str, bytes]:
        """Save the count."""
        if self.config.state == "odd":
            return {"count": self.count}  # type: ignore[dict-item]  # the fault that is tested
        return {"count": str(self.count).encode()}

    def on_load(self, state: dict[str, bytes]) -> None:
        """Load the count."""
        if self.config.state == "unreadable":
            raise KeyError("total")
        self.count = int(state["count"])
