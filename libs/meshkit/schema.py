"""Checking a config against the JSON Schema that its class gave.

The schema came out of a process that ran user code, so it is not trusted: a reference leads nowhere
but into the schema itself, and no regular expression of it is run. The exact check does both.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import create
from referencing import Registry
from referencing.exceptions import Unresolvable

_KEYWORDS = (
    *("$ref", "type", "enum", "const", "anyOf", "properties", "items", "prefixItems"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"),
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
)
_BAR = r"[1-9]\d*-[A-Z_]+"
_BAR_TYPE = re.compile(
    rf".+\.[^.]+-{_BAR}-[A-Z]+-(INTERNAL|EXTERNAL)(@{_BAR}-(INTERNAL|EXTERNAL))?"
)
_REMEDIES = {
    "instrument_id": "is not an instrument id such as EUR/USD.SIM",
    "bar_type": "is not a bar type such as EUR/USD.SIM-1-MINUTE-BID-EXTERNAL",
    "decimal": "is not a decimal number such as 100000.50",
}
_formats = FormatChecker(formats=())


@_formats.checks("instrument_id")
def _is_instrument_id(value: object) -> bool:
    symbol, _, venue = str(value).rpartition(".")
    return bool(symbol.strip() and venue.strip())


@_formats.checks("bar_type")
def _is_bar_type(value: object) -> bool:
    return _BAR_TYPE.fullmatch(str(value)) is not None


@_formats.checks("decimal", raises=InvalidOperation)
def _is_decimal(value: object) -> bool:
    return not isinstance(value, str) or Decimal(value).is_finite()


def _required(_: Any, names: Any, config: Any, __: Any) -> Iterator[ValidationError]:
    """Tell each field that is missing, at its own path."""
    for name in names:
        if isinstance(config, dict) and name not in config:
            yield ValidationError("is required", path=[name])


def _additional(
    _: Any, additional: Any, config: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    """Tell each field that the schema does not name; `patternProperties` is not heeded."""
    if additional is not False or not isinstance(config, dict):
        return
    known = sorted(schema.get("properties", ()))
    for name in config.keys() - set(known):
        text = f"is not a field of the config; its fields: {', '.join(known)}"
        yield ValidationError(text, path=[name])


# No `version`: jsonschema would take this validator for that of the meta-schema itself, everywhere.
_Validator = create(
    meta_schema=Draft202012Validator.META_SCHEMA,
    validators={
        "required": _required,
        "additionalProperties": _additional,
        **{name: Draft202012Validator.VALIDATORS[name] for name in _KEYWORDS},
    },
    type_checker=Draft202012Validator.TYPE_CHECKER,
)


def fault(schema: object) -> str:
    """Return what keeps a value from being a schema, empty for a good one."""
    try:
        Draft202012Validator.check_schema(schema)  # type: ignore[arg-type]  # that is the question
    except SchemaError as error:
        return f"{error.json_path}: {error.message}"
    return "" if isinstance(schema, dict) else "not an object"


def violations(schema: Mapping[str, Any], config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (JSON path, what is wrong) of each fault, in the order of the paths."""
    validator = _Validator(schema, format_checker=_formats, registry=Registry())
    try:
        found = list(validator.iter_errors(config))
    except (Unresolvable, RecursionError):
        return [("$", "cannot be checked: the schema has a reference that leads nowhere")]
    return sorted((str(each.json_path), _text(each)) for each in found)


def _text(error: ValidationError) -> str:
    match error.validator:
        case "format":
            return f"'{error.instance}' {_REMEDIES[str(error.validator_value)]}"
        case "anyOf":
            options = [each for each in error.context or () if each.schema != {"type": "null"}]
            return "; or ".join(_text(each) for each in options) or str(error.message)
    return str(error.message)
