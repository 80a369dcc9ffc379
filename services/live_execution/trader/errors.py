"""Why a trader's process cannot begin, or must end."""

from meshkit.errors import FailedPrecondition, MeshError, Unavailable
from meshkit.facts import StaleFence

__all__ = ["JournalBroken", "LeaseHeld", "StaleFence", "TraderGone"]


class LeaseHeld(Unavailable):
    """Another process has the lease of the trader, or had it moments ago; see ``retry_after``."""

    reason = "TRADER_RUNNING"


class TraderGone(FailedPrecondition):
    """The trader was deleted."""

    reason = "TRADER_NOT_FOUND"


class JournalBroken(MeshError):
    """The journal cannot be written, or does not fit what PostgreSQL has."""

    reason = "TRADER_FAILED"
