"""Why a command is not carried out."""

from collections.abc import Iterable, Sequence

from meshkit.errors import FieldViolation


class Refused(Exception):
    """A command that is not carried out: a reason of ``ErrorReason`` and what to do.

    ``client_order_ids`` are those that it made or touched all the same.
    """

    def __init__(self, reason: str, message: str, client_order_ids: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.client_order_ids = tuple(client_order_ids)


def invalid(violations: Sequence[FieldViolation]) -> Refused:
    """Return the refusal of orders with faults."""
    text = "; ".join(f"{each.field} {each.description}" for each in violations)
    return Refused("ORDER_INVALID", f"{text}.")
