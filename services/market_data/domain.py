"""Instruments, series of data and import jobs."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.market_data.errors import (
    ImportFinished,
    ImportUnfinished,
    NoData,
    RangeOutsideCoverage,
    bad_field,
)

PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLED = (
    "PENDING",
    "RUNNING",
    "SUCCEEDED",
    "FAILED",
    "CANCELLED",
)
FINAL = frozenset({SUCCEEDED, FAILED, CANCELLED})
Json = Mapping[str, Any]

FIRST, LAST = 0, 2**63 - 1
"""The open ends of a range, in unix nanoseconds."""

_BAR_TYPE = re.compile(r"(.+)-(\d+)-([A-Z_]+)-(BID|ASK|LAST|MID)-(EXTERNAL|INTERNAL)")
_STEPS = {
    "MILLISECOND": 10**6,
    "SECOND": 10**9,
    "MINUTE": 60 * 10**9,
    "HOUR": 3_600 * 10**9,
    "DAY": 86_400 * 10**9,
    "WEEK": 7 * 86_400 * 10**9,
}


@dataclass(frozen=True)
class Series:
    """One kind of data of one instrument; bars of one bar type."""

    kind: str
    instrument_id: str
    bar_type: str = ""

    @classmethod
    def of(cls, field_name: str, kind: str, instrument_id: str, bar_type: str) -> "Series":
        """Return the series that a request names; raises for a bad or missing bar type."""
        if kind != "BAR":
            if bar_type:
                raise bad_field(f"{field_name}.bar_type", "is for bars only")
            if not instrument_id:
                raise bad_field(f"{field_name}.instrument_id", "is required")
            return cls(kind, instrument_id)
        matched = _BAR_TYPE.fullmatch(bar_type)
        if matched is None:
            raise bad_field(
                f"{field_name}.bar_type", "must be such as USD/JPY.SIM-1-MINUTE-BID-EXTERNAL"
            )
        if matched[5] != "EXTERNAL":
            raise bad_field(
                f"{field_name}.bar_type", "must end in -EXTERNAL: internal bars are made"
            )
        if instrument_id and instrument_id != matched[1]:
            raise bad_field(f"{field_name}.instrument_id", f"is not {matched[1]} of the bar type")
        return cls(kind, matched[1], bar_type)

    @property
    def identifier(self) -> str:
        """What names its folder: the bar type, or the instrument id."""
        return self.bar_type or self.instrument_id

    @property
    def step(self) -> int:
        """Nanoseconds from bar to bar, 0 where there is no fixed step of time."""
        matched = _BAR_TYPE.fullmatch(self.bar_type)
        return int(matched[2]) * _STEPS.get(matched[3], 0) if matched else 0

    def no_data(self, more: Mapping[str, str] | None = None) -> NoData:
        """Return the error that there is none."""
        return NoData(
            f"There is no {self.kind} data of {self.identifier}. Import it first.",
            metadata={
                "instrument_id": self.instrument_id,
                "kind": self.kind,
                "bar_type": self.bar_type,
                **(more or {}),
            },
        )

    def outside(
        self, first: int, last: int, more: Mapping[str, str] | None = None
    ) -> RangeOutsideCoverage:
        """Return the error that none lies in the range."""
        return RangeOutsideCoverage(
            f"The {self.kind} data of {self.identifier} lies between {_iso(first)} and "
            f"{_iso(last)}; none is in the range.",
            metadata={
                "instrument_id": self.instrument_id,
                "kind": self.kind,
                "bar_type": self.bar_type,
                "first": _iso(first),
                "last": _iso(last),
                **(more or {}),
            },
        )


def _iso(nanos: int) -> str:
    seconds, rest = divmod(nanos, 10**9)
    text = datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}Z" if rest else f"{text}Z"


@dataclass(frozen=True)
class StoredInstrument:
    """An instrument as kept: ``definition`` is the contract's message in bytes."""

    project: str
    instrument_id: str
    owner: str
    definition: bytes
    price_precision: int
    size_precision: int
    create_time: datetime | None = None
    update_time: datetime | None = None


def check_options(
    series: Series,
    instrument: StoredInstrument,
    time_zone: str,
    default_size: str,
    timestamp_is_open: bool,
) -> None:
    """Raise for options of an import that its series or instrument cannot take."""
    if timestamp_is_open and not series.step:
        raise bad_field("spec.timestamp_is_open", "is for bars of a fixed step of time only")
    if len(default_size.partition(".")[2]) > instrument.size_precision:
        text = f"has more decimals than the instrument's {instrument.size_precision}"
        raise bad_field("spec.default_size", text)
    try:
        ZoneInfo(time_zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        text = f"'{time_zone}' is no time zone such as Europe/Berlin"
        raise bad_field("spec.time_zone", text) from None


@dataclass(frozen=True)
class Job:
    """An import: ``spec`` is the contract's message in bytes, ``report`` holds counts, faults."""

    import_id: str
    project: str
    owner: str
    spec: bytes
    file_name: str
    upload_bytes: int
    upload_sha256: str
    state: str = PENDING
    report: Json = field(default_factory=dict)
    reason: str = ""
    message: str = ""
    attempts: int = 0
    start_time: datetime | None = None
    end_time: datetime | None = None
    create_time: datetime | None = None
    update_time: datetime | None = None

    def check_cancellable(self) -> None:
        """Raise ``ImportFinished`` unless the job may still be stopped."""
        if self.state in FINAL:
            raise ImportFinished(
                f"The import has ended ({self.state}).",
                metadata={"import_id": self.import_id, "state": self.state},
            )

    def check_deletable(self) -> None:
        """Raise ``ImportUnfinished`` unless the job has ended."""
        if self.state not in FINAL:
            raise ImportUnfinished(
                f"The import is {self.state}. Cancel it first, or wait for its end.",
                metadata={"import_id": self.import_id, "state": self.state},
            )


def fingerprint(hashes: Iterable[str]) -> str:
    """Return the SHA-256 over the content hashes of files, in the order of time."""
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()
