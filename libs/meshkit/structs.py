"""``google.protobuf.Struct`` → JSON values."""

from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct


def to_json(message: Struct) -> dict[str, Any]:
    """Return a Struct as JSON values; its doubles without a fraction are integers again."""
    found: dict[str, Any] = _whole(json_format.MessageToDict(message))
    return found


def _whole(value: Any) -> Any:
    match value:
        case float() if value.is_integer() and abs(value) < 2**53:
            return int(value)
        case dict():
            return {key: _whole(each) for key, each in value.items()}
        case list():
            return [_whole(each) for each in value]
    return value
