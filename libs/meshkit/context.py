"""Who is calling and under which ids, for the length of one call."""

from contextvars import ContextVar
from dataclasses import dataclass, field

from meshkit.errors import ProjectForbidden, TokenMissing


@dataclass(frozen=True)
class Caller:
    """The holder of a verified token.

    ``expires_at`` is in unix seconds; ``token`` is the token itself, forwarded on read-only
    look-ups.
    """

    subject: str
    scopes: frozenset[str]
    projects: tuple[str, ...]
    expires_at: float
    token: str = field(repr=False)

    def project(self, wanted: str) -> str:
        """Return the project to act in: the wanted one, or the token's first when none is named."""
        chosen = wanted or next(iter(self.projects), "")
        if chosen not in self.projects:
            named = ", ".join(self.projects) or "none"
            raise ProjectForbidden(
                f"The token may not use project '{chosen}'; its projects: {named}.",
                metadata={"project": chosen},
            )
        return chosen


_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)
_request_id: ContextVar[str] = ContextVar("request_id", default="")
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
_traceparent: ContextVar[str] = ContextVar("traceparent", default="")


def caller() -> Caller:
    """Return who calls; raises ``TokenMissing`` on a method that needs no token and got none."""
    found = _caller.get()
    if found is None:
        raise TokenMissing("The call carries no token. Send `authorization: Bearer <token>`.")
    return found


def set_caller(value: Caller) -> None:
    """Set the caller of the current call (the authenticate interceptor; tests)."""
    _caller.set(value)


def request_id() -> str:
    """Return the id of the current call, empty outside one."""
    return _request_id.get()


def traceparent() -> str:
    """Return the W3C trace parent of the current call, empty outside one."""
    return _traceparent.get()


def set_ids(request: str, trace: str) -> None:
    """Set the ids of the current call (the observe interceptor; who carries on a trace)."""
    _request_id.set(request)
    _traceparent.set(trace)


def forwarded_token() -> str:
    """Return the present caller's token, empty outside a call."""
    found = _caller.get()
    return found.token if found else ""


def deadline() -> float | None:
    """Return when the current call ends, in the event loop's time; None outside a call."""
    return _deadline.get()


def set_deadline(ends: float | None) -> None:
    """Set when the current call ends (the deadline interceptor)."""
    _deadline.set(ends)
