"""Enum values and decimals of the contracts in the words that people write."""

from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any

from meshclient.errors import SpecError
from meshkit.errors import FieldViolation

type Number = str | Decimal | int | float
"""A decimal: text is taken as it is, a float as it prints."""


def prefix(kind: Any) -> str:
    """Return what all values of an enum type begin with, such as ``ORDER_SIDE_``."""
    return str(kind.keys()[0]).removesuffix("UNSPECIFIED")


def names(kind: Any) -> list[str]:
    """Return the bare names of an enum's values, without the one that says nothing."""
    return [each.removeprefix(prefix(kind)) for each in kind.keys()[1:]]


def name(kind: Any, number: int) -> str:
    """Return the bare name of a value; empty for 0, the number for one that is not known here."""
    if not number:
        return ""
    try:
        return str(kind.Name(number)).removeprefix(prefix(kind))
    except ValueError:
        return str(number)


def value(kind: Any, word: str | int, field: str) -> Any:
    """Return the number of a word such as ``BUY`` or ``stop-market``; 0 for an empty one.

    Raises ``SpecError`` that names the field and what there is.
    """
    if isinstance(word, int) or not word:
        return word or 0
    wanted = word.upper().replace("-", "_").removeprefix(prefix(kind))
    known = names(kind)
    if wanted in known:
        return kind.Value(prefix(kind) + wanted)
    near = get_close_matches(wanted, known, 1)
    hint = f"did you mean {near[0]}? Known are" if near else "known are"
    raise fault(field, f"'{word}' is none; {hint} {', '.join(known)}")


def decimal(number: Number | None, field: str) -> str:
    """Return a decimal as the contracts write it, without an exponent; empty for None and ``""``.

    Raises ``SpecError`` for what is no number.
    """
    if number is None or number == "":
        return ""
    try:
        found = Decimal(str(number))
        if not found.is_finite():
            raise InvalidOperation
    except InvalidOperation:
        raise fault(field, f"must be a decimal such as 0.25, not {str(number)[:40]!r}") from None
    return f"{found:f}"


def fault(field: str, description: str) -> SpecError:
    """Return the error of one wrong argument."""
    return SpecError(f"{field}: {description}.", [FieldViolation(field, description)])
