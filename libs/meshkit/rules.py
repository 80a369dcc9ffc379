"""The ``MethodRule`` of every method, read from the contracts that the process has imported."""

from functools import cache

from google.protobuf import descriptor_pool

from mesh.common.v1 import options_pb2

DEFAULT_DEADLINE_MS = 10_000
MAXIMUM_DEADLINE_MS = 60_000


@cache
def rule_of(method: str) -> options_pb2.MethodRule | None:
    """Return the rule of a full method name such as
    ``/mesh.backtest.v1.BacktestService/GetBacktest``.

    None when the method is unknown or has no rule; such a method is refused.
    """
    service, _, name = method.removeprefix("/").partition("/")
    try:
        found = descriptor_pool.Default().FindServiceByName(service)
        options = found.FindMethodByName(name).GetOptions()
    except (KeyError, AttributeError):
        return None
    return options.Extensions[options_pb2.rule] if options.HasExtension(options_pb2.rule) else None


def default_deadline(rule: options_pb2.MethodRule) -> float:
    """Return the deadline in seconds that a client sets when its caller set none."""
    return (rule.default_deadline_ms or DEFAULT_DEADLINE_MS) / 1000


def maximum_deadline(rule: options_pb2.MethodRule) -> float:
    """Return the longest deadline in seconds that a server grants."""
    return (rule.max_deadline_ms or MAXIMUM_DEADLINE_MS) / 1000
