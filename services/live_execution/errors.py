"""The errors of traders, one class per reason."""

from meshkit.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    Unavailable,
)


class TraderNotFound(NotFound):
    """No trader of that id in the project."""

    reason = "TRADER_NOT_FOUND"


class TraderExists(AlreadyExists):
    """The project has a trader of that id."""

    reason = "TRADER_EXISTS"


class TraderSpecInvalid(InvalidArgument):
    """The parts of a spec do not fit together; violations name the fields."""

    reason = "TRADER_SPEC_INVALID"


class StrategyConfigInvalid(InvalidArgument):
    """A config does not fit its schema; violations name the paths."""

    reason = "STRATEGY_CONFIG_INVALID"


class TraderRunning(FailedPrecondition):
    """The trader runs, and must not for what was asked."""

    reason = "TRADER_RUNNING"


class TraderNotRunning(FailedPrecondition):
    """The trader does not run, and must for what was asked."""

    reason = "TRADER_NOT_RUNNING"


class TraderHalted(FailedPrecondition):
    """A halt is in force for it."""

    reason = "TRADER_HALTED"


class TraderNotFlat(FailedPrecondition):
    """Orders or positions are open at a real venue."""

    reason = "TRADER_NOT_FLAT"


class TraderStrategyNotFound(NotFound):
    """The trader has no strategy of that tag."""

    reason = "TRADER_STRATEGY_NOT_FOUND"


class TraderUnresponsive(Unavailable):
    """The trader's process does not answer in time."""

    reason = "TRADER_UNRESPONSIVE"


class LogUnavailable(Unavailable):
    """The log is on another host, or gone."""

    reason = "LOG_UNAVAILABLE"


def no_trader(trader_id: str) -> TraderNotFound:
    """Return the error that the project has no such trader."""
    return TraderNotFound(
        f"The project has no trader '{trader_id}'. See ListTraders.",
        metadata={"trader_id": trader_id},
    )


def no_strategy(trader_id: str, order_id_tag: str) -> TraderStrategyNotFound:
    """Return the error that the trader has no such strategy."""
    return TraderStrategyNotFound(
        f"The trader '{trader_id}' has no strategy with the tag '{order_id_tag}'. See GetTrader.",
        metadata={"trader_id": trader_id, "order_id_tag": order_id_tag},
    )


def bad_spec(violations: list[FieldViolation]) -> TraderSpecInvalid:
    """Return the error of a spec with these faults, at least one."""
    first = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return TraderSpecInvalid(f"{first.field}: {first.description}{more}", violations=violations)
