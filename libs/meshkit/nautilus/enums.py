"""Nautilus enums ↔ enums of the contracts, by name; a contract test compares every pair.

The number in a contract is not always Nautilus' own (where Nautilus counts from 0), so values are
converted here and never cast.
"""

from enum import Enum
from typing import Any

from nautilus_trader.model import enums as theirs

from mesh.common.v1 import enums_pb2 as ours
from meshkit import enums
from meshkit.errors import FieldViolation, InvalidField

MIRRORED = tuple(sorted(ours.DESCRIPTOR.enum_types_by_name))
"""Names of the enums that both sides have."""

NOT_MIRRORED = {
    "ContinuousFutureAdjustmentType": "configures an importer of rolled futures; in no contract",
    "RecordFlag": "a set of bits: contracts carry it as an integer",
}
"""Nautilus enums without a twin in the contracts, and why."""


def to_proto(kind: type[Enum], value: Enum | int | str) -> int:
    """Return the contract's number of a Nautilus value.

    ``kind`` is the Nautilus enum; ``value`` is a member, its number (Cython attributes are plain
    integers) or its name (as in ``to_dict``). Raises ``ValueError`` for what is none of these.
    """
    member = _member(kind, value)
    return enums.number(_twin(kind), "" if member.name == "UNSPECIFIED" else member.name)


def to_nautilus[E: Enum](kind: type[E], number: int) -> E:
    """Return the Nautilus member of a contract's number.

    Raises ``InvalidField`` for a number that the contract does not have, and for 0 where Nautilus
    has no value of that meaning.
    """
    name = enums.bare(_twin(kind), number) or "UNSPECIFIED"
    try:
        return kind[name]
    except KeyError:
        text = f"{kind.__name__} was not given."
        raise InvalidField(text, violations=[FieldViolation(kind.__name__, text)]) from None


def _member(kind: type[Enum], value: Enum | int | str) -> Enum:
    if isinstance(value, str):
        if value in kind.__members__:
            return kind[value]
        raise ValueError(f"{value!r} is no {kind.__name__}")
    return kind(value)


def _twin(kind: type[Enum]) -> Any:
    if kind.__name__ not in MIRRORED or getattr(theirs, kind.__name__, None) is not kind:
        raise TypeError(f"{kind.__name__} has no twin in mesh/common/v1/enums.proto")
    return getattr(ours, kind.__name__)
