"""A strategy that looks at every quote and does nothing: what remains is the engine."""

from nautilus_trader.config import StrategyConfig
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.trading.strategy import Strategy


class LightConfig(StrategyConfig, frozen=True):
    """Parameters of ``Light``.

    Parameters
    ----------
    instrument_id
        The instrument to watch.

    """

    instrument_id: InstrumentId


class Light(Strategy):
    """Counts quotes."""

    def __init__(self, config: LightConfig) -> None:
        super().__init__(config)
        self.count = 0

    def on_start(self) -> None:
        """Watch the quotes."""
        self.subscribe_quote_ticks(self.config.instrument_id)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Count one."""
        self.count += 1
