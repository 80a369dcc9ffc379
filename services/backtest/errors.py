"""The backtest service's errors, one class per reason."""

from meshkit.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable


class BacktestNotFound(NotFound):
    """No run of that id in the caller's projects."""

    reason = "BACKTEST_NOT_FOUND"


class BacktestSpecInvalid(InvalidArgument):
    """The parts of a spec do not fit together; violations name the fields."""

    reason = "BACKTEST_SPEC_INVALID"


class StrategyConfigInvalid(InvalidArgument):
    """A config does not fit its schema; violations name the paths."""

    reason = "STRATEGY_CONFIG_INVALID"


class BacktestEnded(FailedPrecondition):
    """The run has ended and cannot be cancelled."""

    reason = "BACKTEST_ENDED"


class BacktestNotEnded(FailedPrecondition):
    """The run has not ended and cannot be deleted."""

    reason = "BACKTEST_NOT_ENDED"


class ResultNotReady(FailedPrecondition):
    """The run has no result."""

    reason = "RESULT_NOT_READY"


class RunBusy(Unavailable):
    """Another worker holds the run; it is looked at again when its lease may have run out."""

    reason = "STORE_UNAVAILABLE"
