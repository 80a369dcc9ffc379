"""The errors of the kill switch, one class per reason."""

from collections.abc import Sequence

from meshkit.errors import FieldViolation, InvalidArgument, NotFound, ProjectForbidden


class HaltNotFound(NotFound):
    """No such halt in the caller's projects."""

    reason = "HALT_NOT_FOUND"


class FlattenNotFound(NotFound):
    """No such flatten in the caller's projects."""

    reason = "FLATTEN_NOT_FOUND"


class LimitsInvalid(InvalidArgument):
    """The limits cannot be watched; violations say why."""

    reason = "LIMITS_INVALID"


def no_halt(halt_id: str) -> HaltNotFound:
    """Return the error that there is no such halt."""
    return HaltNotFound(
        f"There is no halt {halt_id} in your projects. See ListHalts.",
        metadata={"halt_id": halt_id},
    )


def no_flatten(flatten_id: str) -> FlattenNotFound:
    """Return the error that there is no such flatten."""
    return FlattenNotFound(
        f"There is no flatten {flatten_id} in your projects.", metadata={"flatten_id": flatten_id}
    )


def mesh_wide(project: str) -> ProjectForbidden:
    """Return the error that a caller may not reset what halts other projects too."""
    return ProjectForbidden(
        f"The halt is over all projects, and the token may not use '{project}'. Let somebody "
        "reset it whose token names all of them.",
        metadata={"project": project},
    )


def bad_limits(violations: Sequence[FieldViolation]) -> LimitsInvalid:
    """Return the error of limits with these faults, at least one."""
    first = violations[0]
    return LimitsInvalid(f"{first.field}: {first.description}", violations=violations)
