"""The strategy service's errors, one class per reason."""

from meshkit.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound


class StrategyNotFound(NotFound):
    """No strategy of that id in the caller's project."""

    reason = "STRATEGY_NOT_FOUND"


class StrategyVersionNotFound(NotFound):
    """The strategy has no such version."""

    reason = "STRATEGY_VERSION_NOT_FOUND"


class StrategyVersionAmbiguous(InvalidArgument):
    """A prefix that fits several versions."""

    reason = "STRATEGY_VERSION_AMBIGUOUS"


class StrategyExists(AlreadyExists):
    """The id is taken."""

    reason = "STRATEGY_EXISTS"


class SourceInvalid(InvalidArgument):
    """The code cannot be loaded; metadata: stage, file, line."""

    reason = "STRATEGY_SOURCE_INVALID"


class LoadTimeout(InvalidArgument):
    """The code did not finish loading in time."""

    reason = "STRATEGY_LOAD_TIMEOUT"


class LoadExited(InvalidArgument):
    """The code ended its process while it was loaded."""

    reason = "STRATEGY_LOAD_EXITED"


class LoadMemory(InvalidArgument):
    """The code took more memory than it may."""

    reason = "STRATEGY_LOAD_MEMORY"


class ImportNotAllowed(FailedPrecondition):
    """An importable path outside what the operator allows."""

    reason = "IMPORT_NOT_ALLOWED"
