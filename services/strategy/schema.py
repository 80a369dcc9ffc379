"""Checking a config against the JSON Schema that its class gave."""

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError


def violations(schema: Mapping[str, Any], config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (JSON path, what is wrong) of each fault, in the order of the paths."""
    found = Draft202012Validator(dict(schema)).iter_errors(config)
    return sorted((_path(each), _text(each)) for each in found)


def _path(error: ValidationError) -> str:
    if error.validator == "required":
        missing = next(f for f in error.validator_value if f not in error.instance)
        return f"{error.json_path}.{missing}"
    return str(error.json_path)


def _text(error: ValidationError) -> str:
    match error.validator:
        case "required":
            return "is required"
        case "additionalProperties":
            known = ", ".join(sorted(error.schema.get("properties", ())))
            return f"{error.message}; known fields: {known}"
    return str(error.message)
