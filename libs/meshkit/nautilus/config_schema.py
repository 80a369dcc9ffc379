"""Config class → JSON Schema, with formats that Nautilus' own schema loses."""

import json
from typing import Any

import msgspec
from nautilus_trader.common.config import nautilus_schema_hook
from nautilus_trader.model.data import BarType
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Price, Quantity

_FORMATS: dict[type, str] = {
    InstrumentId: "instrument_id",
    BarType: "bar_type",
    Price: "decimal",
    Quantity: "decimal",
}


def config_schema(config: type) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a config class.

    Raises what msgspec raises, of several kinds, for a type that has no schema.
    """
    schema: dict[str, Any] = msgspec.json.schema(config, schema_hook=_hook)
    for definition in schema.get("$defs", {}).values():
        for field in definition.get("properties", {}).values():
            if not _is_json(field.get("default")):
                del field["default"]  # such as infinity: it has a default that JSON cannot say
    return schema


def enum_names(type_: type) -> list[str]:
    """Return the names of an enum of Nautilus' Rust core, none for another type."""
    if "nautilus_pyo3" not in getattr(type_, "__module__", ""):
        return []
    names = [name for name in dir(type_) if name.isupper()]
    return [name for name in names if isinstance(getattr(type_, name), type_)]


def _hook(type_: type) -> dict[str, Any]:
    if type_ in _FORMATS:
        return {"type": "string", "format": _FORMATS[type_]}
    if names := enum_names(type_):
        return {"type": "string", "enum": names}
    return dict(nautilus_schema_hook(type_))


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
