"""Feeds, their channels, and subscriptions to them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.market_data.errors import bad_field

REPLAY = "REPLAY"
"""The venue that plays a catalog's data."""

CONFLATED, LOSSLESS = "CONFLATED", "LOSSLESS"
DELTAS, DEPTH, BARS = "ORDER_BOOK_DELTA", "ORDER_BOOK_DEPTH10", "BAR"

CONFLATE_MS = 100
SILENCE_MS = 60_000

_INSTRUMENT = re.compile(r"\S.*\.[^\s.]+")  # symbols of options have spaces
_BAR = r"(\S.*\.[^\s.]+?)-([1-9]\d*)-([A-Z_]+)-(BID|ASK|LAST|MID)-(EXTERNAL|INTERNAL)"
_BAR_TYPE = re.compile(_BAR + r"(?:@([1-9]\d*)-([A-Z_]+)-(EXTERNAL|INTERNAL))?")
_EXAMPLE = "BTCUSDT.BINANCE-1-MINUTE-LAST-EXTERNAL"


@dataclass(frozen=True)
class Channel:
    """One stream of a feed: a kind of an instrument, or one bar type."""

    kind: str
    instrument_id: str
    bar_type: str = ""

    @classmethod
    def of(cls, field: str, kind: str, instrument_id: str, bar_type: str) -> "Channel":
        """Return the channel that a request names; raises for a bad or missing name."""
        if kind == BARS:
            return cls._of_bars(field, instrument_id, bar_type)
        if bar_type:
            raise bad_field(f"{field}.bar_type", "is for bars only")
        if not instrument_id:
            raise bad_field(f"{field}.instrument_id", "is required")
        if not _INSTRUMENT.fullmatch(instrument_id):
            raise bad_field(f"{field}.instrument_id", "must be such as BTCUSDT.BINANCE")
        return cls(kind, instrument_id)

    @classmethod
    def _of_bars(cls, field: str, instrument_id: str, bar_type: str) -> "Channel":
        where = f"{field}.bar_type"
        if not bar_type:
            raise bad_field(where, f"is required for bars, such as {_EXAMPLE}")
        matched = _BAR_TYPE.fullmatch(bar_type)
        if matched is None:
            raise bad_field(where, f"must be such as {_EXAMPLE}")
        if matched[6] and matched[5] != "INTERNAL":
            raise bad_field(where, "is made of smaller bars, so it must be INTERNAL before the @")
        if instrument_id and instrument_id != matched[1]:
            raise bad_field(f"{field}.instrument_id", f"is not {matched[1]} of the bar type")
        return cls(BARS, matched[1], bar_type)

    @property
    def name(self) -> str:
        """The bar type, or the instrument id."""
        return self.bar_type or self.instrument_id

    def __str__(self) -> str:
        return self.bar_type or f"{self.kind} of {self.instrument_id}"


def unique(field: str, channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """Return the channels; raises when one is named twice."""
    seen: dict[Channel, int] = {}
    for index, channel in enumerate(channels):
        if channel in seen:
            text = f"is the same as {field}[{seen[channel]}]; name each channel once"
            raise bad_field(f"{field}[{index}]", text)
        seen[channel] = index
    return tuple(channels)


@dataclass(frozen=True)
class Feed:
    """A feed as kept. ``position`` (unix ns), ``paused`` and ``speed`` are a replay's."""

    project: str
    feed_id: str
    owner: str
    venue: str
    config_json: str
    silence_ms: int
    position: int | None = None
    paused: bool | None = None
    speed: float | None = None
    create_time: datetime | None = None
    update_time: datetime | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Project and feed id."""
        return self.project, self.feed_id

    @property
    def is_replay(self) -> bool:
        """Whether it plays a catalog's data."""
        return self.venue == REPLAY


@dataclass(frozen=True)
class Subscription:
    """A durable wish for channels of a feed. ``idle_ms`` 0 keeps it until it is deleted."""

    subscription_id: str
    project: str
    owner: str
    feed_id: str
    delivery: str
    conflate_ms: int
    idle_ms: int
    recording: bool
    channels: tuple[Channel, ...]
    create_time: datetime | None = None
    update_time: datetime | None = None

    @property
    def feed_key(self) -> tuple[str, str]:
        """Project and feed id."""
        return self.project, self.feed_id
