"""Values that Nautilus leaves open (``info``, parameters) ↔ a Struct, and JSON where that lacks."""

import json
import math
from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value


def put(struct: Struct, values: Mapping[str, Any]) -> str:
    """Fill a Struct; return the values as JSON if the Struct does not hold them exactly, else ''.

    What JSON cannot say (a ``Decimal``, a time) becomes its text in both.
    """
    struct.SetInParent()
    exact = True
    for key, value in values.items():
        exact &= _put(struct.fields[str(key)], value)
    return "" if exact else json.dumps(values, default=str)


def take(struct: Struct, exact: str) -> dict[str, Any]:
    """Return what ``put`` was given."""
    if exact:
        found: dict[str, Any] = json.loads(exact)
        return found
    return {key: _take(value) for key, value in struct.fields.items()}


def _put(target: Value, value: Any) -> bool:
    """Set a value; return whether it comes back as it is."""
    if value is None:
        target.null_value = 0  # type: ignore[assignment]  # a number
        return True
    if isinstance(value, str):
        target.string_value = value
        return True
    if isinstance(value, bool):
        target.bool_value = value
        return True
    if isinstance(value, int | float):
        return _put_number(target, value)
    if isinstance(value, Mapping):
        return not put(target.struct_value, value)
    if isinstance(value, list | tuple):
        target.list_value.SetInParent()
        return all([_put(target.list_value.values.add(), each) for each in value])
    target.string_value = str(value)
    return False


def _put_number(target: Value, value: float) -> bool:
    """Set a number; integers come back as doubles, and none but finite ones are JSON."""
    if not math.isfinite(value) or abs(value) > 2**53:
        target.string_value = str(value)
        return False
    target.number_value = value
    return isinstance(value, float)


def _take(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return {key: _take(each) for key, each in value.struct_value.fields.items()}
    if kind == "list_value":
        return [_take(each) for each in value.list_value.values]
    return None if kind in {None, "null_value"} else getattr(value, kind)
