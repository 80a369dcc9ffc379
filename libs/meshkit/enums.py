"""Enum values of the contracts by their bare names: ``ORDER_SIDE_BUY`` ↔ ``BUY``.

The bare name is how Nautilus and people spell a value; domain code uses it and needs no protobuf.
"""

import re
from typing import Any

from meshkit.errors import FieldViolation, InvalidField

_WORD = re.compile(r"(?<!^)(?=[A-Z])")


def prefix(kind: Any) -> str:
    """Return the prefix of an enum type's values, such as ``ORDER_SIDE_`` for ``OrderSide``."""
    return _WORD.sub("_", kind.DESCRIPTOR.name).upper() + "_"


def bare(kind: Any, number: int) -> str:
    """Return the bare name of a value, empty for 0; raises ``InvalidField`` for an unknown one."""
    value = kind.DESCRIPTOR.values_by_number.get(number)
    if value is None:
        raise _unknown(kind, str(number))
    return str(value.name).removeprefix(prefix(kind)) if number else ""


def number(kind: Any, name: str) -> int:
    """Return the number of a bare name, 0 for empty; raises ``InvalidField`` for an unknown one."""
    value = kind.DESCRIPTOR.values_by_name.get(prefix(kind) + name) if name else None
    if name and value is None:
        raise _unknown(kind, name)
    return int(value.number) if value is not None else 0


def _unknown(kind: Any, what: str) -> InvalidField:
    name = kind.DESCRIPTOR.name
    known = ", ".join(v.name.removeprefix(prefix(kind)) for v in kind.DESCRIPTOR.values[1:])
    text = f"{what} is no {name}; use one of {known}."
    return InvalidField(text, violations=[FieldViolation(name, text)])
