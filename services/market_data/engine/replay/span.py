"""What a replay may play: the series that its config allows, and their range."""

from services.market_data.domain import Series
from services.market_data.engine.feed.instruments import NOT_THERE
from services.market_data.engine.feed.subscribing import BARS
from services.market_data.engine.feed.troubles import UNSUPPORTED, Trouble
from services.market_data.engine.replay.stored import Stored
from services.market_data.live.replay_config import ReplayConfig

NO_DATA = "NO_DATA"


class Span:
    """The closed range from ``start`` to ``end`` (unix ns), as the catalog was at the last look."""

    def __init__(self, stored: Stored, config: ReplayConfig) -> None:
        self._stored, self._config = stored, config
        self._names = {name.replace("/", "") for name in config.instruments}
        self.start = self.end = config.start or 0

    async def look(self) -> None:
        """See what the catalog has now."""
        found = await self._stored.span(self._allows)
        if found is None:
            return
        config, (first, last) = self._config, found
        self.start = first if config.start is None else max(first, config.start)
        self.end = last if config.end is None else min(last, config.end)

    def refusal(self, series: Series) -> Trouble | None:
        """Return why a series may not be played, or has nothing to play; None when it can be."""
        kind, name = series.kind, series.identifier
        if not self._has_kind(kind):
            kinds = ", ".join(self._config.kinds)
            text = f"The replay plays no {kind}: its config has the kinds {kinds} only."
            return Trouble(UNSUPPORTED, text)
        if not self._has_name(kind, name.replace("/", "")):
            text = f"The replay plays no {kind} of {name}: its config's instruments lack it."
            return Trouble(NOT_THERE, text)
        if not self._stored.has(series):
            text = f"The project has no {kind} data of {name}. Import or record it first."
            return Trouble(NO_DATA, text)
        if not self._stored.has(series, self.start, self.end):
            text = f"No {kind} data of {name} lies in the range that the replay plays."
            return Trouble(NO_DATA, text)
        return None

    def lists(self, instrument_id: str) -> bool:
        """Tell whether an instrument is one of those that may be played."""
        name = instrument_id.replace("/", "")
        return not self._names or any(name in (each, _instrument(each)) for each in self._names)

    def _allows(self, kind: str, folder: str) -> bool:
        return self._has_kind(kind) and self._has_name(kind, folder)

    def _has_kind(self, kind: str) -> bool:
        return not self._config.kinds or kind in self._config.kinds

    def _has_name(self, kind: str, folder: str) -> bool:
        if not self._names or folder in self._names:
            return True
        return kind == BARS and _instrument(folder) in self._names


def _instrument(bar_type: str) -> str:
    """Return the instrument of a bar type, which has four parts after it."""
    return bar_type.rsplit("-", 4)[0]
