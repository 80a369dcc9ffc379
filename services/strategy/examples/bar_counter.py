"""An actor: counts bars and tells the log of the largest range seen."""

from nautilus_trader.common.actor import Actor
from nautilus_trader.config import ActorConfig
from nautilus_trader.model.data import Bar, BarType


class BarCounterConfig(ActorConfig, frozen=True):
    """Parameters of ``BarCounter``.

    Parameters
    ----------
    bar_type
        The bars to watch.

    """

    bar_type: BarType


class BarCounter(Actor):
    """Watches bars and sends no orders."""

    def __init__(self, config: BarCounterConfig) -> None:
        super().__init__(config)
        self.count = 0
        self.largest = 0.0

    def on_start(self) -> None:
        """Watch the bars."""
        self.subscribe_bars(self.config.bar_type)

    def on_bar(self, bar: Bar) -> None:
        """Count the bar and measure its range."""
        self.count += 1
        self.largest = max(self.largest, bar.high.as_double() - bar.low.as_double())

    def on_save(self) -> dict[str, bytes]:
        """Keep what was counted."""
        return {"seen": f"{self.count} {self.largest!r}".encode()}

    def on_load(self, state: dict[str, bytes]) -> None:
        """Count on."""
        count, largest = state["seen"].decode().split()
        self.count, self.largest = int(count), float(largest)

    def on_stop(self) -> None:
        """Tell what was seen."""
        self.log.info(f"{self.count} bars, largest range {self.largest:.5f}")
