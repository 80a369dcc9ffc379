"""Plain data → protobuf messages, by their descriptors, collecting every fault with its place."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from difflib import get_close_matches
from functools import partial
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from meshkit.errors import FieldViolation

Descriptor = Any
"""A field's or an enum's descriptor: the stubs of protobuf give them two types at once."""

_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|h)$")
_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


class Filler:
    """Fills messages and goes on after a fault; ``violations`` holds them all."""

    def __init__(self) -> None:
        self.violations: list[FieldViolation] = []

    def fault(self, path: str, description: str) -> None:
        """Note what is wrong at a place."""
        self.violations.append(FieldViolation(path or "(top)", description))

    def fill(self, message: Message, value: object, path: str) -> None:
        """Set the fields of a message from a mapping, or from a shorter form of its type."""
        shorter = _SHORTER.get(message.DESCRIPTOR.full_name)
        if shorter is not None:
            try:
                value = shorter(message, value)
            except (ValueError, TypeError, OverflowError) as error:
                self.fault(path, str(error))
                return
            if value is None:
                return
        if not isinstance(value, Mapping):
            self.fault(path, f"must be a table of fields, not {expected(value)}")
            return
        for key, item in value.items():
            self._field(message, str(key), item, f"{path}.{key}" if path else str(key))

    def _field(self, message: Message, name: str, value: object, path: str) -> None:
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            self.fault(path, _unknown(name, list(message.DESCRIPTOR.fields_by_name)))
        elif value is None:
            return  # an absent value: the default holds
        elif _is_repeated(field):
            self._many(message, field, value, path)
        elif (other := _rival(message, field)) is not None:
            self.fault(path, f"cannot stand beside {other}: give one of them")
        elif field.message_type is not None:
            getattr(message, name).SetInParent()
            self.fill(getattr(message, name), value, path)
        else:
            self._scalar(lambda found: setattr(message, name, found), field, value, path)

    def _many(self, message: Message, field: Descriptor, value: object, path: str) -> None:
        target = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            self._map(target, field.message_type.fields_by_name["value"], value, path)
        elif not isinstance(value, list | tuple):
            self.fault(path, f"must be a list, not {expected(value)}")
        else:
            for index, item in enumerate(value):
                place = f"{path}[{index}]"
                if field.message_type is not None:
                    self.fill(target.add(), item, place)
                else:
                    self._scalar(target.append, field, item, place)

    def _map(self, target: Any, field: Descriptor, value: object, path: str) -> None:
        if not isinstance(value, Mapping):
            self.fault(path, f"must be a table, not {expected(value)}")
            return
        for key, item in value.items():
            self._scalar(partial(target.__setitem__, str(key)), field, item, f"{path}.{key}")

    def _scalar(
        self, put: Callable[[Any], None], field: Descriptor, value: object, path: str
    ) -> None:
        try:
            put(_scalar(field, value))
        except ValueError as error:
            self.fault(path, str(error))


def _is_repeated(field: Descriptor) -> bool:
    if hasattr(field, "is_repeated"):
        return bool(field.is_repeated)
    return bool(field.label == field.LABEL_REPEATED)  # protobuf before 6.31


def _scalar(field: Descriptor, value: object) -> object:
    """Return a value of the field's type; raises ``ValueError`` that says what it must be."""
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return _enum(field.enum_type, value)
    if kind == FieldDescriptor.CPPTYPE_BOOL and isinstance(value, bool):
        return value
    if kind == FieldDescriptor.CPPTYPE_STRING and isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        if kind == FieldDescriptor.CPPTYPE_STRING:
            return f"{Decimal(str(value)):f}"  # a decimal, written without an exponent
        if kind == FieldDescriptor.CPPTYPE_DOUBLE:
            return float(value)
        if isinstance(value, int) and kind in _INTEGERS:
            low, high = _INTEGERS[kind]
            if low <= value <= high:
                return value
            raise ValueError(f"must be from {low} to {high}")
    raise ValueError(f"must be {_TYPES.get(kind, 'something else')}, not {expected(value)}")


_TYPES = {
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
    FieldDescriptor.CPPTYPE_STRING: "text",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    **dict.fromkeys(_INTEGERS, "a whole number"),
}


def _enum(kind: Descriptor, value: object) -> int:
    prefix = kind.values[0].name.removesuffix("UNSPECIFIED")
    names = {each.name.removeprefix(prefix): each.number for each in kind.values[1:]}
    wanted = str(value).upper().replace("-", "_").removeprefix(prefix)
    if wanted in names:
        return int(names[wanted])
    raise ValueError(f"must be one of {', '.join(names)}, not {value!r}")


def _money(message: Any, value: object) -> object:
    if not isinstance(value, str):
        return value
    amount, _, currency = value.strip().partition(" ")
    if not currency or not re.fullmatch(r"-?[\d_,]+(\.\d+)?", amount):
        raise ValueError(f"must be an amount and a currency such as '1000000 USD', not {value!r}")
    message.amount, message.currency = re.sub("[_,]", "", amount), currency.strip()
    return None


def _timestamp(message: Any, value: object) -> object:
    """Take a date (its first moment), a time or ISO 8601 text; without a zone it is UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(
                f"must be a date or time such as 2024-01-31T12:00, not {value!r}"
            ) from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise ValueError(f"must be a date or time, not {expected(value)}")
    message.FromDatetime(value if value.tzinfo else value.replace(tzinfo=UTC))
    return None


def _duration(message: Any, value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = f"{value}s"
    found = _DURATION.match(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be a duration such as 5ms, 1.5s or 2m")
    message.FromNanoseconds(round(float(found[1]) * _UNITS[found[2]]))
    return None


def _struct(message: Any, value: object) -> object:
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a table, not {expected(value)}")
    message.update({str(key): _plain(item) for key, item in value.items()})
    return None


def _plain(value: object) -> object:
    """Return the value as JSON has it: YAML and TOML know dates."""
    match value:
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case date() | time():
            return value.isoformat()
        case _:
            return value


def _selection(message: Any, value: object) -> object:
    """Take a bar type as text, and fill in the kind where a bar type is given."""
    if isinstance(value, str):
        value = {"bar_type": value}
    if isinstance(value, Mapping) and "bar_type" in value and "kind" not in value:
        value = {**value, "kind": "BAR"}
    return value


def _feed(message: Any, value: object) -> object:
    """Take a feed's id as text."""
    return {"feed_id": value} if isinstance(value, str) else value


def _rate(message: Any, value: object) -> object:
    """Take a number in a time as text, such as ``100/1s``."""
    if not isinstance(value, str):
        return value
    count, slash, time_text = value.partition("/")
    if not slash or not count.strip().isdigit():
        raise ValueError(f"must be a number in a time such as '100/1s', not {value!r}")
    return {"limit": int(count), "interval": time_text.strip()}


def _account(message: Any, value: object) -> object:
    """Take an adapter's config as a table."""
    if not isinstance(value, Mapping) or "config" not in value:
        return value
    rest = {key: item for key, item in value.items() if key != "config"}
    if "config_json" in rest or not isinstance(value["config"], Mapping):
        raise ValueError("`config` must be a table, and cannot stand beside config_json")
    return {**rest, "config_json": json.dumps(_plain(value["config"]))}


_SHORTER: dict[str, Callable[[Any, object], object]] = {
    "mesh.common.v1.Money": _money,
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.Struct": _struct,
    "mesh.marketdata.v1.DataSelection": _selection,
    "mesh.execution.v1.MeshData": _feed,
    "mesh.execution.v1.Rate": _rate,
    "mesh.execution.v1.LiveVenue": _account,
}


def _rival(message: Message, field: Descriptor) -> str | None:
    """Return the other member of the field's oneof that is set already."""
    group = field.containing_oneof
    return message.WhichOneof(group.name) if group is not None else None


def _unknown(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
    return f"is no field here; {hint}"


def expected(value: object) -> str:
    """Return what a value is, in words for a message."""
    words = {
        dict: "a table",
        list: "a list",
        str: "text",
        bool: "true or false",
        type(None): "nothing",
    }
    if type(value) in words:
        return words[type(value)] if not isinstance(value, str) else f"text ({value[:40]!r})"
    return f"{value!r}"
