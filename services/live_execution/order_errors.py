"""The errors of orders and commands, one class per reason."""

from collections.abc import Sequence

from meshkit.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    MeshError,
    NotFound,
)
from services.live_execution.errors import TraderHalted, TraderNotRunning


class OrderNotFound(NotFound):
    """The trader has no such order."""

    reason = "ORDER_NOT_FOUND"


class OrderClosed(FailedPrecondition):
    """The order is closed."""

    reason = "ORDER_CLOSED"


class OrderInvalid(InvalidArgument):
    """The order breaks a rule of its type or instrument; violations name the fields."""

    reason = "ORDER_INVALID"


class OrderIdReused(AlreadyExists):
    """The client order id was used for another order."""

    reason = "ORDER_ID_REUSED"


class OrderDenied(FailedPrecondition):
    """The trader did not send the order."""

    reason = "ORDER_DENIED"


class InstrumentNotFound(NotFound):
    """The trader cannot trade the instrument."""

    reason = "INSTRUMENT_NOT_FOUND"


class CommandNotFound(NotFound):
    """No such command in the caller's projects."""

    reason = "COMMAND_NOT_FOUND"


class PositionNotFound(NotFound):
    """The trader has no such open position."""

    reason = "POSITION_NOT_FOUND"


def no_order(client_order_id: str) -> OrderNotFound:
    """Return the error that the trader has no such order."""
    return OrderNotFound(
        f"The trader has no order '{client_order_id}'. See ListOrders.",
        metadata={"client_order_id": client_order_id},
    )


def closed_order(client_order_id: str, status: str) -> OrderClosed:
    """Return the error that an order is closed."""
    return OrderClosed(
        f"The order '{client_order_id}' is {status}: there is nothing to change.",
        metadata={"client_order_id": client_order_id, "status": status},
    )


def id_reused(client_order_id: str) -> OrderIdReused:
    """Return the error that an id is taken."""
    return OrderIdReused(
        f"The id '{client_order_id}' was used for another order, and nothing was sent. "
        "Use a new id.",
        metadata={"client_order_id": client_order_id},
    )


def bad_order(violations: Sequence[FieldViolation]) -> OrderInvalid:
    """Return the error of an order with these faults, at least one."""
    first = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return OrderInvalid(f"{first.field}: {first.description}{more}", violations=violations)


def no_instrument(instrument_id: str, message: str) -> InstrumentNotFound:
    """Return the error that the trader cannot trade an instrument."""
    return InstrumentNotFound(message, metadata={"instrument_id": instrument_id})


def no_position(position_id: str) -> PositionNotFound:
    """Return the error that the trader has no such open position."""
    return PositionNotFound(
        f"The trader has no open position '{position_id}'. See ListPositions.",
        metadata={"position_id": position_id},
    )


_REFUSALS: dict[str, type[MeshError]] = {
    error.reason: error
    for error in (OrderInvalid, OrderIdReused, InstrumentNotFound, TraderHalted, TraderNotRunning)
}


def refused(reason: str, message: str, client_order_id: str) -> MeshError:
    """Return the error of a submission that its trader refused; anything else is a denial."""
    kind = _REFUSALS.get(reason, OrderDenied)
    return kind(message or reason, metadata={"client_order_id": client_order_id})
