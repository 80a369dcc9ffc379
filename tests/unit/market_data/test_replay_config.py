"""The config of a replay feed."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from meshkit.errors import InvalidArgument
from services.market_data.live.replay_config import SCHEMA, ReplayConfig, parse_replay

DAY = 1_706_659_200 * 10**9  # 2024-01-31


def test_an_empty_config_plays_everything() -> None:
    """Without a word a replay plays all of the project at the speed of its time."""
    assert parse_replay({}) == ReplayConfig()


def test_a_full_config() -> None:
    """MD-57: every field is taken as it is written."""
    config = {
        "instruments": ["BTCUSDT.BINANCE", "BTCUSDT.BINANCE-1-MINUTE-LAST-EXTERNAL"],
        "kinds": ["QUOTE_TICK", "BAR"],
        "start": "2024-01-31",
        "end": "2024-01-31T02:00:00.000000001+01:00",
        "speed": 0,
        "loop": True,
        "paused": True,
    }
    Draft202012Validator(SCHEMA).validate(config)
    assert parse_replay(config) == ReplayConfig(
        instruments=("BTCUSDT.BINANCE", "BTCUSDT.BINANCE-1-MINUTE-LAST-EXTERNAL"),
        kinds=("QUOTE_TICK", "BAR"),
        start=DAY,
        end=DAY + 3_600 * 10**9 + 1,
        speed=0.0,
        loop=True,
        paused=True,
    )


@pytest.mark.parametrize(
    ("config", "field", "text"),
    [
        ({"sped": 1}, "sped", "did you mean speed?"),
        ({"instruments": "A.B"}, "instruments", "list"),
        ({"instruments": ["A.B", 1]}, "instruments[1]", "text"),
        ({"instruments": ["A"]}, "instruments[0]", "BTCUSDT.BINANCE"),
        ({"instruments": ["A.B", "A.B"]}, "instruments[1]", "repeats"),
        ({"kinds": ["QUOTES"]}, "kinds[0]", "QUOTE_TICK"),
        ({"start": 5}, "start", "ISO 8601"),
        ({"start": "yesterday"}, "start", "ISO 8601"),
        ({"start": "1960-01-01"}, "start", "ISO 8601"),
        ({"start": "2024-01-01T00:00:00.1234567890Z"}, "start", "ISO 8601"),
        ({"start": "2024-02-01", "end": "2024-01-31"}, "end", "before"),
        ({"speed": -1}, "speed", "number"),
        ({"speed": float("inf")}, "speed", "number"),
        ({"speed": True}, "speed", "number"),
        ({"loop": 1}, "loop", "true or false"),
    ],
)
def test_a_bad_field_is_named(config: dict[str, Any], field: str, text: str) -> None:
    """MD-57: what is wrong is named, with what to write."""
    with pytest.raises(InvalidArgument) as caught:
        parse_replay(config)
    (violation,) = caught.value.violations
    assert violation.field == f"config_json.{field}"
    assert text in violation.description
