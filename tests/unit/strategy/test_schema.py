"""Configs against schemas: every fault with its path and a remedy."""

from typing import Any

import pytest

from meshkit import schema

SCHEMA: dict[str, Any] = {
    "$ref": "#/$defs/C",
    "$defs": {
        "C": {
            "type": "object",
            "properties": {
                "instrument_id": {"type": "string", "format": "instrument_id"},
                "bar_type": {"anyOf": [{"type": "string", "format": "bar_type"}, {"type": "null"}]},
                "size": {"type": "string", "format": "decimal"},
                "period": {"type": "integer", "minimum": 1},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["instrument_id", "size"],
            "additionalProperties": False,
        }
    },
}
GOOD = {"instrument_id": "EUR/USD.SIM", "size": "1.5"}


@pytest.mark.parametrize(
    ("changed", "faults"),
    [
        ({}, []),
        ({"bar_type": None}, []),
        ({"bar_type": "EUR/USD.SIM-1-MINUTE-BID-EXTERNAL"}, []),
        ({"bar_type": "ES.A.GLBX-5-MINUTE-LAST-INTERNAL@1-MINUTE-EXTERNAL"}, []),
        ({"bar_type": "EUR/USD-1-MINUTE"}, [("$.bar_type", "is not a bar type such as")]),
        ({"instrument_id": "EUR/USD"}, [("$.instrument_id", "is not an instrument id such as")]),
        ({"size": "much"}, [("$.size", "is not a decimal number such as")]),
        ({"size": "NaN"}, [("$.size", "is not a decimal number such as")]),
        ({"size": 1}, [("$.size", "not of type 'string'")]),
        ({"period": 0}, [("$.period", "less than the minimum of 1")]),
        ({"period": 1.5}, [("$.period", "not of type 'integer'")]),
        ({"tags": ["a", 1]}, [("$.tags[1]", "not of type 'string'")]),
        ({"periods": 1}, [("$.periods", "is not a field of the config; its fields: bar_type,")]),
    ],
)
def test_faults_have_paths(changed: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    """Each fault tells its path and what would be right; a good config has none."""
    found = schema.violations(SCHEMA, GOOD | changed)
    assert [path for path, _ in found] == [path for path, _ in faults]
    for (_, text), (_, wanted) in zip(found, faults, strict=True):
        assert wanted in text


def test_every_missing_field_is_told() -> None:
    """Two missing fields are two faults, each at its own path."""
    missing = [("$.instrument_id", "is required"), ("$.size", "is required")]
    assert schema.violations(SCHEMA, {}) == missing


@pytest.mark.parametrize(
    "untrusted",
    [{"$ref": "http://127.0.0.1:9/x"}, {"$ref": "#/$defs/no"}, {"$ref": "#"}],
)
def test_references_lead_nowhere_else(untrusted: dict[str, Any]) -> None:
    """A reference outside the schema, or one in a circle, is a fault and not a request."""
    assert schema.violations(untrusted, {})[0][0] == "$"


def test_schemas_are_checked() -> None:
    """What is no schema is found, and looking at it changes nothing for other users of the
    library.
    """
    assert schema.fault(SCHEMA) == ""
    assert schema.fault({"properties": {"a": {"minimum": "x"}}}) != ""
    assert schema.fault([]) != ""
