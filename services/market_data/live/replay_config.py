"""The config of a feed of the venue REPLAY: which stored data to play, and how."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from mesh.marketdata.v1.marketdata_pb2 import DataKind
from meshkit import enums
from services.market_data.errors import bad_field

MAX_SPEED = 1_000_000
MAX_INSTRUMENTS = 10_000
KINDS = tuple(enums.bare(DataKind, value) for value in DataKind.values() if value)

_LATEST = 2**63 - 1


@dataclass(frozen=True)
class ReplayConfig:
    """What to play.

    ``instruments`` are instrument ids or bar types, none for all that the project has; ``kinds``
    are bare names of ``DataKind``, none for all; ``start`` and ``end`` are unix nanoseconds, both
    included, None where the data begins or ends. ``speed`` is seconds of data in a second, 0 as
    fast as it can. ``loop`` begins again at the end; ``paused`` waits to be resumed.
    """

    instruments: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None
    speed: float = 1.0
    loop: bool = False
    paused: bool = False


SCHEMA: Mapping[str, Any] = {
    "title": "ReplayConfig",
    "type": "object",
    "properties": {
        "instruments": {
            "type": "array",
            "items": {"type": "string"},
            "maxItems": MAX_INSTRUMENTS,
            "default": [],
            "description": "Instrument ids or bar types to play. Empty: all of the project.",
        },
        "kinds": {
            "type": "array",
            "items": {"type": "string", "enum": list(KINDS)},
            "default": [],
            "description": "Kinds of data to play. Empty: all.",
        },
        "start": {
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}],
            "default": None,
            "description": "Time of the first data to play, included. Null: the first there is.",
        },
        "end": {
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}],
            "default": None,
            "description": "Time of the last data to play, included. Null: the last there is.",
        },
        "speed": {
            "type": "number",
            "minimum": 0,
            "maximum": MAX_SPEED,
            "default": 1,
            "description": "Seconds of data in a second. 0: as fast as it can.",
        },
        "loop": {
            "type": "boolean",
            "default": False,
            "description": "Whether to begin again at the end.",
        },
        "paused": {
            "type": "boolean",
            "default": False,
            "description": "Whether to wait until it is resumed.",
        },
    },
    "required": [],
    "additionalProperties": False,
}


def parse_replay(config: Mapping[str, Any], *, field: str = "config_json") -> ReplayConfig:
    """Return the config of a feed; raises ``InvalidArgument`` naming ``<field>.<name>``."""
    known = SCHEMA["properties"]
    for name in config:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise bad_field(f"{field}.{name}", f"is no field of this config: {hint}")
    start = _time(config, "start", field)
    end = _time(config, "end", field)
    if start is not None and end is not None and start > end:
        raise bad_field(f"{field}.end", "is before start")
    return ReplayConfig(
        instruments=_instruments(config, field),
        kinds=_kinds(config, field),
        start=start,
        end=end,
        speed=_speed(config, field),
        loop=_flag(config, "loop", field),
        paused=_flag(config, "paused", field),
    )


def _texts(config: Mapping[str, Any], name: str, field: str) -> tuple[str, ...]:
    values = config.get(name)
    if values is None:
        return ()
    if not isinstance(values, list | tuple):
        raise bad_field(f"{field}.{name}", "must be a list of texts")
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise bad_field(f"{field}.{name}[{index}]", "must be a text")
        if value in values[:index]:
            raise bad_field(f"{field}.{name}[{index}]", f"repeats {value}")
    return tuple(values)


def _instruments(config: Mapping[str, Any], field: str) -> tuple[str, ...]:
    names = _texts(config, "instruments", field)
    if len(names) > MAX_INSTRUMENTS:
        raise bad_field(f"{field}.instruments", f"may name at most {MAX_INSTRUMENTS}")
    for index, name in enumerate(names):
        symbol, dot, venue = name.rpartition(".")
        if not (symbol and dot and venue and name.isascii()):
            raise bad_field(
                f"{field}.instruments[{index}]",
                "must be an instrument id such as BTCUSDT.BINANCE, or a bar type such as "
                "BTCUSDT.BINANCE-1-MINUTE-LAST-EXTERNAL",
            )
    return names


def _kinds(config: Mapping[str, Any], field: str) -> tuple[str, ...]:
    names = _texts(config, "kinds", field)
    for index, name in enumerate(names):
        if name not in KINDS:
            raise bad_field(f"{field}.kinds[{index}]", f"must be one of {', '.join(KINDS)}")
    return names


def _time(config: Mapping[str, Any], name: str, field: str) -> int | None:
    value = config.get(name)
    if value is None:
        return None
    try:
        nanos = _nanos(value)
    except (TypeError, ValueError, AttributeError):
        nanos = -1
    if not 0 <= nanos <= _LATEST:
        raise bad_field(f"{field}.{name}", "must be an ISO 8601 time such as 2024-01-31T00:00:00Z")
    return nanos


def _nanos(text: str) -> int:
    """Return unix nanoseconds; a time without a zone is UTC, and up to nine decimals count."""
    whole, dot, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    if dot and not 0 < len(digits) <= 9:
        raise ValueError(text)
    moment = datetime.fromisoformat(whole + rest[len(digits) :])
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 10**9 + int(digits.ljust(9, "0") or 0)


def _speed(config: Mapping[str, Any], field: str) -> float:
    value = config.get("speed", 1)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and 0 <= value <= MAX_SPEED):
        raise bad_field(f"{field}.speed", f"must be a number from 0 to {MAX_SPEED}")
    return float(value)


def _flag(config: Mapping[str, Any], name: str, field: str) -> bool:
    value = config.get(name, False)
    if not isinstance(value, bool):
        raise bad_field(f"{field}.{name}", "must be true or false")
    return value
