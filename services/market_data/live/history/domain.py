"""Jobs that fetch history from a venue."""

from dataclasses import dataclass
from datetime import datetime

from services.market_data.domain import FINAL, PENDING, Series
from services.market_data.live.domain import Feed
from services.market_data.live.history.errors import (
    HistoryJobFinished,
    HistoryJobUnfinished,
    HistoryUnsupported,
)

KINDS = ("QUOTE_TICK", "TRADE_TICK", "BAR")
"""Kinds that Nautilus can ask a venue for."""

FILLED = ("TRADE_TICK", "BAR")
"""Kinds of which holes in a recording are filled: a row is told from another by its name."""


@dataclass(frozen=True)
class HistoryJob:
    """A job as kept. ``position``: everything before this time (unix ns) was asked for."""

    history_job_id: str
    project: str
    owner: str
    feed_id: str
    series: Series
    start: int
    end: int
    refresh: bool
    position: int
    state: str = PENDING
    rows_received: int = 0
    rows_written: int = 0
    requests: int = 0
    reason: str = ""
    message: str = ""
    attempts: int = 0
    start_time: datetime | None = None
    end_time: datetime | None = None
    create_time: datetime | None = None
    update_time: datetime | None = None

    @property
    def progress(self) -> float:
        """From 0 to 1, by time."""
        done = min(self.position, self.end + 1) - self.start
        return 1.0 if self.state == "SUCCEEDED" else done / (self.end + 1 - self.start)

    def check_cancellable(self) -> None:
        """Raise ``HistoryJobFinished`` unless the job may still be stopped."""
        if self.state in FINAL:
            raise HistoryJobFinished(f"The job has ended ({self.state}).", metadata=self._about())

    def check_deletable(self) -> None:
        """Raise ``HistoryJobUnfinished`` unless the job has ended."""
        if self.state not in FINAL:
            raise HistoryJobUnfinished(
                f"The job is {self.state}. Cancel it first, or wait for its end.",
                metadata=self._about(),
            )

    def _about(self) -> dict[str, str]:
        return {"history_job_id": self.history_job_id, "state": self.state}


def check_supported(feed: Feed, kind: str) -> None:
    """Raise ``HistoryUnsupported`` for what no venue can be asked for."""
    about = {"feed_id": feed.feed_id, "kind": kind}
    if feed.is_replay:
        text = f"Feed '{feed.feed_id}' is a replay: its data is in the catalog already."
        raise HistoryUnsupported(text, metadata=about)
    if kind not in KINDS:
        text = f"Venues keep no history of {kind}. Ask for one of {', '.join(KINDS)}, or record it."
        raise HistoryUnsupported(text, metadata=about)
