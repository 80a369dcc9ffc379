"""Names of enum values of Nautilus ↔ numbers of the contracts, made once."""

from typing import Any, NamedTuple

from meshkit import enums


class Names(NamedTuple):
    """The values of an enum by name and by number."""

    numbers: dict[str, int]
    names: dict[int, str]


def names(kind: Any) -> Names:
    """Return the table of an enum of the contracts; Nautilus' names are its bare names."""
    prefix = enums.prefix(kind)
    numbers = {
        value.name.removeprefix(prefix): value.number
        for value in kind.DESCRIPTOR.values
        if value.number
    }
    return Names(numbers, {number: name for name, number in numbers.items()})
